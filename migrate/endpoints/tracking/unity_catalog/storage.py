"""The three ways to the files of a version in Unity Catalog, each as MLflow's repositories are.

MLflow's own choice between them is not used: it makes clients for the default workspace, and a
database in the working directory on the way (seen with 3.17.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migrate.endpoints.artifacts.locations import Roots, Way, locate, require_storage
from migrate.endpoints.importing import IMPORTING
from migrate.endpoints.shapes import required, required_text
from migrate.endpoints.tracking.databricks.files_api import FilesApi
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import NoSuchRoute, NotFound, Refused

MODELS = "/api/2.0/mlflow/unity-catalog/registered-models"
VERSIONS = "/api/2.0/mlflow/unity-catalog/model-versions"
_FILES_API = "is-databricks-sdk-models-artifact-repository-enabled"


class Storage:
    """The storage of versions: a workspace says which way it wants."""

    def __init__(self, http: HttpSession, registry_uri: str) -> None:
        self.http = http
        self._uri = registry_uri

    def repository(self, name: str, number: str, *, to_write: bool) -> Any:
        """Return a repository for the files of one version."""
        if self._takes_files_api():
            return FilesApi(self.http, f"/Models/{name.replace('.', '/')}/{number}")
        with IMPORTING:
            from mlflow.protos.databricks_uc_registry_messages_pb2 import StorageMode

        credentials = self._credentials(name, number, to_write)
        if credentials.storage_mode == StorageMode.Value("DEFAULT_STORAGE"):
            with IMPORTING:
                from mlflow.store.artifact.presigned_url_artifact_repo import (
                    PresignedUrlArtifactRepository,
                )
                from mlflow.utils.databricks_utils import get_databricks_host_creds

            repository = PresignedUrlArtifactRepository(
                get_databricks_host_creds(self._uri), name, number
            )
            return _kept_to_storages(repository, self.http.base_url)
        with IMPORTING:
            from mlflow.utils._unity_catalog_utils import get_artifact_repo_from_storage_info

        place = self._location(name, number)
        if locate(place, self.http.base_url, Roots()).way is not Way.REPOSITORY:
            raise Refused(
                f"the workspace keeps files of {name} {number} at no cloud's host: {place}"
            )
        return get_artifact_repo_from_storage_info(
            storage_location=place,
            scoped_token=credentials,
            base_credential_refresh_def=lambda: self._credentials(name, number, to_write),
        )

    def _takes_files_api(self) -> bool:
        try:
            answer = self.http.get(f"{MODELS}:{_FILES_API}")
        except (NoSuchRoute, NotFound, Refused):
            return False
        return bool(answer.get(_FILES_API.replace("-", "_")))

    def _credentials(self, name: str, number: str, to_write: bool) -> Any:
        with IMPORTING:
            from mlflow.protos.databricks_uc_registry_messages_pb2 import TemporaryCredentials
            from mlflow.utils.proto_json_utils import parse_dict

        operation = "MODEL_VERSION_OPERATION_READ" + ("_WRITE" if to_write else "")
        body = {"name": name, "version": number, "operation": operation}
        path = f"{VERSIONS}/generate-temporary-credentials"
        message = TemporaryCredentials()
        parse_dict(required(self.http.post(path, body, idempotent=True), "credentials"), message)
        return message

    def _location(self, name: str, number: str) -> str:
        params = {"name": name, "version": number}
        return required_text(self.http.get(f"{VERSIONS}/get-download-uri", params), "artifact_uri")


def _kept_to_storages(repository: Any, base_url: str) -> Any:
    """Have a repository use signed URLs only where they lead to a cloud's storage.

    MLflow's own follows them anywhere. Raises ``Refused`` where it asks for them otherwise than
    MLflow up to 3.17 does.
    """
    to_read, to_write = "_get_download_presigned_url_and_headers", "_get_write_credential_infos"
    if not (hasattr(repository, to_read) and hasattr(repository, to_write)):
        raise Refused("this version of MLflow uses signed URLs in a way that cannot be watched")
    read, write = getattr(repository, to_read), getattr(repository, to_write)

    def read_from_storage(path: str) -> Any:
        signed = read(path)
        require_storage(signed.url, base_url, f"{path!r}")
        return signed

    def write_to_storage(remote_file_paths: Sequence[str]) -> Any:
        infos = write(remote_file_paths)
        for path, info in zip(remote_file_paths, infos, strict=True):
            require_storage(info.signed_uri, base_url, f"{path!r}")
        return infos

    setattr(repository, to_read, read_from_storage)
    setattr(repository, to_write, write_to_storage)
    return repository
