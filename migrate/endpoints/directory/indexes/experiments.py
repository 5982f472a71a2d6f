"""experiment.json, experiments.json and logged_models.json: what our exports say in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    EXPERIMENTS,
    EXPERIMENTS_FILE,
    LOGGED_MODELS,
    LOGGED_MODELS_FILE,
    RUNS,
    directory_name,
)
from migrate.endpoints.directory.native.envelope import (
    DURATION,
    system_block,
    write_index,
    write_timed_index,
)
from migrate.endpoints.directory.native.kept_permissions import (
    PERMISSIONS,
    change_of,
    with_permissions,
)
from migrate.endpoints.directory.native.records import experiment_from_json, experiment_to_json
from migrate.endpoints.directory.native.run_file import mlflow_member
from migrate.endpoints.disk import (
    DAMAGED,
    create_object,
    load_object,
    write_object,
    writing,
)
from migrate.endpoints.shapes import Object, required, text
from migrate.errors import DirectoryError, Malformed
from migrate.objects import DELETED, Experiment, LoggedModel, Permissions, Run


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


_LISTS = ("experiments", "deleted_experiments")


class Whole(NamedTuple):
    """A whole run or logged model: when it began, the name of its directory."""

    time: int
    name: str
    deleted: bool


@dataclass(slots=True)
class Contents:
    """What is in an experiment's directory: what is whole, and names of what is not."""

    runs: list[Whole] = field(default_factory=list)
    failed_runs: list[str] = field(default_factory=list)
    logged_models: list[Whole] = field(default_factory=list)
    failed_logged_models: list[str] = field(default_factory=list)

    def add_run(self, run: Run) -> None:
        """Add a whole run."""
        name = directory_name(run.run_id)
        self.runs.append(Whole(run.start_time, name, run.lifecycle_stage == DELETED))

    def add_logged_model(self, model: LoggedModel) -> None:
        """Add a whole logged model."""
        name = directory_name(model.model_id)
        deleted = model.lifecycle_stage == DELETED
        self.logged_models.append(Whole(model.creation_time or 0, name, deleted))

    def to_json(self, experiment: Mapping[str, Any]) -> dict[str, Any]:
        """Return what experiment.json says of ``experiment`` and what is in it, newest first.

        Deleted ones are apart: other tools fail to import an experiment that lists one.
        """
        return {
            "info": {
                "num_total_runs": len(self.runs) + len(self.failed_runs),
                "num_ok_runs": len(self.runs),
                "num_failed_runs": len(self.failed_runs),
                "failed_runs": sorted(self.failed_runs),
                "ok_logged_models": len(self.logged_models),
                "failed_logged_models": len(self.failed_logged_models),
                "ok_traces": 0,
                "failed_traces": 0,
            },
            "mlflow": {
                "experiment": dict(experiment),
                "runs": _names(self.runs, deleted=False),
                "deleted_runs": _names(self.runs, deleted=True),
                "logged_models": _names(self.logged_models, deleted=False),
                "deleted_logged_models": _names(self.logged_models, deleted=True),
                "traces": [],
            },
        }

    def logged_models_to_json(self, directory: str, name: object) -> dict[str, Any]:
        """Return what logged_models.json says of an experiment."""
        ok, failed = self.logged_models, sorted(self.failed_logged_models)
        entry = {"id": directory, "name": name, "logged_models": _names(ok, deleted=False)}
        return {
            "info": {
                "num_total_logged_models": len(ok) + len(failed),
                "num_ok_logged_models": len(ok),
                "num_failed_logged_models": len(failed),
                "failed_logged_models": failed,
            },
            "mlflow": {"experiments": [entry]},
        }


def _names(objects: Sequence[Whole], *, deleted: bool) -> list[str]:
    return [it.name for it in sorted(objects, reverse=True) if it.deleted == deleted]


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


def told_durations(base: Path) -> dict[str, float]:
    """Return the durations of experiments that an earlier export wrote, by their directories."""
    path = base / EXPERIMENTS_FILE
    if not os.path.lexists(path):
        return {}
    mlflow = load_object(base, path).get("mlflow")
    lists = [mlflow.get(name) for name in _LISTS] if isinstance(mlflow, dict) else []
    entries = [entry for found in lists if isinstance(found, list) for entry in found]
    return {
        str(entry["id"]): entry[DURATION]
        for entry in entries
        if isinstance(entry, dict) and "id" in entry and isinstance(entry.get(DURATION), float)
    }


def write_new_experiment(directory: Path, experiment: Experiment) -> None:
    """Make an experiment's directory. Raises ``StorageFull`` or ``DirectoryError``."""
    with writing(directory):
        (directory / RUNS).mkdir(parents=True, exist_ok=True)
    content = Contents().to_json(experiment_to_json(experiment))
    write_object(directory / EXPERIMENT_FILE, {"system": system_block(), **content})


def change_experiment(
    base: Path, directory: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """Change the ``mlflow.experiment`` member; nothing is written when it stays as it is."""
    path = directory / EXPERIMENT_FILE
    document = load_object(base, path)
    there = _experiment_in(path, document)
    wanted = dict(there)
    change(wanted)
    if wanted != there:
        document["mlflow"]["experiment"] = wanted
        write_object(path, document)


def _experiment_in(path: Path, document: Mapping[str, Any]) -> Object:
    """Return what experiment.json says of the experiment, which it was read from ``path``."""
    try:
        found = required(mlflow_member(path, document), "experiment")
        experiment_from_json(found, path.parent.name)
    except Malformed as error:
        raise DirectoryError(f"{path} is damaged: {error}", DAMAGED) from error
    return found


def keep_permissions(base: Path, directory: Path, wanted: Permissions) -> PermissionsWritten:
    """Write permissions into experiment.json in place of others; not when it has them already."""
    path = directory / EXPERIMENT_FILE
    document = load_object(base, path)
    there = mlflow_member(path, document)
    if there.get(PERMISSIONS) != wanted.document:
        document["mlflow"] = with_permissions(there, dict(wanted.document))
        write_object(path, document)
    return change_of(path, there, wanted)


def write_contents(base: Path, directory: Path, contents: Contents) -> ExperimentEntry:
    """Bring the lists of an experiment up to date; return its entry in experiments.json."""
    path = directory / EXPERIMENT_FILE
    document = load_object(base, path)
    experiment = _experiment_in(path, document)
    entry = ExperimentEntry(
        directory=directory.name,
        name=text(experiment, "name"),
        deleted=text(experiment, "lifecycle_stage") == DELETED,
        ok_runs=len(contents.runs),
        failed_runs=len(contents.failed_runs),
    )
    content = contents.to_json(experiment)
    content["mlflow"] = with_permissions(content["mlflow"], document["mlflow"].get(PERMISSIONS))
    write_index(path, content)
    if os.path.lexists(directory / LOGGED_MODELS):
        listed = contents.logged_models_to_json(directory.name, entry.name)
        write_index(directory / LOGGED_MODELS / LOGGED_MODELS_FILE, listed)
    return entry
