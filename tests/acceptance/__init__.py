"""The `migrate` command between real servers of other MLflow versions, on Postgres and on S3."""
