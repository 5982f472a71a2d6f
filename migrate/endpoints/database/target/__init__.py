"""A database as a target: rows written by SQL of our own, in a schema that MLflow itself made."""
