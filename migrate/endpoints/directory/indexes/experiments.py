"""experiments.json: which experiments an export holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.directory.indexes.listed import EXPERIMENT_LISTS
from migrate.endpoints.directory.indexes.updates import DURATION, write_timed_index
from migrate.endpoints.directory.layout import (
    EXPERIMENTS,
    EXPERIMENTS_FILE,
)
from migrate.endpoints.directory.native.envelope import system_block
from migrate.endpoints.disk import (
    create_object,
    load_object,
    writing,
)


class ExperimentEntry(NamedTuple):
    """An experiment in experiments.json; ``directory`` is its id where that is a safe name."""

    directory: str
    name: str
    deleted: bool
    ok_runs: int
    failed_runs: int
    duration: float = 0.0  # in seconds, of the export that last wrote into it

    def to_json(self) -> dict[str, Any]:
        """Return it under the names other tools read it by."""
        return {
            "id": self.directory,
            "name": self.name,
            "ok_runs": self.ok_runs,
            "failed_runs": self.failed_runs,
            DURATION: self.duration,
        }


def experiments_info(
    entries: Sequence[ExperimentEntry], options: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Return what experiments.json says in numbers and of the options of the export."""
    ok = sum(entry.ok_runs for entry in entries)
    failed = sum(entry.failed_runs for entry in entries)
    return {
        "experiment_names": [entry.name for entry in entries],
        "options": dict(options),
        "status": {
            DURATION: seconds,
            "experiments": len(entries),
            "total_runs": ok + failed,
            "ok_runs": ok,
            "failed_runs": failed,
        },
    }


def write_experiments_file(
    base: Path,
    ours: Mapping[str, object],
    entries: Sequence[ExperimentEntry],
    info: Mapping[str, Any],
) -> None:
    """Write experiments.json, unless it says so already; ``ours`` is what ``system_block`` takes.

    Raises ``StorageFull`` or ``DirectoryError``.
    """
    content = _experiments_to_json(entries, info)
    write_timed_index(base / EXPERIMENTS_FILE, content, ours)


def make_experiments_file(base: Path, ours: Mapping[str, object]) -> None:
    """Write an experiments.json without experiments, unless there is one by now.

    Raises ``StorageFull`` or ``DirectoryError``.
    """
    content = _experiments_to_json((), experiments_info((), {}, 0.0))
    create_object(base / EXPERIMENTS_FILE, {"system": system_block(ours), **content})


def _experiments_to_json(
    entries: Sequence[ExperimentEntry], info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what experiments.json says; other tools import all of ``experiments`` as active."""
    return {
        "info": info,
        "mlflow": {
            "experiments": [entry.to_json() for entry in entries if not entry.deleted],
            "deleted_experiments": [entry.to_json() for entry in entries if entry.deleted],
        },
    }


def write_experiments_for_models(
    base: Path, entries: Sequence[ExperimentEntry], info: Mapping[str, Any]
) -> None:
    """Write experiments/experiments.json, which leads import-models to the experiments above.

    That tool reads experiments/ beside models/, and goes to wherever an ``id`` leads from there.
    Raises ``StorageFull`` or ``DirectoryError``.
    """
    folder = base / EXPERIMENTS
    with writing(folder):
        folder.mkdir(exist_ok=True)
    above = [entry._replace(directory=f"../{entry.directory}") for entry in entries]
    write_experiments_file(folder, {"leads_up": True}, above, info)


def earlier_durations(base: Path) -> dict[str, float]:
    """Return the durations of experiments that an earlier export wrote, by their directories."""
    path = base / EXPERIMENTS_FILE
    if not os.path.lexists(path):
        return {}
    mlflow = load_object(base, path).get("mlflow")
    lists = [mlflow.get(name) for name in EXPERIMENT_LISTS] if isinstance(mlflow, dict) else []
    entries = [entry for found in lists if isinstance(found, list) for entry in found]
    return {
        str(entry["id"]): entry[DURATION]
        for entry in entries
        if isinstance(entry, dict) and "id" in entry and isinstance(entry.get(DURATION), float)
    }
