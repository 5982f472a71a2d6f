"""Finds experiments, runs and logged models by what is on disk, whatever tool laid it out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    NOT_OBJECTS,
    RUN_FILE,
    RUNS,
    VERSION_MODEL,
    VERSION_MODELS,
    name_of_replaced,
)
from migrate.endpoints.directory.places import Opened
from migrate.endpoints.disk import subdirectories

#: The files of versions lie beside the runs where a single version was exported.
_NOT_OBJECTS = NOT_OBJECTS | {VERSION_MODEL, VERSION_MODELS}


def experiment_directories(opened: Opened) -> Iterator[Path]:
    """Yield the directory of every experiment, also of one whose experiment.json is missing."""
    if opened.registry_only:
        return
    if opened.lone:
        yield opened.base
        return
    for path in subdirectories(opened.base):
        if path.name not in _NOT_OBJECTS and _looks_like_experiment(path):
            yield path


def members_in(experiment: Path, folder: str, record: str) -> Iterator[tuple[str, Path]]:
    """Yield the name and directory of what is complete in an experiment, of one kind.

    It is in the kind's ``folder``, or right in the experiment and has such a ``record``: so were
    runs before 2025, and are logged models of export-model-version. What was being replaced when
    the export was killed is where it was put aside. Raises ``DirectoryError`` when the directories
    cannot be listed.
    """
    names = set()
    for name, path in _complete_in(experiment / folder):
        names.add(name)
        yield name, path
    for path in subdirectories(experiment):
        known = path.name in _NOT_OBJECTS or path.name in names or path.name.startswith(".")
        if not known and os.path.lexists(path / record):
            yield path.name, path


def _complete_in(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in subdirectories(folder):
        name = path.name if not path.name.startswith(".") else _put_aside(path)
        if name is not None:
            yield name, path


def _looks_like_experiment(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if os.path.lexists(path / EXPERIMENT_FILE) or (path / RUNS).is_symlink():
        return True
    if path.is_symlink():
        return False
    in_place = any(True for _ in subdirectories(path / RUNS))
    return in_place or any(os.path.lexists(it / RUN_FILE) for it in subdirectories(path))


def _put_aside(path: Path) -> str | None:
    name = name_of_replaced(path.name)
    return name if name is not None and not os.path.lexists(path.with_name(name)) else None
