"""Indexes are written when what they say changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrate.endpoints.directory.native.envelope import NOTHING_MORE, system_block
from migrate.endpoints.disk import DAMAGED, load_object, write_object
from migrate.errors import DirectoryError

#: How many seconds something took; it alone is no reason to write an index again.
DURATION = "duration"


def write_index(
    path: Path, content: Mapping[str, Any], ours: Mapping[str, object] = NOTHING_MORE
) -> None:
    """Write an index when more than the time of writing would change in it, or it is damaged.

    Raises ``StorageFull`` or ``DirectoryError``.
    """
    if _members(path, content) == content:
        return
    write_object(path, {"system": system_block(ours), **content})


def write_timed_index(
    path: Path, content: Mapping[str, Any], ours: Mapping[str, object] = NOTHING_MORE
) -> None:
    """Write an index in which every member called ``duration`` is one, as ``write_index``."""
    if _untimed(_members(path, content)) == _untimed(content):
        return
    write_object(path, {"system": system_block(ours), **content})


def _members(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an index holds under the keys of ``content``; nothing where it is damaged."""
    if not os.path.lexists(path):
        return {}
    try:
        document = load_object(path.parent, path)
    except DirectoryError as problem:
        if problem.hint != DAMAGED:
            raise
        return {}
    return {key: document.get(key) for key in content}


def _untimed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _untimed(member) for key, member in value.items() if key != DURATION}
    return [_untimed(item) for item in value] if isinstance(value, list) else value
