"""A little of everything, migrated in this process; and what arrived of it, counted."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
from typer.main import get_command

from migrate import scheduler
from migrate.endpoints.directory import ExportDirectory
from migrate.objects import Metric
from tests.commands import app
from tests.crash.model_samples import IS_PROMPT, add_logged_model
from tests.endpoints.exports import (
    POINTS,
    a_logged_model,
    a_prompt,
    a_prompt_version,
    a_registered_model,
    a_run,
    a_version,
    an_experiment,
    write_logged_model,
    write_registry,
    write_run,
)
from tests.memory import MEMORY
from tests.seed import START
from tests.seed_models import ModelSource

#: What must never be seen, whatever came in.
OF_DEFECTS = ("Traceback", "defect of mlflow-migrate", "unexpected ")
#: Made once: to put it together takes as long as a migration.
COMMAND = get_command(app)
AT_ONCE = 250
#: A migration of which one thing, chosen at random, is malformed; in a folder of its own.
Case = Callable[[Random, Path], None]


def seeds(few: int, many: int) -> pytest.MarkDecorator:
    """Have a test make cases of ``seeds``: a few of them every day, ``many`` in acceptance."""
    parts = [pytest.param(range(few), id="few")]
    for start in range(few, many, AT_ONCE):
        part = range(start, min(start + AT_ONCE, many))
        parts.append(pytest.param(part, id=str(start), marks=pytest.mark.thorough))
    return pytest.mark.parametrize("seeds", parts)


def each(seeds: range, case: Case) -> None:
    """Make each case, in a folder of its own. One that fails says its seed.

    The folder is the working directory too: what is malformed may name any place below it.
    """
    for seed in seeds:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder, chdir(folder):
            try:
                case(Random(seed), Path(folder))
            except BaseException as problem:
                problem.add_note(f"this was seed {seed}")
                raise


def write_little(path: Path, points: Sequence[Metric] = POINTS) -> None:
    """An export of two runs, two logged models, a registered model of two versions, a prompt.

    ``points`` are those of each run, in the order of their lines.
    """
    target = ExportDirectory(path, writable=True)
    target.experiments.create(an_experiment())
    for run_id in ("a" * 32, "b" * 32):
        write_run(target, a_run(run_id), points=points, files={"plots/a.txt": b"abc"})
    for model_id in ("m-1", "m-2"):
        write_logged_model(target, a_logged_model(model_id), files={"MLmodel": b"flavors: {}\n"})
    held = a_registered_model(aliases={"best": 2})
    write_registry(target, held, [a_version(1), a_version(2, aliases=("best",))])
    write_registry(target, a_prompt(), [a_prompt_version(1)])
    target.publish()
    target.close()


def seed_little(source: ModelSource) -> None:
    """An experiment of two runs, a logged model, a registered model of two versions, a prompt.

    And of each that can be alone one that nothing else names, so that nothing leads to it.
    """
    notes = source.experiment("notes", tags={"team": "risk"})
    source.run("alone", notes, tags={"stage": "dev"})
    source.registered("without versions", tags={"team": "risk"})
    experiment = source.experiment("churn", tags={"team": "risk"})
    run = source.run("train", experiment, tags={"stage": "dev"})
    source.params(run, {"lr": "0.1", "depth": "3"})
    source.metrics(run, [(key, 0.5, START + n, n) for key in ("loss", "auc") for n in range(3)])
    source.artifact(run, "plots/a.txt", b"abc")
    other = source.run("evaluate", experiment, tags={"mlflow.parentRunId": run})
    source.metrics(other, [("loss", 0.25, START, 0)])
    model = add_logged_model(source, "tree", experiment, run)
    source.model_inputs(other, model)
    registered = source.registered("churn", description="trees", tags={"team": "risk"})
    source.version(registered, f"models:/{model}", run_id=run, model_id=model)
    source.version(registered, f"runs:/{run}/plots", run_id=run)
    prompt = source.registered("greeting", tags=IS_PROMPT)
    source.version(prompt, "dummy-source", tags={**IS_PROMPT, "mlflow.prompt.text": "Hello"})


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    output: str


def migrate(*args: str | Path) -> Ended:
    """Run a command in this process. Whatever it raises but for its exit is raised."""
    said = io.StringIO()
    with (
        mock.patch.object(scheduler, "FIRST_PAUSE", 0.0),
        redirect_stdout(said),
        redirect_stderr(said),
        pytest.raises(SystemExit) as ended,
    ):
        COMMAND([str(arg) for arg in args], prog_name="migrate")
    return Ended(int(ended.value.code or 0), said.getvalue())


def check_ended(ended: Ended) -> None:
    """No traceback, and no word of a defect."""
    assert ended.code in (0, 1, 2, 3, 4), ended.output
    found = [words for words in OF_DEFECTS if words in ended.output]
    assert not found, ended.output


def count_in(directory: Path) -> Mapping[str, int]:
    """Count what an export holds, of every kind and every part that it has."""
    export = ExportDirectory(directory, writable=False)
    counts: Counter[str] = Counter()
    experiments = list(export.experiments.list())
    ids = [experiment.experiment_id for experiment in experiments]
    counts["experiments"] = len(ids)
    counts["tags of experiments"] = sum(len(experiment.tags) for experiment in experiments)
    for run in export.runs.list(ids):
        counts["runs"] += 1
        parts: dict[str, Any] = {
            "params": run.params,
            "tags": run.tags,
            "metric keys": run.latest_metrics,
            "points": export.runs.histories([run], 10**6)[run.run_id].points,
            "links": run.links.model_ids,
        }
        counts.update({name: len(part) for name, part in parts.items()})
    for model in export.logged_models.list(ids):
        counts["logged models"] += 1
        counts["metrics of logged models"] += len(model.metrics)
        counts["params and tags of logged models"] += len(model.params) + len(model.tags)
    registered = list(export.registered_models.list())
    counts["registered"] = len(registered)
    counts["aliases"] = sum(len(model.aliases) for model in registered)
    versions = list(export.model_versions.list(registered))
    counts["versions"] = len(versions)
    counts["tags of the registry"] = sum(len(entry.tags) for entry in (*registered, *versions))
    counts["files"] = sum(1 for path in directory.rglob("artifacts/**/*") if path.is_file())
    assert export.unreadable.all() == []
    return counts
