"""Finds experiments, runs and logged models by what is on disk, whatever tool laid it out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    LOGGED_MODEL_FILE,
    LOGGED_MODELS,
    NOT_OBJECTS,
    RUN_FILE,
    RUNS,
    VERSION_MODEL,
    VERSION_MODELS,
    directory_name,
    name_of_partial,
    name_of_replaced,
    replaced_directory,
    run_directory,
)
from migrate.endpoints.directory.native.run_file import mlflow_member
from migrate.endpoints.directory.opening import Opened
from migrate.endpoints.disk import reading, refuse_links

#: The files of versions lie beside the runs where a single version was exported.
_NOT_OBJECTS = NOT_OBJECTS | {VERSION_MODEL, VERSION_MODELS}


class Listed(NamedTuple):
    """What experiment.json lists: ``whole`` is None where it has no such list."""

    whole: frozenset[str] | None
    failed: frozenset[str]

    def holds(self, *names: str) -> bool:
        """Say whether one of the names is listed, or nothing is."""
        return self.whole is None or not self.whole.isdisjoint(names)


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


def run_directories(experiment: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and directory of every complete run.

    A run whose directory was being replaced when the export was killed is where it was put
    aside. Raises ``DirectoryError`` when the directories cannot be listed.
    """
    yield from _below(experiment, RUNS, RUN_FILE)  # before 2025, runs had no directory of theirs


def logged_model_directories(experiment: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and directory of every complete logged model, as ``run_directories``."""
    yield from _below(experiment, LOGGED_MODELS, LOGGED_MODEL_FILE)  # so in export-model-version


def half_made_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and directory of all that is being put together in ``folder``, or was."""
    for path in subdirectories(folder):
        name = name_of_partial(path.name)
        if name is not None:
            yield name, path


def replaced_in(folder: Path) -> Iterator[Path]:
    """Yield the place of everything in ``folder`` whose old copy has been put aside."""
    for path in subdirectories(folder):
        name = name_of_replaced(path.name)
        if name is not None:
            yield path.with_name(name)


def find_run(experiment: Path, run_id: str) -> Path | None:
    """Return the directory of a run that has its id for a name; None when it is not there."""
    found = complete_place(run_directory(experiment, run_id))
    older = experiment / directory_name(run_id)
    return older if found is None and os.path.lexists(older / RUN_FILE) else found


def complete_place(place: Path) -> Path | None:
    """Return where the complete copy of what belongs to ``place`` is; None without one."""
    for path in (place, replaced_directory(place)):
        if os.path.lexists(path):
            return path
    return None


def listed_runs(path: Path, document: Mapping[str, Any]) -> Listed:
    """Read which runs experiment.json lists, and which failed when it was exported."""
    return _listed(path, document, "runs")


def listed_logged_models(path: Path, document: Mapping[str, Any]) -> Listed:
    """Read which logged models experiment.json lists, as ``listed_runs``."""
    return _listed(path, document, "logged_models")


def _listed(path: Path, document: Mapping[str, Any], member: str) -> Listed:
    mlflow = mlflow_member(path, document)
    info = document.get("info")
    info = info if isinstance(info, dict) else {}
    whole = mlflow.get(member, info.get(f"ok_{member}"))
    failed = _texts(info.get(f"failed_{member}"))
    if not isinstance(whole, list):
        return Listed(None, failed)
    return Listed(_texts(whole) | _texts(mlflow.get(f"deleted_{member}")), failed)


def _below(experiment: Path, folder: str, record: str) -> Iterator[tuple[str, Path]]:
    """Yield what is in a folder of an experiment, and what lies right in the experiment."""
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


def _texts(value: object) -> frozenset[str]:
    items = value if isinstance(value, list) else []
    return frozenset(item for item in items if isinstance(item, str))


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


def subdirectories(path: Path) -> Iterator[Path]:
    """Yield what is a directory, or a link to be refused by who reads it, in order of name."""
    refuse_links(path.parent, path)
    if not path.is_dir():
        return
    with reading(path), os.scandir(path) as entries:
        names = [entry.name for entry in entries if entry.is_symlink() or entry.is_dir()]
    for name in sorted(names):
        yield path / name


def files_in(path: Path, end: str) -> Iterator[Path]:
    """Yield what is no directory and has a name with this end, in order of name."""
    refuse_links(path.parent, path)
    if not path.is_dir():
        return
    with reading(path), os.scandir(path) as entries:
        names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    for name in sorted(names):
        if name.endswith(end) and not name.startswith("."):
            yield path / name
