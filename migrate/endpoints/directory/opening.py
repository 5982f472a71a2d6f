"""What kind of directory this is: ours, another tool's, or none that can be used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from migrate.endpoints.directory.foreign.layouts import base_of, holds_runs, registry_of
from migrate.endpoints.directory.foreign.recognizing import what_it_is
from migrate.endpoints.directory.indexes.experiments import make_experiments_file
from migrate.endpoints.directory.indexes.listed import EXPERIMENT_LISTS, names_in
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    EXPERIMENTS,
    EXPERIMENTS_FILE,
    LOCK_FILE,
    MODEL_FILE,
    MODELS,
    OURS,
    PROMPTS,
)
from migrate.endpoints.directory.locking import ExportLock
from migrate.endpoints.directory.native.envelope import require_known_format
from migrate.endpoints.directory.places import Opened, RegistryPlaces
from migrate.endpoints.disk import DAMAGED, load_object, refuse_links, writing
from migrate.endpoints.file_stores import file_store_around, visible_names
from migrate.errors import DirectoryError, TargetInUse, WrongDirectory

_NOT_SEEN = "and an experiment without one would not be noticed"


def open_export(path: Path) -> Opened:
    """Open a directory for reading.

    Raises ``WrongDirectory`` when it is no export, ``DirectoryError`` when it cannot be read.
    """
    base = base_of(path)
    registry = registry_of(path)
    notes = _notes(registry)
    if base is None:
        return Opened(
            base=path,
            registry=registry,
            registry_only=True,
            version="mlflow-export-import",
            notes=notes,
        )
    index = base / EXPERIMENTS_FILE
    if os.path.lexists(index):
        try:
            content = load_object(base, index)
            names_in(index, content, *EXPERIMENT_LISTS)
        except DirectoryError as problem:
            unknown = f"{problem}; the experiments are found by their directories, {_NOT_SEEN}"
        else:
            return _from_index(base, content, registry, notes)
    else:
        unknown = f"{index} is missing: its export did not finish, or it was removed; {_NOT_SEEN}"
    lone = os.path.lexists(base / EXPERIMENT_FILE) or holds_runs(base)
    return Opened(
        base=base,
        registry=registry,
        lone=lone,
        version="mlflow-export-import",
        notes=notes,
        unknown=() if lone else (unknown,),
    )


def open_target(path: Path, *, holds_models: bool) -> Opened:
    """Open a directory for writing; make it when it is missing or empty.

    A new one that ``holds_models`` has its experiments in a directory beside the registered
    models, any other at the top; one that is there stays as it is.
    Raises ``WrongDirectory`` when it holds anything else, ``DirectoryError`` when it cannot be
    written, ``StorageFull``.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise WrongDirectory(f"{path} is not a directory", "name a new directory")
    if path.is_dir() and not _has_index(path) and file_store_around(path):
        raise WrongDirectory(what_it_is(path)[0], "name a new directory")
    made = [place for place in (path, *path.parents) if not place.exists()]
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    if _is_unused(path):
        made = [*_make(path, holds_models=holds_models), *made]
    base = path if os.path.lexists(path / EXPERIMENTS_FILE) else path / EXPERIMENTS
    if base != path and not _has_own_index(base):
        raise WrongDirectory(
            f"{path} is not empty and holds no export of this tool", "name a new directory"
        )
    refuse_links(path, base)
    registry = RegistryPlaces(base=path, models=path / MODELS, prompts=path / PROMPTS)
    opened = _from_index(base, _own_index(base), registry, ())
    if not opened.identity:
        raise WrongDirectory(
            f"{path} holds an export of another tool ({opened.version}); nothing is added to it",
            "name a new directory; this one can be imported as it is",
        )
    if opened.models_above and base == path:
        raise WrongDirectory(
            f"{path} is the part of an export that lies below its registered models",
            f"name {path.parent}",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise DirectoryError(f"{path} cannot be written", "check its permissions")
    return replace(opened, made=tuple(made))


def unmake(opened: Opened, lock: ExportLock) -> None:
    """Remove what opening a directory made; nothing once something else was written there."""
    if not opened.made or set(os.listdir(opened.base)) - {LOCK_FILE} != {EXPERIMENTS_FILE}:
        return
    with suppress(OSError, TargetInUse, DirectoryError):
        lock.take()  # whoever has it now goes on with this directory
        for place in (opened.registry.base / LOCK_FILE, *opened.made):
            if place.is_dir():
                place.rmdir()
            else:
                place.unlink()
    lock.release()


def _is_unused(path: Path) -> bool:
    """Say whether there is nothing in a directory, or what was left when making one was cut off."""
    below = path / EXPERIMENTS
    cut_off = visible_names(path) == [EXPERIMENTS] and below.is_dir() and not below.is_symlink()
    return not visible_names(path) or (cut_off and not visible_names(below))


def _make(path: Path, *, holds_models: bool) -> list[Path]:
    """Make an empty export in a directory; return what was made, the deepest first."""
    base = path / EXPERIMENTS if holds_models else path
    made = [base / EXPERIMENTS_FILE, *([] if base.exists() else [base])]
    with writing(base):
        base.mkdir(exist_ok=True)
    models_above = {"models_above": True} if holds_models else {}
    make_experiments_file(base, {"identity": uuid4().hex, **models_above})
    return made


def _has_index(path: Path) -> bool:
    """Say whether there is an index of experiments, at the top or below."""
    places = (path, path / EXPERIMENTS)
    return any(os.path.lexists(place / EXPERIMENTS_FILE) for place in places)


def _has_own_index(base: Path) -> bool:
    """Say whether there is an index of experiments that is no mere sign to those above it."""
    there = os.path.lexists(base / EXPERIMENTS_FILE)
    return there and not _ours(_own_index(base)).get("leads_up")


def _own_index(base: Path) -> dict[str, Any]:
    """Return the index of a target. Raises ``DirectoryError``: no other file says whose it is."""
    try:
        return load_object(base, base / EXPERIMENTS_FILE)
    except DirectoryError as problem:
        if problem.hint != DAMAGED:
            raise
        raise DirectoryError(
            problem.message, "restore it from a backup, or export into a new directory"
        ) from problem


def _ours(index: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what only this tool says in an index."""
    system = index.get("system")
    ours = system.get(OURS) if isinstance(system, dict) else None
    return ours if isinstance(ours, dict) else {}


def _from_index(
    base: Path, index: Mapping[str, Any], registry: RegistryPlaces, notes: tuple[str, ...]
) -> Opened:
    path = base / EXPERIMENTS_FILE
    ours = _ours(index)
    if ours:
        require_known_format(path, ours.get("format_version"))
        if ours.get("leads_up"):
            raise WrongDirectory(
                f"{base} only leads other tools to the export it is in", f"name {base.parent}"
            )
    system = index.get("system")
    written_by = "mlflow-export-import"
    if isinstance(system, dict) and system.get("package_version"):
        written_by += f" {system['package_version']}"
    return Opened(
        base=base,
        registry=registry,
        identity=str(ours.get("identity") or ""),
        version=str(ours["format_version"]) if ours else written_by,
        listed=names_in(path, index, *EXPERIMENT_LISTS),
        listed_deleted=frozenset(names_in(path, index, EXPERIMENT_LISTS[1])),
        models_above=bool(ours.get("models_above")),
        notes=notes,
    )


def _notes(registry: RegistryPlaces) -> tuple[str, ...]:
    if not registry.lone or os.path.lexists(registry.models / EXPERIMENT_FILE):
        return ()
    return (
        f"runs and logged models beside {registry.models / MODEL_FILE} are not read: their"
        " experiments are not there",
    )
