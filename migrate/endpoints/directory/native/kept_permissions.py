"""Permissions as exports keep them: the document of the server, in the record of its object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.permissions import missing, permissions_from
from migrate.errors import DirectoryError
from migrate.objects import Permissions

#: The member that other tools look for, in experiment.json and model.json.
PERMISSIONS = "permissions"


def read_permissions(path: Path, record: Mapping[str, Any]) -> Permissions:
    """Return the permissions in a record, which was read from ``path``; none where it has none.

    Raises ``DirectoryError`` when they are of no known form.
    """
    kept = record.get(PERMISSIONS)
    if kept is None:
        return Permissions()
    try:
        if not isinstance(kept, dict):
            raise ValueError(f"{kept!r} is no object")
        return permissions_from(kept)
    except ValueError as problem:
        raise DirectoryError(
            f"the permissions in {path} cannot be read: {problem}",
            f"mend or remove the member {PERMISSIONS!r} there, or export again",
        ) from problem


def with_permissions(record: Mapping[str, Any], kept: object) -> dict[str, Any]:
    """Return a record with what was kept of permissions, where anything was."""
    without = {key: value for key, value in record.items() if key != PERMISSIONS}
    return without if kept is None else {**without, PERMISSIONS: kept}


def change_of(path: Path, record: Mapping[str, Any], wanted: Permissions) -> PermissionsWritten:
    """Say what keeping ``wanted`` would add to a record; what cannot be read is replaced."""
    try:
        there = read_permissions(path, record)
    except DirectoryError:
        there = Permissions()
    return PermissionsWritten(granted=len(missing(wanted, there)))
