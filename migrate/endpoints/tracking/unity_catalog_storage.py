"""The three ways to the files of a version in Unity Catalog, each as MLflow's repositories are.

MLflow's own choice between them is not used: it makes clients for the default workspace, and a
database in the working directory on the way (seen with 3.17.2).
"""

from __future__ import annotations

import os
import posixpath
import shutil
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from migrate.endpoints.shapes import count, flag, objects, required, required_text
from migrate.endpoints.tracking.http import HttpSession
from migrate.errors import NotFound, Refused

MODELS = "/api/2.0/mlflow/unity-catalog/registered-models"
VERSIONS = "/api/2.0/mlflow/unity-catalog/model-versions"
FILES = "/api/2.0/fs"
_FILES_API = "is-databricks-sdk-models-artifact-repository-enabled"


class Storage:
    """The storage of versions: a workspace says which way it wants."""

    def __init__(self, http: HttpSession, registry_uri: str) -> None:
        self._http = http
        self._uri = registry_uri

    def repository(self, name: str, number: str, *, to_write: bool) -> Any:
        """Return a repository for the files of one version."""
        if self._takes_files_api():
            return FilesApi(self._http, name, number)
        from mlflow.protos.databricks_uc_registry_messages_pb2 import StorageMode

        credentials = self._credentials(name, number, to_write)
        if credentials.storage_mode == StorageMode.Value("DEFAULT_STORAGE"):
            from mlflow.store.artifact.presigned_url_artifact_repo import (
                PresignedUrlArtifactRepository,
            )
            from mlflow.utils.databricks_utils import get_databricks_host_creds

            return PresignedUrlArtifactRepository(
                get_databricks_host_creds(self._uri), name, number
            )
        from mlflow.utils._unity_catalog_utils import get_artifact_repo_from_storage_info

        return get_artifact_repo_from_storage_info(
            storage_location=self._location(name, number),
            scoped_token=credentials,
            base_credential_refresh_def=lambda: self._credentials(name, number, to_write),
        )

    def _takes_files_api(self) -> bool:
        try:
            answer = self._http.get(f"{MODELS}:{_FILES_API}")
        except (NotFound, Refused):
            return False
        return bool(answer.get(_FILES_API.replace("-", "_")))

    def _credentials(self, name: str, number: str, to_write: bool) -> Any:
        from mlflow.protos.databricks_uc_registry_messages_pb2 import TemporaryCredentials
        from mlflow.utils.proto_json_utils import parse_dict

        operation = "MODEL_VERSION_OPERATION_READ" + ("_WRITE" if to_write else "")
        body = {"name": name, "version": number, "operation": operation}
        path = f"{VERSIONS}/generate-temporary-credentials"
        message = TemporaryCredentials()
        parse_dict(required(self._http.post(path, body, idempotent=True), "credentials"), message)
        return message

    def _location(self, name: str, number: str) -> str:
        params = {"name": name, "version": number}
        return required_text(self._http.get(f"{VERSIONS}/get-download-uri", params), "artifact_uri")


class Listed(NamedTuple):
    """A file or folder as MLflow's repositories list them."""

    path: str
    is_dir: bool
    file_size: int | None


class FilesApi:
    """Files of a version by Databricks' Files API, streamed through the workspace."""

    def __init__(self, http: HttpSession, name: str, number: str) -> None:
        self._http = http
        self._root = f"/Models/{name.replace('.', '/')}/{number}"

    def list_artifacts(self, folder: str) -> list[Listed]:
        """Return what is in a folder."""
        place = posixpath.join(self._root, folder) if folder else self._root
        pages = self._http.get_pages(f"{FILES}/directories{quote(place)}", {})
        return [
            Listed(
                posixpath.relpath(required_text(item, "path"), self._root),
                flag(item, "is_directory"),
                count(item, "file_size"),
            )
            for page in pages
            for item in objects(page, "contents")
        ]

    def download_artifacts(self, path: str, dst_path: str) -> str:
        """Read one file into a folder; return where it is."""
        local = Path(dst_path) / posixpath.basename(path)
        with self._http.stream(self._url(path)) as response, local.open("wb") as file:
            response.raw.decode_content = True
            shutil.copyfileobj(response.raw, file)
        return str(local)

    def log_artifacts(self, local_dir: str, artifact_path: str) -> None:
        """Write all files of a folder, over those there."""
        for place, _, names in os.walk(local_dir):
            for name in names:
                local = Path(place) / name
                path = posixpath.join(artifact_path, local.relative_to(local_dir).as_posix())
                with local.open("rb") as stream:
                    size = local.stat().st_size
                    self._http.put(f"{self._url(path)}?overwrite=true", stream, size)

    def _url(self, path: str) -> str:
        return f"{FILES}/files{quote(posixpath.join(self._root, path))}"
