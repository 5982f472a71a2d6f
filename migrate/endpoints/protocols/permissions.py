"""Reads and grants permissions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from migrate.endpoints.answers import PermissionsWritten
from migrate.kinds import Ref
from migrate.objects import Permissions


class ReadsPermissions(Protocol):
    """Reads who may do what with experiments, registered models and prompts."""

    def read(self, ref: Ref) -> Permissions:
        """Return the permissions on an object; without a dialect where the endpoint has none."""
        ...

    def look_up(self, users: Collection[str]) -> None:
        """Have ``read`` know of these users, where the endpoint cannot list its users."""
        ...

    def beside(self, ref: Ref) -> Sequence[str]:
        """Return in words what has to do with access to an object and is not in its permissions."""
        ...


class WritesPermissions(ReadsPermissions, Protocol):
    """Grants permissions."""

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """Grant on an object what ``permissions`` say and is missing; nothing is taken away.

        May be repeated. What is inherited is not made direct. A directory keeps the document, in
        place of an earlier one. Principals that the endpoint does not know are losses.
        """
        ...
