"""A little of everything, migrated in this process; and what arrived of it, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from typer.testing import CliRunner

from migrate import scheduler
from migrate.cli import app
from migrate.endpoints.directory import ExportDirectory
from tests.crash.model_samples import IS_PROMPT, add_logged_model
from tests.seed import START
from tests.seed_models import ModelSource

#: What must never be seen, whatever came in.
OF_DEFECTS = ("Traceback", "defect of mlflow-migrate", "unexpected ")


def seed_little(source: ModelSource) -> None:
    """An experiment of two runs, a logged model, a registered model of two versions, a prompt."""
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
    with mock.patch.object(scheduler, "FIRST_PAUSE", 0.0):
        result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.output)


def check_ended(ended: Ended) -> None:
    """No traceback, and no word of a defect."""
    assert ended.code in (0, 1, 2, 3, 4), ended.output
    found = [words for words in OF_DEFECTS if words in ended.output]
    assert not found, ended.output


def count_in(directory: Path) -> Mapping[str, int]:
    """Count what an export holds, of every kind and every part of a run."""
    export = ExportDirectory(directory, writable=False)
    counts: Counter[str] = Counter()
    ids = [experiment.experiment_id for experiment in export.experiments()]
    counts["experiments"] = len(ids)
    for run in export.runs(ids):
        counts["runs"] += 1
        parts: dict[str, Any] = {
            "params": run.params,
            "tags": run.tags,
            "metric keys": run.latest_metrics,
            "points": export.histories([run], 10**6)[run.run_id].points,
            "links": run.links.model_ids,
        }
        counts.update({name: len(part) for name, part in parts.items()})
    for model in export.logged_models(ids):
        counts["logged models"] += 1
        counts["metrics of logged models"] += len(model.metrics)
    registered = list(export.registered_models())
    counts["registered"] = len(registered)
    counts["aliases"] = sum(len(model.aliases) for model in registered)
    counts["versions"] = len(list(export.model_versions(registered)))
    counts["files"] = sum(1 for path in directory.rglob("artifacts/**/*") if path.is_file())
    assert export.unreadable() == []
    return counts
