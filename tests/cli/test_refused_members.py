"""What a target refuses of a run costs itself: all else arrives, and the copy is complete."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.seed import START, Source

DATASET = {"name": "train", "digest": "1", "source_type": "local", "source": "{}"}
BATCH = ("POST", "/runs/log-batch$")


@pytest.fixture(scope="module")
def experiment(source_server: TrackingServerProcess) -> str:
    """The name of an experiment whose run has some of everything that no server takes today."""
    name = "refused members"
    with Source(source_server.uri) as source:
        run = source.run("odd", source.experiment(name))
        source.params(run, {f"param {n}": str(n) for n in range(60)})
        source.tags(run, {f"tag {n}": str(n) for n in range(20)})
        source.metrics(run, [("loss", n / 8, START + n, n) for n in range(300)])
        source.metrics(run, [("auc", n / 8, START + n, n) for n in range(30)])
        source.inputs(run, (DATASET, {"context": "a"}), ({**DATASET, "digest": "2"}, {}))
    database = source_server.directory / "mlflow.db"
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as rows, rows:
        # What a server that was less strict has let in.
        rows.execute("UPDATE params SET key = '/x' WHERE key = 'param 7' AND run_uuid = ?", [run])
        rows.execute("UPDATE metrics SET timestamp = -5 WHERE step = 17 AND run_uuid = ?", [run])
        for table in ("metrics", "latest_metrics"):
            rows.execute(f"UPDATE {table} SET key = '/auc' WHERE key = 'auc'")
        rows.execute("UPDATE datasets SET digest = ? WHERE digest = '2'", ["2" * 50])
    return name


def losses(text: str) -> set[str]:
    return {loss["what"] for loss in json.loads(text)["losses"]}


EXPECTED = {"param /x", "metric loss", "metric /auc", f"dataset input 'train' ({'2' * 36})"}


def test_each_refused_member_is_lost_by_name_and_all_else_arrives(
    typed: Typed,
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    experiment: str,
) -> None:
    target = proxy_factory(fresh_target.uri)
    ends = (source_server.uri, target.uri, "--experiments", experiment)
    out = typed("run", *ends, "--json", code=3).stdout
    assert losses(out) == EXPECTED, out
    assert len(target.matching(BATCH)) < 60

    with Source(fresh_target.uri) as there:
        found = there.post("experiments/search", {"max_results": 9})["experiments"]
        ids = [item["experiment_id"] for item in found if item["name"] == experiment]
        (run,) = there.post("runs/search", {"experiment_ids": ids})["runs"]
        query = f"run_id={run['info']['run_id']}&metric_key=loss&max_results=1000"
        points = there.send("GET", f"metrics/get-history?{query}", {})["metrics"]
    assert run["info"]["status"] == "FINISHED"
    assert len(run["data"]["params"]) == 59
    assert {f"tag {n}" for n in range(20)} <= {tag["key"] for tag in run["data"]["tags"]}
    assert len(points) == 299
    assert [item["dataset"]["digest"] for item in run["inputs"]["dataset_inputs"]] == ["1"]

    verified = json.loads(typed("verify", *ends, "--json").stdout)
    assert {loss["what"] for loss in verified["declared"]} == EXPECTED
    target.clear()
    assert losses(typed("run", *ends, "--json", code=3).stdout) == EXPECTED
    assert target.writes() == []


def test_through_an_export_the_same_members_are_lost_where_they_are_refused(
    typed: Typed,
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
    experiment: str,
) -> None:
    export = tmp_path / "export"
    typed("run", source_server.uri, export, "--experiments", experiment)
    assert losses(typed("run", export, fresh_target.uri, "--json", code=3).stdout) == EXPECTED
    typed("verify", export, fresh_target.uri)


@pytest.mark.thorough
def test_points_of_an_export_without_whole_times_are_lost_by_name_and_the_run_arrives(
    typed: Typed,
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
    unique_name: str,
) -> None:
    with Source(source_server.uri) as source:
        run = source.run("a", source.experiment(unique_name))
        source.metrics(run, [("loss", n / 8, START + n, n) for n in range(3)])
    export = tmp_path / "export"
    typed("run", source_server.uri, export, "--experiments", unique_name)
    (file,) = export.rglob("run.json")
    # As another tool may have written it.
    file.write_text(
        file.read_text().replace(f'"timestamp": {START + 1},', f'"timestamp": {START}.5,')
    )
    ends = (export, fresh_target.uri)
    for _ in range(2):
        assert losses(typed("run", *ends, "--json", code=3).stdout) == {"metric loss"}
    verified = json.loads(typed("verify", *ends, "--json").stdout)
    assert {loss["what"] for loss in verified["declared"]} == {"metric loss"}
