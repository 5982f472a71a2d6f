"""A tracking server's database, read by SQL of our own: never through MLflow's stores.

MLflow's stores upgrade an old database as they open it. Nothing here writes.
"""

from migrate.endpoints.database.endpoint import DatabaseSource

__all__ = ["DatabaseSource"]
