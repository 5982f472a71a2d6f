"""A tracking server's database, by SQL of our own: never through MLflow's stores.

MLflow's stores upgrade an old database as they open it. Only ``target`` writes.
"""
