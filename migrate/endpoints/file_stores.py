"""Tells an MLflow file store from other directories."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from migrate.endpoints.disk import reading
from migrate.errors import DirectoryError

META = "meta.yaml"
TRASH = ".trash"
MODELS = "models"
#: What MLflow calls the directories of experiments, and of runs in them.
STORE_ID = re.compile(r"[0-9]{1,20}\Z|[0-9a-f]{32}\Z")
_STORE_NAME = re.compile(f"{STORE_ID.pattern}|{MODELS}\\Z|traces\\Z")
#: Directories that are looked at for what the user may have meant.
_LOOKED_AT = 200


def file_store_around(path: Path) -> Path | None:
    """Return the MLflow file store that a directory is, or is in; None when it is none.

    It keeps ``meta.yaml`` beside everything: ``<experiment>/meta.yaml``,
    ``<experiment>/<run>/meta.yaml``, ``models/<name>/meta.yaml``, and deleted ones in ``.trash``.
    """
    above = (path.parent.parent, path.parent) if os.path.lexists(path / META) else ()
    return next(filter(is_file_store, (*above, path)), None)


def is_file_store(path: Path) -> bool:
    """Say whether a directory is a file store, also one in which nothing is left."""
    with suppress(OSError, DirectoryError):
        names = visible_names(path)
        if _is_directory(path / TRASH) and all(map(_STORE_NAME.match, names)):
            return True
        described = [place for place in folders_in(path) if os.path.lexists(place / META)]
        if any(STORE_ID.match(place.name) for place in described):
            return True
        registered = folders_in(path / MODELS)
        return any(os.path.lexists(place / META) for place in registered)
    return False


def visible_names(directory: Path) -> list[str]:
    """Return what is in a directory, without temporary and other hidden files."""
    with reading(directory):
        return sorted(
            name
            for name in os.listdir(directory)
            if not name.startswith(".") and name != "lost+found"
        )


def folders_in(path: Path) -> Iterator[Path]:
    """Yield directories in a directory, some hundred of them at most, in order of name."""
    names: list[str] = []
    with suppress(OSError):
        names = [name for name in sorted(os.listdir(path)) if not name.startswith(".")]
    places = (path / name for name in names)
    found = (place for place in places if _is_directory(place))
    for _, place in zip(range(_LOOKED_AT), found, strict=False):
        yield place


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
