"""A tracking server's database, by SQL of our own: never through MLflow's stores.

MLflow's stores upgrade an old database as they open it. Only ``target`` writes.
"""

from migrate.endpoints.database.endpoint import DatabaseSource
from migrate.endpoints.database.target.endpoint import DatabaseTarget

__all__ = ["DatabaseSource", "DatabaseTarget"]
