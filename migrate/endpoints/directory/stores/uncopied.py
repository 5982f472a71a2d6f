"""Counts what an export of other tools holds and this tool does not read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from pathlib import Path

from migrate.endpoints.directory.layout import EVALUATION_DATASETS
from migrate.endpoints.directory.stores.evaluation_datasets import SIMPLE
from migrate.endpoints.disk import load_object, reading
from migrate.errors import DirectoryError
from migrate.kinds import Kind


def count_datasets(export: Path, experiment_ids: Set[str] | None) -> Mapping[Kind, int]:
    """Count the evaluation datasets of an export; those of some experiments, or with None all.

    One that does not say which experiments it belongs to may be of these.
    """
    folder = export / EVALUATION_DATASETS
    files = (folder / name / "evaluation_dataset.json" for name in _directories(folder))
    count = sum(
        experiment_ids is None or _may_be_of(export, file, experiment_ids)
        for file in files
        if os.path.lexists(file)
    )
    return {SIMPLE.kind: count} if count else {}


def _may_be_of(export: Path, file: Path, experiment_ids: Set[str]) -> bool:
    try:
        content = load_object(export, file).get("mlflow")
    except DirectoryError:
        return True
    dataset = content.get("evaluation_dataset", content) if isinstance(content, dict) else None
    named = dataset.get("experiment_ids") if isinstance(dataset, dict) else None
    return not isinstance(named, list) or not experiment_ids.isdisjoint(map(str, named))


def _directories(path: Path) -> list[str]:
    if path.is_symlink() or not path.is_dir():
        return []
    with reading(path), os.scandir(path) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
