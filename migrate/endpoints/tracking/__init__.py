"""A tracking server as an endpoint: MLflow's REST API over connections of our own."""
