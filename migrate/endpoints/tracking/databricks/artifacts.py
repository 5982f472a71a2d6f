"""Files of a Databricks workspace: listed by the workspace, moved through URLs that it signs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests

from migrate.endpoints.artifacts.locations import require_storage
from migrate.endpoints.artifacts.repositories import translated
from migrate.endpoints.artifacts.stores import ArtifactStore, RepositoryStore
from migrate.endpoints.importing import IMPORTING
from migrate.endpoints.shapes import ident, objects, required, required_text, text
from migrate.endpoints.tracking.artifact_routes import ServerRoutes
from migrate.endpoints.tracking.artifacts import OwnWay, ReadOtherwise
from migrate.endpoints.tracking.databricks.files_api import FilesApi
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.http.streams import body_of, sized
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.signed.urls import TRIES, Signed, patiently, send
from migrate.errors import EndpointError
from migrate.kinds import Kind
from migrate.objects import Artifact, ArtifactRoot

#: Where Databricks keeps the files of runs and logged models unless told otherwise.
MANAGED = "databricks/mlflow-tracking/"
#: Kinds of signed URLs that take a whole file in one PUT, up to this size in bytes.
WHOLE_FILE = frozenset({"AWS_PRESIGNED_URL", "GCP_SIGNED_URL"})
LARGEST_WHOLE = 1 << 30


def workspace_files(http: HttpSession, tracking_uri: str) -> OwnWay:
    """Return the way to files on ``dbfs:``, which are the workspace's that named them."""

    def way(root: ArtifactRoot, routes: ServerRoutes) -> ArtifactStore | None:
        scheme, host, path, *_ = urlsplit(root.uri)
        if scheme == "dbfs" and f"{host}{path}".lstrip("/").startswith(MANAGED):
            return ManagedStore(root, tracking_uri, http, routes)
        if scheme == "dbfs" and not host:
            return ReadOtherwise(WorkspaceStore(root.uri, tracking_uri, http), routes)
        return None

    return way


class WorkspaceStore(RepositoryStore):
    """Files elsewhere on ``dbfs:``, by the workspace that named them and no other.

    MLflow's own choice would ask the workspace of the default login, or a folder of this machine.
    """

    def __init__(self, uri: str, tracking_uri: str, http: HttpSession) -> None:
        super().__init__(uri)
        self._tracking_uri = tracking_uri
        self._http = http

    def _repository(self) -> Any:
        path = urlsplit(self._uri).path
        if path.startswith("/Volumes/"):
            return FilesApi(self._http, path)
        with translated(self._uri):
            with IMPORTING:
                from mlflow.store.artifact.dbfs_artifact_repo import DbfsRestArtifactRepository
                from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

            uri = add_databricks_profile_info_to_artifact_uri(self._uri, self._tracking_uri)
            return DbfsRestArtifactRepository(uri.rstrip("/"))


class ManagedStore(RepositoryStore):
    """Files below ``dbfs:/databricks/mlflow-tracking``, streamed through signed URLs.

    What such a URL does not take whole goes through MLflow's repository for these files. It is
    made here, with the workspace in its URI: what MLflow chooses by itself first asks the workspace
    of the default login, whatever URI it is given (read in
    ``mlflow.store.artifact.databricks_tracking_artifact_repo`` of 3.17.2). With two workspaces that
    is the wrong one for a side, where no file is found and none is missed.
    """

    def __init__(
        self, root: ArtifactRoot, tracking_uri: str, http: HttpSession, routes: ServerRoutes
    ) -> None:
        super().__init__(root.uri)
        self._owner = root.owner
        self._tracking_uri = tracking_uri
        self._http = http
        self.list_files = routes.list_files  # type: ignore[method-assign]

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[BinaryIO]:
        """See ``ArtifactStore.open``."""

        def attempt() -> requests.Response:
            self._http.limits.rate.wait()
            signed = self._sign(artifact.path, "read", "download")
            return send("GET", signed, self._what(artifact))

        with self._http.limits.gate.place() as place:
            with place.used():
                response = patiently(attempt)
            with response:
                yield body_of(response, self._what(artifact))

    def put(self, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``ArtifactStore.put``."""
        signed = self._sign(artifact.path, "write", "upload")
        if signed.kind not in WHOLE_FILE or artifact.size > LARGEST_WHOLE:
            super().put(artifact, stream)
            return
        again = stream.seekable()

        def attempt() -> None:
            self._http.limits.rate.wait()
            if again:
                stream.seek(0)
            fresh = self._sign(artifact.path, "write", "upload") if again else signed
            what = f"artifact {artifact.path!r}"
            body = sized(stream, artifact.size, what) if artifact.size else b""
            send("PUT", fresh, self._what(artifact), data=body).close()

        with self._http.limits.gate.place() as place, place.used():
            patiently(attempt, TRIES if again else 1)

    def _sign(self, path: str, of_run: str, of_model: str) -> Signed:
        owner = self._owner
        if owner.kind is Kind.LOGGED_MODEL:
            url = f"{API}/logged-models/{owner.id}/artifacts/credentials-for-{of_model}"
            answer = self._http.post(url, {"paths": [path]}, idempotent=True)
            infos = [required(item, "credential_info") for item in objects(answer, "credentials")]
        else:
            url = f"{API}/artifacts/credentials-for-{of_run}"
            body = {"run_id": owner.id, "path": [path]}
            answer = self._http.post(url, body, idempotent=True)
            infos = list(objects(answer, "credential_infos"))
        if not infos:
            raise EndpointError(f"the workspace signs no URL for {path!r} of {owner.kind}")
        headers = {
            ident(item, "name"): required_text(item, "value")
            for item in objects(infos[0], "headers")
        }
        url = required_text(infos[0], "signed_uri")
        require_storage(url, self._http.base_url, f"{path!r}")
        return Signed(url, headers, text(infos[0], "type"))

    def _what(self, artifact: Artifact) -> str:
        return f"{self._uri}/{artifact.path}"

    def _repository(self) -> Any:
        with translated(self._uri):
            with IMPORTING:
                from mlflow.store.artifact.databricks_artifact_repo import (
                    DatabricksArtifactRepository,
                )
                from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

            uri = add_databricks_profile_info_to_artifact_uri(self._uri, self._tracking_uri)
            return DatabricksArtifactRepository(uri)
