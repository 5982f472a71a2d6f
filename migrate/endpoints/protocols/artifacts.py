"""Reads and writes files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from migrate.objects import Artifact, ArtifactRoot


class ReadsArtifacts(Protocol):
    """Lists and reads files."""

    def list(self, root: ArtifactRoot) -> Sequence[Artifact]:
        """Return every file below ``root``, recursively."""
        ...

    def open(self, root: ArtifactRoot, artifact: Artifact) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading as a stream; nothing is held in memory.

        Reading it raises ``ChangedContent`` where the endpoint knows that it is damaged.
        """
        ...

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """Return the SHA-256 of files by path, as far as they are known without reading them."""
        ...

    def location(self, root: ArtifactRoot) -> str:
        """Return the URI by which others find the files: the root's own, unless they were moved."""
        ...


class WritesArtifacts(ReadsArtifacts, Protocol):
    """Writes files."""

    @property
    def transferred(self) -> int:
        """Bytes written so far, for progress."""
        ...

    def put(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """Write one file from a stream. Raises ``Refused`` for a name the target cannot take."""
        ...
