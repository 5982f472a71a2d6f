"""Nothing that a target makes up passes for a value of the source: runs without names."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.origins import STAND_IN
from tests.cli.conftest import Typed
from tests.cli.test_unstorable import found_in, tags_of
from tests.seed import Source

MADE_UP = "MLflow would make one up"


def unname(server: TrackingServerProcess, run_id: str, name: str | None) -> None:
    """Leave a run as MLflow 1.x made it: without a name, or with an empty one."""
    with closing(sqlite3.connect(server.directory / "mlflow.db", timeout=30)) as database, database:
        database.execute("UPDATE runs SET name = ? WHERE run_uuid = ?", (name, run_id))
        tag = (run_id, "mlflow.runName")
        database.execute("DELETE FROM tags WHERE run_uuid = ? AND key = ?", tag)


@pytest.fixture
def nameless(source_server: TrackingServerProcess, unique_name: str) -> list[str]:
    """Two runs of an experiment, both without a name."""
    with Source(source_server.uri) as source:
        experiment = source.experiment(unique_name)
        runs = [source.run(label, experiment) for label in "ab"]
    for run_id, name in zip(runs, (None, ""), strict=True):
        unname(source_server, run_id, name)
    return runs


@pytest.mark.thorough
def test_a_run_without_a_name_is_called_by_its_id_and_exports_of_the_copy_have_none(
    typed: Typed,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    nameless: list[str],
    unique_name: str,
    tmp_path: Path,
) -> None:
    chosen = ("--experiments", unique_name)
    ended = json.loads(typed("run", source_server.uri, target_server.uri, *chosen, "--json").stdout)
    assert [MADE_UP in item["warning"] for item in ended["warnings"]] == [True, True]
    typed("verify", source_server.uri, target_server.uri, *chosen)
    copies = found_in(target_server.uri, unique_name)
    assert {run["info"]["run_name"] for run in copies} == set(nameless)
    assert all(tags_of(run)[STAND_IN] == run["info"]["run_name"] for run in copies)

    # A name that somebody gives the copy is one.
    named = next(run for run in copies if run["info"]["run_name"] == nameless[0])
    with Source(target_server.uri) as target:
        target.post("runs/update", {"run_id": named["info"]["run_id"], "run_name": "mine"})
    typed("run", target_server.uri, tmp_path / "export", *chosen)
    typed("verify", target_server.uri, tmp_path / "export", *chosen)
    files = (tmp_path / "export").rglob("run.json")
    infos = [json.loads(file.read_text())["mlflow"]["info"] for file in files]
    assert sorted(info["run_name"] for info in infos) == ["", "mine"]


@pytest.mark.thorough
def test_through_a_directory_it_is_the_same(
    typed: Typed,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    nameless: list[str],
    unique_name: str,
    tmp_path: Path,
) -> None:
    typed("run", source_server.uri, tmp_path / "export", "--experiments", unique_name)
    assert MADE_UP in typed("run", tmp_path / "export", target_server.uri).stdout
    assert "Wrote nothing" in typed("run", tmp_path / "export", target_server.uri).stdout
    names = {run["info"]["run_name"] for run in found_in(target_server.uri, unique_name)}
    assert names == set(nameless)
