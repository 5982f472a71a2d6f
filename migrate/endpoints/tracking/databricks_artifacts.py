"""Files of a Databricks workspace: listed by the workspace, moved through URLs that it signs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from migrate.endpoints.tracking.artifacts import (
    ArtifactStore,
    ArtifactStores,
    RepositoryStore,
    ServerRoutes,
    translated,
)
from migrate.endpoints.tracking.http import HttpSession
from migrate.objects import ArtifactRoot

#: Where Databricks keeps the files of runs and logged models unless told otherwise.
MANAGED = "databricks/mlflow-tracking/"


class DatabricksStores(ArtifactStores):
    """Finds the store of an artifact root in a workspace."""

    def __init__(self, http: HttpSession, *, side: str, tracking_uri: str) -> None:
        super().__init__(http, side=side, tracking_uri=tracking_uri)
        self._workspace = tracking_uri
        self._calls = http
        self._of = side

    def store(self, root: ArtifactRoot) -> ArtifactStore:
        """Return the store for ``root``."""
        parts = urlsplit(root.uri)
        if parts.scheme == "dbfs" and f"{parts.netloc}{parts.path}".lstrip("/").startswith(MANAGED):
            return ManagedStore(root, self._workspace, self.routes(root))
        return super().store(root)

    def routes(self, root: ArtifactRoot) -> ServerRoutes:
        """Return the workspace's own way to the files of ``root``."""
        return ServerRoutes(self._calls, root, self._of)


class ManagedStore(RepositoryStore):
    """Files below ``dbfs:/databricks/mlflow-tracking``, by MLflow's repository for these.

    It is made here with the workspace in its URI. What MLflow chooses by itself first asks the
    workspace of the default login, whatever URI it is given (read in
    ``mlflow.store.artifact.databricks_tracking_artifact_repo`` of 3.17.2): with two workspaces that
    is the wrong one for a side, where no file is found and none is missed.
    """

    def __init__(self, root: ArtifactRoot, tracking_uri: str, routes: ServerRoutes) -> None:
        super().__init__(root, tracking_uri, routes)
        self.list_files = routes.list_files  # type: ignore[method-assign]

    def _repository(self) -> Any:
        with translated(self._root.uri):
            from mlflow.store.artifact.databricks_artifact_repo import DatabricksArtifactRepository
            from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

            uri = add_databricks_profile_info_to_artifact_uri(self._root.uri, self._tracking_uri)
            return DatabricksArtifactRepository(uri)
