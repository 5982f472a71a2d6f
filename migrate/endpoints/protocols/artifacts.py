"""Reads and writes files, and reads notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from migrate.objects import (
    Artifact,
    ArtifactRoot,
)


class ReadsArtifacts(Protocol):
    """Lists and reads files."""

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """Return every file below ``root``, recursively."""
        ...

    def open_artifact(
        self, root: ArtifactRoot, artifact: Artifact
    ) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading as a stream; nothing is held in memory.

        Reading it raises ``ChangedContent`` where the endpoint knows that it is damaged.
        """
        ...

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """Return the SHA-256 of files by path, as far as they are known without reading them."""
        ...


class ReadsNotebooks(Protocol):
    """Reads the notebooks that runs were started from (Databricks)."""

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """Return a notebook as it was at a revision, in one of ``NOTEBOOK_FORMATS``.

        Raises ``NotFound`` where the notebook or such a thing is not there.
        """
        ...


class WritesArtifacts(Protocol):
    """Writes files."""

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """Write one file from a stream. Raises ``Refused`` for a name the target cannot take."""
        ...
