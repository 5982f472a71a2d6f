"""What mlflow-migration 1.2.2 exports of a real server arrives on another, or fails by name."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peer import MIGRATION
from migrate.demo.server import TrackingServerProcess
from tests.acceptance.commands import Losses
from tests.comparison import ORIGIN, Server, differences
from tests.comparison_models import compare_models
from tests.conftest import RunMigrate
from tests.seed import Seeded, seed_everything
from tests.seed_models import ModelSource, SeededModels
from tests.seed_registry import NUMBERS, seed_registry

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Filled:
    """A server with history, and what is in it; names are such that the peer can ask for them."""

    server: TrackingServerProcess
    seeded: Seeded
    models: SeededModels


@pytest.fixture(scope="module")
def filled(fresh_source: TrackingServerProcess) -> Filled:
    MIGRATION.build()
    seeded = seed_everything(fresh_source.uri, history_points=3_000)
    with ModelSource(fresh_source.uri) as source:
        seed_registry(source)
        return Filled(fresh_source, seeded, source.seeded)


def exported(filled: Filled, directory: Path, tool: str, *options: str) -> Path:
    """Let the peer export; it ends with 0 whatever it failed to export."""
    command = [MIGRATION.tool(tool), "--output-dir", str(directory), *options]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": filled.server.uri}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return directory


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def held(directory: Path) -> tuple[set[str], set[str], set[str]]:
    """The names of experiments in an export, the ids of their runs, those that failed."""
    names, runs, failed = set(), set(), set()
    for path in directory.rglob("experiment.json"):
        content = load(path)
        names.add(content["mlflow"]["experiment"]["name"])
        runs |= set(content["mlflow"]["runs"])
        failed |= set(content["info"]["failed_runs"])
    return names, runs, failed


def imported(
    run_migrate: RunMigrate, directory: Path, target: TrackingServerProcess
) -> tuple[dict[str, Any], Losses]:
    """Run `migrate` from the directory; return its report, and what failed of which object."""
    done = run_migrate("run", directory, target.uri, "--json", timeout=300)
    assert "Traceback" not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    again = run_migrate("run", directory, target.uri, "--json", timeout=300)
    assert json.loads(again.stdout)["failures"] == report["failures"]
    return report, {(failure["id"], failure["kind"]) for failure in report["failures"]}


def copies(target: str) -> Iterator[tuple[str, str]]:
    """Yield the id of each run's original and of its copy."""
    with Server(target) as server:
        for run in server.runs(*(it["experiment_id"] for it in server.experiments().values())):
            tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
            yield tags[ORIGIN], run["info"]["run_id"]


def not_held(filled: Filled, held_runs: set[str]) -> set[str]:
    """Ids of the source's runs that the export has not, or not whole."""
    with Server(filled.server.uri) as server:
        found = server.runs(*(it["experiment_id"] for it in server.experiments().values()))
        return {run["info"]["run_id"] for run in found} - held_runs


def assert_runs(filled: Filled, target: TrackingServerProcess, directory: Path) -> set[str]:
    """Compare the runs of an export with the source; return those that failed to export."""
    names, runs, failed = held(directory)
    # Each MLmodel file names the copy of its run; ``compare_models`` looks at these.
    files = {(run, "artifact model/MLmodel") for run in filled.models.runs.values()}
    found = differences(
        filled.server.uri,
        target.uri,
        experiments=names,
        expected_losses=filled.seeded.losses | files,
        ignore_runs=not_held(filled, runs),
    )
    assert found == []
    assert {origin for origin, _ in copies(target.uri)} == runs
    return failed


def declared(filled: Filled) -> Losses:
    """What of the registry no export of the peer holds: see ``seed_registry``."""
    return {
        ("without run", "copy"),
        (filled.models.models["logged"], "copy"),
        ("greeting", "alias live"),
        ("greeting", "tag _mlflow_experiment_ids"),
        ("of a logged model/1", "copy"),
    }


@pytest.mark.parametrize(
    ("tool", "options", "holds_prompts"),
    [
        ("export-all", (), True),
        (
            "export-models",
            ("--models", "all", "--export-all-runs", "True", "--export-version-model", "True"),
            False,
        ),
    ],
)
def test_an_export_of_models_arrives(
    filled: Filled,
    fresh_target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
    tool: str,
    options: tuple[str, ...],
    holds_prompts: bool,
) -> None:
    directory = exported(filled, tmp_path / "out", tool, *options)
    assert load(directory / "models" / "models.json")["info"]["failed_models"] == ["without run"]
    _, failures = imported(run_migrate, directory, fresh_target)
    failed_runs = assert_runs(filled, fresh_target, directory)
    assert failures == {
        *((run, "run") for run in failed_runs),
        ("without run", "registered model"),
        ("of a logged model/1", "model version"),
    }
    of_prompts = set() if holds_prompts else {("greeting", "copy")}
    runs = dict(copies(fresh_target.uri))
    found = compare_models(
        filled.server.uri, fresh_target.uri, runs, declared=declared(filled) | of_prompts
    )
    assert found == []
    with ModelSource(fresh_target.uri) as target:
        query = "model-versions/search?filter=name%3D%27fraud%27&max_results=100"
        versions = target.send("GET", query, {})["model_versions"]
    assert sorted(int(version["version"]) for version in versions) == NUMBERS


def test_an_export_of_experiments_arrives(
    filled: Filled,
    fresh_target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    directory = exported(filled, tmp_path / "out", "export-experiments", "--experiments", "all")
    _, failures = imported(run_migrate, directory, fresh_target)
    failed_runs = assert_runs(filled, fresh_target, directory)
    # It cannot download files of such names, and says so in experiment.json alone.
    assert failed_runs == {filled.seeded.runs["artifacts"]}
    assert failures == {(run, "run") for run in failed_runs}
