"""Counts what an export of other tools holds and this tool does not read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from migrate.endpoints.directory.disk import load_object, reading
from migrate.endpoints.directory.layout import LOGGED_MODELS, MODELS, PROMPTS, TRACES
from migrate.endpoints.directory.run_file import mlflow_member
from migrate.errors import DirectoryError
from migrate.objects import Kind


def count_in_experiments(experiments: Iterable[Path]) -> Mapping[Kind, int]:
    """Count logged models and traces."""
    counts = {Kind.LOGGED_MODEL: 0, Kind.TRACE: 0}
    for experiment in experiments:
        counts[Kind.LOGGED_MODEL] += len(_directories(experiment / LOGGED_MODELS))
        counts[Kind.TRACE] += len(_directories(experiment / TRACES))
    return {kind: count for kind, count in counts.items() if count}


def count_registry(path: Path) -> Mapping[Kind, int]:
    """Count registered models and prompts (-1: there, but their index cannot be read)."""
    # A prompt has a directory for each of its versions.
    prompts = {re.sub(r"_v\d+\Z", "", name) for name in _directories(path / PROMPTS)}
    counts = {Kind.REGISTERED_MODEL: _count_models(path), Kind.PROMPT: len(prompts)}
    return {kind: count for kind, count in counts.items() if count}


def _count_models(path: Path) -> int:
    index = path / MODELS / "models.json"
    if not os.path.lexists(index):
        return len(_directories(path / MODELS))
    try:
        models = mlflow_member(index, load_object(path, index)).get("models")
    except DirectoryError:
        return -1
    return len(models) if isinstance(models, list) else -1


def _directories(path: Path) -> list[str]:
    if path.is_symlink() or not path.is_dir():
        return []
    with reading(path), os.scandir(path) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
