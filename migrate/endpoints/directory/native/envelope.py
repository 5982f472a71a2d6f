"""What every file of an export begins with, and indexes, which are written when they change."""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from migrate.endpoints.directory.layout import EXPORT_FILE_VERSION, FORMAT_VERSION, OURS
from migrate.endpoints.disk import DAMAGED, load_object, write_object
from migrate.errors import DirectoryError
from migrate.objects import readable_time

NOTHING_MORE: Mapping[str, object] = MappingProxyType({})
#: How many seconds something took; it alone is no reason to write an index again.
DURATION = "duration"


def system_block(ours: Mapping[str, object] = NOTHING_MORE) -> dict[str, Any]:
    """Return the ``system`` member that every file of an export begins with.

    ``ours`` is what only this tool says, and only in an index of experiments: the ``identity``
    of the export, whether the index ``leads_up`` to experiments in the directory above, and
    whether there are ``models_above``, to which its own experiments belong.
    """
    now = time.time()
    return {
        "package_version": _installed("mlflow-migrate"),
        "script": "mlflow-migrate",
        "export_file_version": EXPORT_FILE_VERSION,
        "export_time": int(now),
        "_export_time": readable_time(int(now * 1000)),
        "mlflow_version": _installed("mlflow"),
        "platform": {"python_version": platform.python_version(), "system": platform.system()},
        "user": _user(),
        OURS: {"format_version": FORMAT_VERSION, **ours},
    }


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
        there = load_object(path.parent, path)
    except DirectoryError as problem:
        if problem.hint != DAMAGED:
            raise
        return {}
    return {key: there.get(key) for key in content}


def _untimed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _untimed(member) for key, member in value.items() if key != DURATION}
    return [_untimed(item) for item in value] if isinstance(value, list) else value


@cache
def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return ""
