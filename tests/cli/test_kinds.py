"""What ``--kinds`` and ``--without`` leave out is not copied, not missed, and followed by need."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.seed import Source
from tests.seed_records import Api


class Filled(NamedTuple):
    """A server: its address, and ids of what is on it."""

    uri: str
    experiment: str
    made: str
    other: str


@pytest.fixture(scope="module")
def filled(fresh_source: TrackingServerProcess) -> Filled:
    """Two runs, one of which a version is made of, an issue, a scorer, a prompt and a queue."""
    with Source(fresh_source.uri) as source:
        experiment = source.experiment("churn")
        made, other = source.run("made it", experiment), source.run("other", experiment)
        source.artifact(made, "model/weights", b"abc")
        source.post("registered-models/create", {"name": "fraud"})
        place = {"source": f"runs:/{made}/model", "run_id": made}
        source.post("model-versions/create", {"name": "fraud", **place})
        source.trace(experiment)
    api = Api(fresh_source.uri)
    api("POST", "issues", {"experiment_id": experiment, "name": "rude", "description": "It is."})
    for name in ("asked", "asked again"):
        queue = {"experiment_id": experiment, "name": name, "queue_type": "CUSTOM"}
        api("POST", "review-queues/create", queue)
    api("POST", "mcp-servers", {"name": "io.github.ada/tools"})
    return Filled(fresh_source.uri, experiment, made, other)


def planned(typed: Typed, *args: str | Path) -> tuple[Counter[str], dict[str, Any]]:
    """Return how many objects of each kind would be copied, and the plan."""
    plan = json.loads(typed("plan", *args, "--json").stdout)
    kinds = Counter(it["kind"] for it in plan["tasks"] if it["action"] != "skip")
    return kinds, plan


def test_only_kinds_that_are_named_are_copied_and_others_are_not_missed(
    typed: Typed, filled: Filled, fresh_target: TrackingServerProcess
) -> None:
    ends = (filled.uri, fresh_target.uri, "--kinds", "runs,experiments")
    kinds, plan = planned(typed, *ends)
    assert kinds == {"experiment": 2, "run": 2}
    assert plan["unsupported"] == {}
    assert any("left out by --kinds" in note and "traces" in note for note in plan["notes"])
    assert "nothing lost" in typed("run", *ends).stdout
    assert "no difference." in typed("verify", *ends).stdout
    assert json.loads(typed("verify", *ends, "--json").stdout)["compared"] == kinds
    # Asked for all, the same server is not complete.
    typed("verify", *ends[:2], code=3)


def test_what_a_kind_needs_of_others_comes_along(
    typed: Typed, filled: Filled, fresh_target: TrackingServerProcess
) -> None:
    ends = (filled.uri, fresh_target.uri, "--kinds", "registered-models")
    kinds, plan = planned(typed, *ends)
    assert kinds == {"registered model": 1, "model version": 1, "run": 1, "experiment": 1}
    [run] = [it for it in plan["tasks"] if it["kind"] == "run"]
    assert run["id"] == filled.made
    why = typed("plan", *ends, "--why", f"run:{filled.made}").stdout
    assert "named by model version:fraud/1" in why
    typed("run", *ends)
    assert "no difference." in typed("verify", *ends).stdout
    assert "no difference." in typed("verify").stdout


def test_all_but_some_kinds_are_copied(
    typed: Typed, filled: Filled, fresh_target: TrackingServerProcess
) -> None:
    left_out = ("--without", "traces,runs,review-queues", "--without", "label-schemas,MCP servers")
    ends = (filled.uri, fresh_target.uri, *left_out)
    kinds, plan = planned(typed, *ends)
    assert (kinds["issue"], kinds["run"], kinds["trace"]) == (1, 1, 0)
    assert plan["unsupported"] == {}
    typed("run", *ends)
    assert "no difference." in typed("verify", *ends).stdout


@pytest.mark.thorough
def test_the_six_commands_take_them_too(
    typed: Typed, filled: Filled, fresh_target: TrackingServerProcess, tmp_path: Path
) -> None:
    export = str(tmp_path / "export")
    taken = ("--kinds", "experiments,runs,issues")
    env = {"MLFLOW_TRACKING_URI": filled.uri}
    typed("export-all", "--output-dir", export, *taken, env=env)
    kinds, _ = planned(typed, export, fresh_target.uri)
    assert kinds == {"experiment": 2, "run": 2, "issue": 1}
    env = {"MLFLOW_TRACKING_URI": fresh_target.uri}
    typed("import-all", "--input-dir", export, "--without", "issues", env=env)
    found = Api(fresh_target.uri)("POST", "issues/search", {"max_results": 10})
    assert found.get("issues", []) == []


def test_what_is_no_kind_or_leaves_out_what_is_named_is_an_error(typed: Typed) -> None:
    for command in ("plan", "run", "verify"):
        ends = (command, "http://127.0.0.1:1", "http://127.0.0.1:2")
        typed.fails(*ends, "--kinds", "rums", code=2, says="'rums' is no kind", hints="run")
        chosen = ("--models", "fraud", "--kinds", "runs")
        typed.fails(*ends, *chosen, code=2, says="leave out all registered models")
        chosen = ("--experiments", "churn", "--without", "experiments")
        typed.fails(*ends, *chosen, code=2, says="leave out all experiments")
