"""Planning reads the file of each run once, however many runs there are and whatever they are
called."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.addresses import Address
from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.directory.stores import contained
from migrate.graph.planner import make_plan
from migrate.graph.selection import Selection
from migrate.kinds import Kind
from migrate.objects import ModelLinks
from migrate.plans import Plan
from migrate.tasks.batches import Policy
from tests.endpoints.exports import (
    a_logged_model,
    a_run,
    an_experiment,
    write_logged_model,
    write_run,
)
from tests.graph.memory import MemoryServer

#: How many places of objects are remembered here, of two experiments with six runs each.
REMEMBERED = 4
RUNS = {experiment: [f"{experiment}{at:031x}" for at in range(6)] for experiment in ("7", "8")}


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export of ours with more runs than are remembered; each names a logged model."""
    monkeypatch.setattr(contained, "_PATHS_KEPT", REMEMBERED)
    target = ExportDirectory(tmp_path, writable=True)
    for experiment, runs in RUNS.items():
        target.experiments.create(an_experiment(experiment))
        model_id = f"m-{experiment}"
        for run_id in runs:
            links = ModelLinks((model_id,))
            write_run(target, a_run(run_id, experiment_id=experiment, links=links))
        model = a_logged_model(model_id, experiment_id=experiment, source_run_id=runs[0])
        write_logged_model(target, model)
    target.publish()
    target.close()
    return tmp_path


def change(path: Path, **changes: Any) -> None:
    """Change members of ``mlflow`` in a file, as if another tool had written it."""
    document = json.loads(path.read_text())
    del document["system"]["mlflow_migrate"]
    document["mlflow"] |= changes
    path.write_text(json.dumps(document))


def as_other_tools_write_it(export: Path, *, renamed: bool) -> None:
    """Leave out what only we write; with ``renamed``, directories are not called by ids."""
    change(export / "experiments.json")
    for experiment in RUNS:
        change(export / experiment / "experiment.json", runs=None)
    for sidecar in export.glob("*/*/*/migrate.json"):
        sidecar.unlink()
        for record in sidecar.parent.glob("*.json"):
            change(record)
        if renamed:
            sidecar.parent.rename(sidecar.parent.with_name(f"x{sidecar.parent.name}"))


def plan_counted(export: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Counter[Path]]:
    """Plan the copying of an export; count how often each of its files was opened."""
    opened: Counter[Path] = Counter()
    open_file = os.open

    def counted(path: Any, *arguments: Any, **options: Any) -> int:
        opened[Path(path)] += 1
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", counted)
    made = make_plan(
        ExportDirectory(export, writable=False),
        MemoryServer("target"),
        source_address=Address(uri=str(export), side="source"),
        target_address=Address(uri="http://new:5000", side="target", workers=2),
        selection=Selection(),
        policy=Policy(migration_id="m1"),
        options={},
    )
    return made, opened


@pytest.mark.parametrize("layout", ["ours", "foreign", "renamed"])
def test_planning_reads_each_run_once(
    export: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if layout != "ours":
        as_other_tools_write_it(export, renamed=layout == "renamed")
    made, opened = plan_counted(export, monkeypatch)
    runs = {task.ref.id for task in made.tasks if task.ref.kind is Kind.RUN}
    assert runs == {run_id for of_one in RUNS.values() for run_id in of_one}
    counts = {path: count for path, count in opened.items() if path.name == "run.json"}
    assert len(counts) == len(runs)
    assert set(counts.values()) == {1}
    for task in made.tasks:
        if task.ref.kind is Kind.LOGGED_MODEL:
            named_by = {ref.id for ref in task.needs if ref.kind is Kind.RUN}
            assert named_by == set(RUNS[task.container])
