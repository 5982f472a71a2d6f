"""What is in an experiment, as experiment.json and logged_models.json list it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.directory.indexes.experiments import ExperimentEntry
from migrate.endpoints.directory.indexes.updates import write_index
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    LOGGED_MODELS,
    LOGGED_MODELS_FILE,
    RUNS,
    TRACES,
    TRACES_FILE,
    directory_name,
)
from migrate.endpoints.directory.native.envelope import system_block
from migrate.endpoints.directory.native.experiment_file import experiment_in
from migrate.endpoints.directory.native.kept_permissions import PERMISSIONS, with_permissions
from migrate.endpoints.directory.native.records import experiment_to_json
from migrate.endpoints.disk import load_object, write_object, writing
from migrate.endpoints.shapes import text
from migrate.objects import DELETED, Experiment, LoggedModel, Run
from migrate.traces import Trace


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
    traces: list[str] = field(default_factory=list)
    other_traces: list[str] = field(default_factory=list)
    failed_traces: list[str] = field(default_factory=list)

    def add_run(self, run: Run) -> None:
        """Add a whole run."""
        name = directory_name(run.run_id)
        self.runs.append(Whole(run.start_time, name, run.lifecycle_stage == DELETED))

    def add_logged_model(self, model: LoggedModel) -> None:
        """Add a whole logged model."""
        name = directory_name(model.model_id)
        deleted = model.lifecycle_stage == DELETED
        self.logged_models.append(Whole(model.creation_time or 0, name, deleted))

    def add_trace(self, trace: Trace, *, has_dump: bool) -> None:
        """Add a whole trace, after those that began before it.

        Without a dump of its spans it is apart: other tools fail to import it.
        """
        names = self.traces if has_dump else self.other_traces
        names.append(directory_name(trace.trace_id))

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
                "ok_traces": len(self.traces) + len(self.other_traces),
                "failed_traces": len(self.failed_traces),
            },
            "mlflow": {
                "experiment": dict(experiment),
                "runs": _names(self.runs, deleted=False),
                "deleted_runs": _names(self.runs, deleted=True),
                "logged_models": _names(self.logged_models, deleted=False),
                "deleted_logged_models": _names(self.logged_models, deleted=True),
                "traces": self.traces[::-1],
                "other_traces": self.other_traces[::-1],
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

    def traces_to_json(self, directory: str, name: object) -> dict[str, Any]:
        """Return what traces.json says of an experiment."""
        ok, failed = len(self.traces) + len(self.other_traces), sorted(self.failed_traces)
        return {
            "info": {
                "num_total_trace": ok + len(failed),
                "num_ok_traces": ok,
                "num_failed_traces": len(failed),
                "failed_traces": failed,
            },
            "mlflow": {
                "experiments": [{"id": directory, "name": name, "traces": self.traces[::-1]}]
            },
        }


def _names(objects: Sequence[Whole], *, deleted: bool) -> list[str]:
    return [it.name for it in sorted(objects, reverse=True) if it.deleted == deleted]


def write_new_experiment(directory: Path, experiment: Experiment) -> None:
    """Make an experiment's directory. Raises ``StorageFull`` or ``DirectoryError``."""
    with writing(directory):
        (directory / RUNS).mkdir(parents=True, exist_ok=True)
    content = Contents().to_json(experiment_to_json(experiment))
    write_object(directory / EXPERIMENT_FILE, {"system": system_block(), **content})


def write_contents(base: Path, directory: Path, contents: Contents) -> ExperimentEntry:
    """Bring the lists of an experiment up to date; return its entry in experiments.json."""
    path = directory / EXPERIMENT_FILE
    document = load_object(base, path)
    experiment = experiment_in(path, document)
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
    if os.path.lexists(directory / TRACES):
        listed = contents.traces_to_json(directory.name, entry.name)
        write_index(directory / TRACES / TRACES_FILE, listed)
    return entry
