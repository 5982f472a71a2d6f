"""mlflow-export-import as of late 2025: its exports are imported, and it imports ours.

Nothing of that age is on PyPI under its own name; databricks-mlflow-export-import 1.2.1 is its
source, and its exports have the layout that ours have.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.environments import environment
from tests.comparison import ORIGIN, Server, differences
from tests.comparison_models import compare_models
from tests.conftest import RunMigrate, ServerFactory
from tests.seed import START
from tests.seed_models import ModelSource, SeededModels

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

#: It needs pkg_resources, which setuptools 81 removed.
REQUIREMENTS = ("databricks-mlflow-export-import==1.2.1", "mlflow-skinny==3.17.2", "setuptools<81")
#: What is left of the versions of "fraud": it is imported under numbers of their own by them.
NUMBERS = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]


def other_tool(command: str, server: TrackingServerProcess, *options: str | Path) -> str:
    """Run one of its commands; return what it says. It ends with 0 whatever fails."""
    script = environment("mlflow-export-import", REQUIREMENTS) / "bin" / command
    done = subprocess.run(
        [script, *options],
        env={**os.environ, "MLFLOW_TRACKING_URI": server.uri},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr + done.stdout


@pytest.fixture(scope="module")
def filled(fresh_source: TrackingServerProcess) -> SeededModels:
    """A server with what this tool can export: quotes in names, for one, stop it."""
    with ModelSource(fresh_source.uri) as source:
        experiment = source.experiment(
            "/team/fraud", tags={"team": "risk", "mlflow.note.content": "n"}
        )
        parent = source.run("parent", experiment)
        child = source.run("child", experiment, tags={"mlflow.parentRunId": parent})
        for run in (parent, child):
            source.params(run, {"lr": "0.1", "empty": ""})
            source.metrics(run, [("loss", 0.5, START, 0), ("loss", 0.25, START + 1, 1)])
            source.artifact(run, "model/MLmodel", f"run_id: {run}\nflavors: {{}}\n".encode())
            source.artifact(run, "model/data/weights", b"w" * 5_000)
        model = source.logged_model(
            "forest", experiment, run_id=child, params={"depth": "3"}, tags={"kind": "tree"}
        )
        source.artifact(model, "MLmodel", f"model_id: {model}\nflavors: {{}}\n".encode())
        source.outputs(child, (model, 2))
        fraud = source.registered("fraud", description="finds fraud", tags={"owner": "ada"})
        for number in range(1, 12):
            tags = {"number": str(number)}
            source.version(fraud, f"runs:/{parent}/model", run_id=parent, tags=tags)
        source.stage(fraud, 3, "Production")
        source.alias(fraud, "champion", 10)
        source.delete_version(fraud, 4)
        trees = source.registered("trees")
        source.version(trees, f"models:/{model}", run_id=child, model_id=model)
        return source.seeded


def runs_copied(target: str) -> dict[str, str]:
    with Server(target) as server:
        found = server.runs(*(it["experiment_id"] for it in server.experiments().values()))
    pairs = ({tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in found)
    return {tags[ORIGIN]: run["info"]["run_id"] for tags, run in zip(pairs, found, strict=True)}


def numbers_of(server: TrackingServerProcess, name: str) -> list[int]:
    with ModelSource(server.uri) as source:
        query = f"model-versions/search?filter=name%3D%27{name}%27&max_results=100"
        return sorted(int(it["version"]) for it in source.send("GET", query, {})["model_versions"])


def test_its_export_of_everything_arrives(
    filled: SeededModels,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    other_tool("export-all", fresh_source, "--output-dir", tmp_path / "out")
    done = run_migrate(
        "import-all", "--input-dir", tmp_path / "out", "--target", fresh_target.uri, "--json"
    )
    report: Mapping[str, Any] = json.loads(done.stdout)
    assert (done.returncode, report["failures"], report["losses"]) == (0, [], [])
    files = {(run, "artifact model/MLmodel") for run in filled.runs.values()}
    assert differences(fresh_source.uri, fresh_target.uri, expected_losses=files) == []
    copies = runs_copied(fresh_target.uri)
    assert compare_models(fresh_source.uri, fresh_target.uri, copies) == []
    assert numbers_of(fresh_target, "fraud") == NUMBERS
    verified = run_migrate("verify", tmp_path / "out", fresh_target.uri, "--contents")
    assert verified.returncode == 0, verified.stdout
    again = run_migrate(
        "import-all", "--input-dir", tmp_path / "out", "--target", fresh_target.uri, "--json"
    )
    assert not any(totals["wrote"] for totals in json.loads(again.stdout)["totals"].values())


def test_it_imports_our_export_of_everything(
    filled: SeededModels,
    fresh_source: TrackingServerProcess,
    server_factory: ServerFactory,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    """Into a server with artifacts on a local disk: it makes no versions of others."""
    done = run_migrate("export-all", "--output-dir", tmp_path / "out", "--source", fresh_source.uri)
    assert done.returncode == 0, done.stderr
    with server_factory(
        serve_artifacts=False, default_artifact_root=str(tmp_path / "artifacts")
    ) as target:
        said = other_tool("import-all", target, "--input-dir", tmp_path / "out")
        assert "Traceback" not in said
        _assert_imported(fresh_source, target, filled)


def _assert_imported(
    source: TrackingServerProcess, target: TrackingServerProcess, filled: SeededModels
) -> None:
    with Server(source.uri) as original, Server(target.uri) as copy:
        experiment = copy.experiments()["/team/fraud"]
        assert {"key": "team", "value": "risk"} in experiment["tags"]
        copies = {run["info"]["run_name"]: run for run in copy.runs(experiment["experiment_id"])}
        originals = {
            run["info"]["run_name"]: run
            for run in original.runs(original.experiments()["/team/fraud"]["experiment_id"])
        }
    assert copies.keys() == originals.keys() == {"parent", "child"}
    for name, run in originals.items():
        for member in ("params", "metrics"):
            kept = [_plain(it) for it in copies[name]["data"][member]]
            assert kept == [_plain(it) for it in run["data"][member]]
    # It gives numbers of its own, in order of the numbers as text.
    assert numbers_of(target, "fraud") == list(range(1, len(NUMBERS) + 1))
    assert numbers_of(target, "trees") == [1]


def _plain(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(item[key] for key in ("key", "value", "timestamp", "step") if key in item)
