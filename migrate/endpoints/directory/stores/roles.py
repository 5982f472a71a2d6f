"""What the stores of some kinds do beside reading and writing objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

from migrate.endpoints.answers import PermissionsWritten
from migrate.kinds import Ref
from migrate.objects import Artifact, Loss, Permissions


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
        """See ``ReadsPermissions.permissions``. Raises ``NotFound``."""
        ...

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write_permissions``. Raises ``NotFound``."""
        ...
