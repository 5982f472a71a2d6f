"""Reads and writes the files below one root, by whatever library reaches them."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from migrate.endpoints.artifacts.folders import walk
from migrate.endpoints.artifacts.repositories import Repositories, translated
from migrate.objects import Artifact

CHUNK = 1 << 20


class ArtifactStore(Protocol):
    """The files below one artifact root."""

    def list_files(self) -> list[Artifact]:
        """Return every file, recursively."""
        ...

    def open(self, artifact: Artifact) -> AbstractContextManager[BinaryIO]:
        """Open one file as a stream."""
        ...

    def put(self, artifact: Artifact, stream: BinaryIO) -> None:
        """Write one file from a stream."""
        ...


class RepositoryStore(ABC):
    """Files reached by one of MLflow's own artifact repositories.

    They take and give whole local files, so each file in flight lies once on this disk.
    """

    #: What the repository calls its root when it is listed.
    _top: str | None = None

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def list_files(self) -> list[Artifact]:
        """See ``ArtifactStore.list_files``."""
        repository = self._repository()

        def list_folder(folder: str) -> Any:
            with translated(self._uri):
                return [
                    {"path": f.path, "is_dir": f.is_dir, "file_size": f.file_size}
                    for f in repository.list_artifacts(folder or self._top)
                ]

        return walk(list_folder)

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[BinaryIO]:
        """See ``ArtifactStore.open``."""
        with tempfile.TemporaryDirectory(prefix="mlflow-migrate-") as folder:
            with translated(self._uri):
                path = self._repository().download_artifacts(artifact.path, dst_path=folder)
            with Path(path).open("rb") as stream:
                yield stream

    def put(self, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``ArtifactStore.put``."""
        folder, _, name = artifact.path.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="mlflow-migrate-") as local:
            path = Path(local) / name
            with translated(self._uri):
                with path.open("wb") as copy:
                    while chunk := stream.read(CHUNK):
                        copy.write(chunk)
                self._repository().log_artifact(str(path), folder or None)

    @abstractmethod
    def _repository(self) -> Any:
        """Return the repository. Raises errors of ours."""


class CloudStore(RepositoryStore):
    """Files in the storage of a cloud, or where a plugin reaches them, with the keys of a side."""

    def __init__(self, uri: str, tracking_uri: str, repositories: Repositories) -> None:
        super().__init__(uri)
        self._tracking_uri = tracking_uri
        self._repositories = repositories

    def _repository(self) -> Any:
        with translated(self._uri):
            return self._repositories.repository(self._uri, self._tracking_uri)
