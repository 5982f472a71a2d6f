"""A file store is copied without a server: into a directory, and to one."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate
from tests.comparison_records import NO_WRITES
from tests.conftest import ProxyFactory, StartMigrate
from tests.endpoints.filestores import listing, manifest, unpacked
from tests.endpoints.noted import assert_shown
from tests.faults import Faults, lose_response, on_nth


@pytest.mark.parametrize("named", ["path", "uri"])
def test_a_file_store_is_copied_into_a_directory(
    migrate: Migrate, tmp_path: Path, named: str
) -> None:
    (tmp_path / "my runs").mkdir()
    root = unpacked("3.8.1", tmp_path / "my runs")
    before = listing(root)
    ends = (root.as_uri() if named == "uri" else root, tmp_path / "export")
    planned = migrate("plan", *ends, "--include-deleted")
    assert "7 runs" in planned.stdout + planned.stderr
    migrate("run", *ends)
    found = {path.name for path in (tmp_path / "export").rglob("*") if path.is_file()}
    assert {"a.txt", "b b.txt", "100%.txt", "MLmodel", "m.py"} <= found
    migrate("verify", *ends, "--include-deleted", "--contents")
    assert listing(root) == before


@pytest.mark.parametrize("version", ["2.22.5", "3.8.1"])
def test_a_file_store_is_copied_to_a_server(
    migrate: Migrate,
    tmp_path: Path,
    fresh_target: TrackingServerProcess,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
) -> None:
    root = unpacked(version, tmp_path)
    before = listing(root)
    ends = (root, fresh_target.uri)
    migrate("run", *ends)
    migrate("verify", *ends)
    assert listing(root) == before
    monkeypatch.setenv("MLFLOW_TRACKING_URI", fresh_target.uri)  # for the files of traces
    _compare(MlflowClient(fresh_target.uri), manifest(version))


def test_a_killed_copy_of_a_file_store_goes_on_and_then_writes_nothing(
    migrate: Migrate,
    start_migrate: StartMigrate,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
) -> None:
    root = unpacked("3.8.1", tmp_path)
    target = proxy_factory(fresh_target.uri)
    ends = (root, target.uri, "--include-deleted")
    process = start_migrate("run", *ends)
    made = ("POST", "/runs/create$")
    target.faults = Faults(on_nth(made, 4, lose_response(process.signal_group)))
    assert process.wait(120) == -signal.SIGKILL
    migrate("run", root, target.uri, "--resume")
    migrate("verify", *ends)
    client = MlflowClient(fresh_target.uri)
    every = [it.experiment_id for it in client.search_experiments(ViewType.ALL)]
    runs = client.search_runs(every, run_view_type=ViewType.ALL)
    assert sorted(it.info.run_name for it in runs) == sorted(manifest("3.8.1")["runs"])
    target.clear()
    migrate("run", *ends)
    assert [it for it in target.writes() if not re.search(NO_WRITES, it.path)] == []


def _compare(client: MlflowClient, noted: dict[str, Any]) -> None:
    assert_shown(client, noted)
    alpha = client.get_experiment_by_name("alpha")
    models = client.search_logged_models([alpha.experiment_id])
    made = noted.get("logged_models", {}).items()
    assert {it.name for it in models} == {it for it, told in made if "lifecycle" not in told}
    for trace_id, told in noted["traces"].items():
        assert [it.name for it in client.get_trace(trace_id).data.spans] == told["spans"]


def test_two_experiments_of_one_name_are_not_merged_in_silence(
    migrate: Migrate, tmp_path: Path, fresh_target: TrackingServerProcess
) -> None:
    """As where somebody has put two stores together by hand."""
    root = unpacked("broken", tmp_path)
    planned = migrate("plan", root, fresh_target.uri)
    assert f"{'1' * 18}, {'3' * 18} are all called 'good'" in planned.stdout
    migrate("run", root, fresh_target.uri, code=3)
    client = MlflowClient(fresh_target.uri)
    good = client.get_experiment_by_name("good")
    assert len(client.search_runs([good.experiment_id])) == 13


def test_a_file_store_is_exported_by_the_names_of_other_tools(
    migrate: Migrate, tmp_path: Path
) -> None:
    root = unpacked("2.9.2", tmp_path)
    migrate("export-all", "--output-dir", tmp_path / "all", env={"MLFLOW_TRACKING_URI": str(root)})
    found = {path.name for path in (tmp_path / "all").rglob("*") if path.is_file()}
    assert {"experiments.json", "run.json", "model.json", "a.txt"} <= found
