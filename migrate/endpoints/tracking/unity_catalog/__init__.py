"""Registered models in Databricks' Unity Catalog."""
