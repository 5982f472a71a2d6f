"""An MLflow file store (``mlruns``), read by ourselves: never through MLflow's stores.

One broken file keeps those from reading a whole experiment. Nothing here writes.
"""

from migrate.endpoints.filestore.endpoint import FileStoreSource

__all__ = ["FileStoreSource"]
