"""experiment.json and experiments.json: what our exports say in them."""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.directory.disk import DAMAGED, load_object, write_object, writing
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    EXPERIMENTS_FILE,
    EXPORT_FILE_VERSION,
    FORMAT_VERSION,
    RUNS,
    directory_name,
)
from migrate.endpoints.directory.records import MALFORMED, experiment_to_json, readable_time
from migrate.errors import DirectoryError
from migrate.objects import DELETED, Experiment, Run

OURS = "mlflow_migrate"  #: our member of the ``system`` block


class ExperimentEntry(NamedTuple):
    """An experiment in experiments.json; ``directory`` is its id where that is a safe name."""

    directory: str
    name: str
    deleted: bool
    ok_runs: int
    failed_runs: int

    def to_json(self) -> dict[str, Any]:
        """Return it under the names other tools read it by."""
        return {
            "id": self.directory,
            "name": self.name,
            "ok_runs": self.ok_runs,
            "failed_runs": self.failed_runs,
        }


@dataclass(slots=True)
class RunList:
    """The runs of an experiment's directory: whole ones, and names of those that are not."""

    whole: list[tuple[int, str, bool]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Add a whole run."""
        name = directory_name(run.run_id)
        self.whole.append((run.start_time, name, run.lifecycle_stage == DELETED))

    def to_json(self, experiment: Mapping[str, Any]) -> dict[str, Any]:
        """Return what experiment.json says of ``experiment`` and its runs, newest first.

        Deleted runs are apart: other tools fail to import an experiment that lists one.
        """
        newest_first = sorted(self.whole, reverse=True)
        return {
            "info": {
                "num_total_runs": len(self.whole) + len(self.failed),
                "num_ok_runs": len(self.whole),
                "num_failed_runs": len(self.failed),
                "failed_runs": sorted(self.failed),
                "ok_logged_models": 0,
                "failed_logged_models": 0,
                "ok_traces": 0,
                "failed_traces": 0,
            },
            "mlflow": {
                "experiment": dict(experiment),
                "runs": [name for _, name, deleted in newest_first if not deleted],
                "deleted_runs": [name for _, name, deleted in newest_first if deleted],
                "logged_models": [],
                "traces": [],
            },
        }


def write_experiments_file(
    base: Path, identity: str, entries: Sequence[ExperimentEntry] = ()
) -> None:
    """Write experiments.json, unless it says so already.

    Deleted experiments are apart: other tools import every experiment of the list as an active
    one. Raises ``StorageFull`` or ``DirectoryError``.
    """
    ok = sum(entry.ok_runs for entry in entries)
    failed = sum(entry.failed_runs for entry in entries)
    content = {
        "info": {
            "experiment_names": [entry.name for entry in entries],
            "options": {},
            "status": {
                "experiments": len(entries),
                "total_runs": ok + failed,
                "ok_runs": ok,
                "failed_runs": failed,
            },
        },
        "mlflow": {
            "experiments": [entry.to_json() for entry in entries if not entry.deleted],
            "deleted_experiments": [entry.to_json() for entry in entries if entry.deleted],
        },
    }
    _write_changed(base / EXPERIMENTS_FILE, content, identity)


def write_new_experiment(directory: Path, experiment: Experiment) -> None:
    """Make an experiment's directory. Raises ``StorageFull`` or ``DirectoryError``."""
    with writing(directory):
        (directory / RUNS).mkdir(parents=True, exist_ok=True)
    content = RunList().to_json(experiment_to_json(experiment))
    write_object(directory / EXPERIMENT_FILE, {"system": system_block(), **content})


def change_experiment(
    base: Path, directory: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """Change the ``mlflow.experiment`` member; nothing is written when it stays as it is."""
    path = directory / EXPERIMENT_FILE
    document = load_object(base, path)
    try:
        there = document["mlflow"]["experiment"]
        wanted = dict(there)
        change(wanted)
    except MALFORMED as error:
        raise DirectoryError(f"{path} is damaged: {error!r}", DAMAGED) from error
    if wanted != there:
        document["mlflow"]["experiment"] = wanted
        write_object(path, document)


def write_run_list(base: Path, directory: Path, runs: RunList) -> ExperimentEntry:
    """Bring the lists of experiment.json up to date; return its entry in experiments.json."""
    path = directory / EXPERIMENT_FILE
    document = load_object(base, path)
    try:
        experiment = document["mlflow"]["experiment"]
        entry = ExperimentEntry(
            directory=directory.name,
            name=experiment["name"],
            deleted=experiment["lifecycle_stage"] == DELETED,
            ok_runs=len(runs.whole),
            failed_runs=len(runs.failed),
        )
    except MALFORMED as error:
        raise DirectoryError(f"{path} is damaged: {error!r}", DAMAGED) from error
    _write_changed(path, runs.to_json(experiment))
    return entry


def system_block(identity: str = "") -> dict[str, Any]:
    """Return the ``system`` member that every file of an export begins with."""
    now = time.time()
    ours: dict[str, Any] = {"format_version": FORMAT_VERSION}
    if identity:
        ours["identity"] = identity
    return {
        "package_version": _installed("mlflow-migrate"),
        "script": "mlflow-migrate",
        "export_file_version": EXPORT_FILE_VERSION,
        "export_time": int(now),
        "_export_time": readable_time(int(now * 1000)),
        "mlflow_version": _installed("mlflow"),
        "platform": {"python_version": platform.python_version(), "system": platform.system()},
        "user": _user(),
        OURS: ours,
    }


def _write_changed(path: Path, content: Mapping[str, Any], identity: str = "") -> None:
    """Write an index when more than the time of writing would change in it."""
    if os.path.lexists(path):
        there = load_object(path.parent, path)
        if {key: there.get(key) for key in content} == content:
            return
    write_object(path, {"system": system_block(identity), **content})


@cache
def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return ""
