"""What the stores of some kinds do beside reading and writing objects, whichever kind it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol, TypeVar

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.directory.export import Export
from migrate.errors import DirectoryError, NotFound
from migrate.kinds import Kind, Ref
from migrate.objects import Artifact, ArtifactRoot, Loss, Permissions

S = TypeVar("S")


class KeepsLosses(Protocol):
    """Keeps with a copy what did not arrive of it."""

    def keep_losses(self, ref: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``. Raises ``NotFound``."""
        ...


class HasFiles(Protocol):
    """The store of objects that have files; see ``ReadsArtifacts`` and ``WritesArtifacts``."""

    def artifacts(self, ref: Ref) -> Sequence[Artifact]:
        """Return the files of one. Raises ``NotFound``."""
        ...

    def open_artifact(self, ref: Ref, artifact: Artifact) -> BinaryIO:
        """Open one of them."""
        ...

    def digests(self, ref: Ref) -> Mapping[str, str]:
        """Return the digests that were recorded, by path."""
        ...

    def put_artifact(self, ref: Ref, artifact: Artifact, stream: BinaryIO) -> None:
        """Take in one of them."""
        ...


class Guarded(Protocol):
    """The store of objects on which permissions are given."""

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.read``. Raises ``NotFound``."""
        ...

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``. Raises ``NotFound``."""
        ...


class ExportArtifacts:
    """The files of all kinds that have some."""

    def __init__(self, export: Export, stores: Mapping[Kind, HasFiles]) -> None:
        self._export = export
        self._stores = stores

    @property
    def transferred(self) -> int:
        """See ``WritesArtifacts.transferred``."""
        return self._export.arrived

    def list(self, root: ArtifactRoot) -> Sequence[Artifact]:
        """See ``ReadsArtifacts.list``; of what is damaged, what it was written with.

        Of a target, only what is there and whole; of what is being written, what it has so far.
        Raises ``DirectoryError`` when there is a link among them.
        """
        return self._of(root).artifacts(root.owner)

    def open(self, root: ArtifactRoot, artifact: Artifact) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open``.

        Raises ``NotFound``, and ``DirectoryError`` when the file is cut off. Reading its last
        piece raises ``ChangedContent`` when it is not what was exported.
        """
        return self._of(root).open_artifact(root.owner, artifact)

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``."""
        return self._of(root).digests(root.owner)

    def location(self, root: ArtifactRoot) -> str:
        """See ``ReadsArtifacts.location``: that of the original."""
        return root.uri

    def put(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put``; of a run, only while it is being written.

        Raises ``Unavailable`` when the stream has not the size of the artifact, ``Refused``,
        ``StorageFull`` or ``DirectoryError``.
        """
        self._of(root).put_artifact(root.owner, artifact, stream)

    def _of(self, root: ArtifactRoot) -> HasFiles:
        return _store_of(self._stores, root.owner, self._export)


class ExportPermissions:
    """The permissions on objects of all kinds that have some."""

    def __init__(self, export: Export, stores: Mapping[Kind, Guarded]) -> None:
        self._export = export
        self._stores = stores

    def read(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.read``.

        Raises ``NotFound``, and ``DirectoryError`` when they are of no known form.
        """
        return _store_of(self._stores, ref, self._export).permissions(ref)

    def look_up(self, users: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up``: an export has no users."""

    def beside(self, ref: Ref) -> Sequence[str]:
        """See ``ReadsPermissions.beside``: says where an export holds none."""
        try:
            if self.read(ref).dialect:
                return ()
        except (NotFound, DirectoryError):
            return ()  # whoever wants to copy them is told
        return ("the export holds no permissions on it: none were exported, or there were none",)

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``. Raises ``NotFound``."""
        return _store_of(self._stores, ref, self._export).write_permissions(ref, permissions)


def _store_of(stores: Mapping[Kind, S], ref: Ref, export: Export) -> S:
    """Return the store of an object. Raises ``NotFound`` where its kind is not among these."""
    if ref.kind not in stores:
        raise NotFound(f"{ref.kind} {ref.id} is not in {export.path}")
    return stores[ref.kind]
