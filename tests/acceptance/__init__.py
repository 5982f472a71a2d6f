"""The `migrate` command between real servers of other MLflow versions, on Postgres, MariaDB and S3."""
