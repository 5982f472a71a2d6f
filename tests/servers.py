"""Tracking servers that start in half the time."""

from __future__ import annotations

from migrate.demo.server import HOST, TrackingServerProcess


class AppServer(TrackingServerProcess):
    """The web server that ``mlflow server`` starts, without the command that starts it.

    The command imports all of MLflow, tells the web server by variables what it was asked for, and
    then waits for its end. Here the variables are set without it; their names are those of
    ``mlflow/server/constants.py`` of MLflow 3.17. Takes ``directory``, ``environment``
    and ``empty_databases``. Where these have no database to copy yet, the command makes one: it
    alone does so at its start.
    """

    def _command(self) -> list[str]:
        assert self._database is not None
        if not self._database.exists():
            return super()._command()
        served = ["-m", "uvicorn", "--host", HOST, "--port", str(self.port)]
        return [str(self.python), *served, "mlflow.server.fastapi_app:app"]

    def _clean_environment(self) -> dict[str, str]:
        return super()._clean_environment() | {
            "_MLFLOW_SERVER_FILE_STORE": self._backend_store_uri,
            "_MLFLOW_SERVER_REGISTRY_STORE": self._backend_store_uri,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": self._artifacts,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        }
