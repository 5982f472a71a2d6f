"""Databricks workspaces: MLflow's calls with another login, and what is beside them."""
