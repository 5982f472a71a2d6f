"""What every file of an export begins with: who wrote it, and in which format."""

from __future__ import annotations

import getpass
import platform
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from migrate.endpoints.directory.layout import EXPORT_FILE_VERSION, FORMAT_VERSION, OURS
from migrate.endpoints.disk import DAMAGED, load_object
from migrate.errors import DirectoryError
from migrate.objects import readable_time

NOTHING_MORE: Mapping[str, object] = MappingProxyType({})


def system_block(ours: Mapping[str, object] = NOTHING_MORE) -> dict[str, Any]:
    """Return the ``system`` member that every file of an export begins with.

    ``ours`` is what only this tool says. In an index of experiments that is the ``identity`` of
    the export, whether the index ``leads_up`` to experiments in the directory above, and whether
    there are ``models_above``, to which its own experiments belong; in files of one record, their
    ``mark`` and ``losses``.
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


def load_mlflow(base: Path, path: Path) -> Mapping[str, Any]:
    """Read the ``mlflow`` member of a file. Raises ``DirectoryError``, also for a newer format."""
    document = load_object(base, path)
    if ours := said_by_us(document):
        require_known_format(path, ours.get("format_version"))
    return mlflow_member(path, document)


def said_by_us(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a file says that only this tool writes; nothing where another one wrote it."""
    system = document.get("system")
    ours = system.get(OURS) if isinstance(system, dict) else None
    return ours if isinstance(ours, dict) else {}


def mlflow_member(path: Path, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the ``mlflow`` member of a file. Raises ``DirectoryError`` when it has none."""
    value = document.get("mlflow")
    if isinstance(value, dict):
        return value
    if "export_info" in document or "info" in document or "experiment" in document:
        raise DirectoryError(
            f"{path} was written by a version of mlflow-export-import before 1.2.0, whose format"
            " is not read",
            "export again with mlflow-export-import 1.2.0 or later, or with mlflow-migrate",
        )
    raise DirectoryError(f"{path} has no member 'mlflow': it is no MLflow export", DAMAGED)


def require_known_format(path: Path, version: object) -> None:
    """Raise ``DirectoryError`` when ``path`` is of a format newer than this tool knows."""
    if not isinstance(version, int) or version < 1:
        raise DirectoryError(f"{path} names no format version", DAMAGED)
    if version > FORMAT_VERSION:
        raise DirectoryError(
            f"{path} is of export format {version}; this version of mlflow-migrate reads up to"
            f" {FORMAT_VERSION}",
            "upgrade mlflow-migrate to the version that wrote it, or a later one",
        )


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
