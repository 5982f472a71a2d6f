"""Who may do what on servers that run MLflow's basic-auth app."""
