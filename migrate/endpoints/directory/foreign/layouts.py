"""Where things are in a directory that any tool may have written."""

from __future__ import annotations

import os
from pathlib import Path

from migrate.endpoints.directory.foreign.recognizing import what_it_is
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    EXPERIMENTS,
    EXPERIMENTS_FILE,
    MODEL_FILE,
    MODELS,
    MODELS_FILE,
    NOT_OBJECTS,
    PROMPT_FILE,
    PROMPT_VERSION,
    PROMPTS,
    PROMPTS_FILE,
    RUN_FILE,
    RUNS,
    VERSION_FILE,
    VERSIONS,
)
from migrate.endpoints.directory.places import RegistryPlaces
from migrate.endpoints.disk import refuse_links
from migrate.endpoints.file_stores import visible_names
from migrate.errors import WrongDirectory


def base_of(path: Path) -> Path | None:
    """Return where the experiments are; None where there is only a registry.

    Raises ``WrongDirectory`` when it is no export.
    """
    if not path.is_dir():
        raise WrongDirectory(*what_it_is(path))
    for base in (path, path / EXPERIMENTS):
        refuse_links(path, base)
        holds_one = os.path.lexists(base / EXPERIMENT_FILE) or holds_runs(base)
        if holds_one or os.path.lexists(base / EXPERIMENTS_FILE) or _has_experiments(base):
            return base
    registry = registry_of(path)
    if registry.lone or _holds_registry(registry):
        return None
    raise WrongDirectory(*what_it_is(path))


def registry_of(path: Path) -> RegistryPlaces:
    """Return where a registry would be; export-model and export-prompts have no level above."""
    lone = os.path.lexists(path / MODEL_FILE)
    bare = not os.path.lexists(path / PROMPTS) and (
        os.path.lexists(path / PROMPTS_FILE)
        or any(
            PROMPT_VERSION.match(name) and os.path.lexists(path / name / PROMPT_FILE)
            for name in visible_names(path)
        )
    )
    return RegistryPlaces(
        base=path,
        models=path if lone else path / MODELS,
        prompts=path if bare else path / PROMPTS,
        lone=lone,
    )


def _holds_registry(places: RegistryPlaces) -> bool:
    """Say whether something of a registry is there, damaged or not."""
    if os.path.lexists(places.models / MODELS_FILE) or os.path.lexists(places.prompts):
        return True
    for folder, _, files in os.walk(places.models):  # names with slashes are nested directories
        if MODEL_FILE in files or os.path.basename(folder) == VERSIONS:
            return True
    return False


def _has_experiments(base: Path) -> bool:
    if not base.is_dir():
        return False
    places = [base / name for name in visible_names(base) if name not in NOT_OBJECTS]
    return any(os.path.lexists(it / EXPERIMENT_FILE) or holds_runs(it) for it in places)


def holds_runs(experiment: Path) -> bool:
    """Say whether runs are where an experiment has them, be it described or not.

    Beside a registered model, or a version, lie the runs that it is made of.
    """
    if any(os.path.lexists(experiment / name) for name in (MODEL_FILE, VERSION_FILE)):
        return False
    return any(
        os.path.lexists(folder / name / RUN_FILE)
        for folder in (experiment, experiment / RUNS)
        if folder.is_dir() and not folder.is_symlink()
        for name in visible_names(folder)
    )
