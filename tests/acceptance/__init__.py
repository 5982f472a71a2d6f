"""`migrate` between real servers of other MLflow versions, on other databases and on S3."""
