"""A database is copied without its server: into a directory, and from there or directly to one."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate
from tests.conftest import ServerFactory
from tests.endpoints.databases import manifest, unpacked, unpacked_artifacts
from tests.endpoints.noted import assert_shown
from tests.traces.comparison import traces


def test_a_database_is_copied_into_a_directory(migrate: Migrate, tmp_path: Path) -> None:
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    ends = (f"sqlite:///{source}", tmp_path / "export", "--source-artifacts", files)
    migrate("run", *ends, "--include-deleted")
    spans = (tmp_path / "export").rglob("spans.json")
    assert sorted(len(json.loads(it.read_text())["spans"]) for it in spans) == [1, 2]
    found = {path.name for path in (tmp_path / "export").rglob("*") if path.is_file()}
    assert {"a.txt", "b b.txt", "100%.txt", "MLmodel", "m.py"} <= found
    migrate("verify", *ends, "--include-deleted")
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before


def test_what_is_broken_in_a_database_is_told_and_costs_itself(
    migrate: Migrate, tmp_path: Path
) -> None:
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    with closing(sqlite3.connect(source)) as database, database:
        database.execute("UPDATE spans SET content = '{' WHERE name = 'inner'")
        database.execute("UPDATE trace_info SET status = x'ff' WHERE trace_name = 'op'")
        database.execute("UPDATE evaluation_dataset_records SET source = '[' WHERE rowid = 1")
    ends = (f"sqlite:///{source}", tmp_path / "export", "--source-artifacts", files, "--json")
    report = json.loads(migrate("run", *ends, code=3).stdout)
    assert [it["what"].split()[0] for it in report["losses"]] == ["spans"]
    assert {it["kind"] for it in report["failures"]} == {"trace", "evaluation dataset"}
    assert report["totals"]["run"]["done"] == 5


@pytest.mark.thorough
def test_a_database_is_copied_to_a_server(
    migrate: Migrate, tmp_path: Path, server_factory: ServerFactory
) -> None:
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    with closing(sqlite3.connect(source)) as database, database:
        [linked] = database.execute("SELECT trace_id FROM spans WHERE name = 'root'").fetchone()
        database.execute(
            "INSERT INTO entity_associations SELECT 'a', 'trace', ?, 'run', run_uuid, 1 "
            "FROM runs WHERE name = 'full'",
            (linked,),
        )
        long = ("long", "x" * 300, linked)
        database.execute("INSERT INTO trace_request_metadata VALUES (?, ?, ?)", long)
    target = server_factory()
    ends = (f"sqlite:///{source}", target.uri, "--source-artifacts", files)
    migrate("run", *ends)
    again = migrate("run", *ends, "--json")
    assert '"create"' not in again.stdout
    client = MlflowClient(target.uri)
    assert_shown(client, manifest("3.17.2"))
    alpha = client.get_experiment_by_name("alpha").experiment_id
    [full] = client.search_runs([alpha], "run_name = 'full'")
    assert [*traces(target.uri, alpha, f"run_id = '{full.info.run_id}'")] == [linked]
    migrate("verify", *ends)
    with closing(sqlite3.connect(target.directory / "mlflow.db")) as database:
        kept = database.execute("SELECT * FROM trace_request_metadata WHERE key = 'long'")
        assert kept.fetchall() == [long], "what a server shows of it is cut"


def test_without_its_artifacts_a_database_says_what_to_do(migrate: Migrate, tmp_path: Path) -> None:
    source = unpacked("3.17.2", tmp_path)
    told = migrate("run", f"sqlite:///{source}", tmp_path / "export", code=3)
    assert "--source-artifacts" in told.stdout + told.stderr


def test_a_root_that_has_nothing_of_a_database_is_doubted(migrate: Migrate, tmp_path: Path) -> None:
    source, wrong = unpacked("1.30.1", tmp_path), tmp_path / "wrong"
    wrong.mkdir()
    ends = (f"sqlite:///{source}", tmp_path / "export", "--source-artifacts", wrong)
    told = migrate("run", *ends, code=3)
    assert "has a folder below --source-artifacts" in " ".join((told.stdout + told.stderr).split())


@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_is_no_database_is_wrong_usage(
    migrate: Migrate, tmp_path: Path, there: bool
) -> None:
    path = tmp_path / "mlflow.db"
    if there:
        path.write_text("notes")
    migrate.fails("plan", f"sqlite:///{path}", tmp_path / "export", code=2, says=str(path))
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("only_default", [False, True])
def test_a_server_and_its_own_database_are_no_two_ends(
    migrate: Migrate, own_source: TrackingServerProcess, only_default: bool
) -> None:
    client = MlflowClient(own_source.uri)
    client.create_run("0" if only_default else client.create_experiment("churn"))
    database = f"sqlite:///{own_source.directory / 'mlflow.db'}"
    migrate.fails("plan", database, own_source.uri, code=2, says="the same store")
    assert len(client.search_experiments()) == (1 if only_default else 2)


def test_two_servers_that_were_made_in_the_same_moment_are_two(
    migrate: Migrate, own_source: TrackingServerProcess, fresh_target: TrackingServerProcess
) -> None:
    MlflowClient(own_source.uri).create_run("0")
    database = f"sqlite:///{own_source.directory / 'mlflow.db'}"
    migrate("run", database, fresh_target.uri, code=3)  # its files are nowhere
    migrate("run", own_source.uri, fresh_target.uri, "--state", "another.db")
    assert len(MlflowClient(fresh_target.uri).search_runs(["0"])) == 1
