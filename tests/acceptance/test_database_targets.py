"""Everything is copied into Postgres, and from there back into a file, where it is as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy

from tests.acceptance.backing import postgres
from tests.acceptance.commands import Migration, reported_losses
from tests.cli.test_database_target import TABLES, assert_same_rows
from tests.conftest import RunMigrate
from tests.endpoints.databases import rows, unpacked, unpacked_artifacts


@pytest.fixture
def empty() -> Iterator[str]:
    with postgres() as uri:
        yield uri


def versions_of_rows(uri: str) -> list[tuple[object, ...]]:
    """Return what changes with every write to a row of what is copied."""
    engine = sqlalchemy.create_engine(uri)
    with engine.connect() as connection:
        return [
            (table, *row)
            for table in TABLES
            for row in connection.exec_driver_sql(f"SELECT xmin::text, ctid::text FROM {table}")
        ]


def test_it_arrives_whole_once_and_comes_back_as_it_was(
    empty: str, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    placed, back = tmp_path / "placed", tmp_path / "back.db"
    there = Migration(
        run_migrate=run_migrate,
        source=f"sqlite:///{source}",
        target=empty,
        state=tmp_path / "there.db",
        options=("--source-artifacts", str(files), "--target-artifacts", str(placed)),
    )
    _, report = there.run()
    assert report["failures"] == []
    _, verified = there.verify()
    assert verified["differences"] == []
    before = versions_of_rows(empty)
    assert len(before) > len(TABLES)
    _, again = there.run()
    assert sum(totals["wrote"] for totals in again["totals"].values()) == 0
    assert versions_of_rows(empty) == before

    engine = sqlalchemy.create_engine(empty)
    with engine.begin() as connection:
        following = "SELECT nextval('experiments_experiment_id_seq')"
        assert connection.exec_driver_sql(following).scalar() == 4

    returned = Migration(
        run_migrate=run_migrate,
        source=empty,
        target=f"sqlite:///{back}",
        state=tmp_path / "back-state.db",
        options=("--source-artifacts", str(placed), "--target-artifacts", str(tmp_path / "back")),
    )
    _, report = returned.run()
    assert report["failures"] == []
    assert_same_rows(source, back)


def test_what_postgres_cannot_hold_is_told_before_and_costs_itself(
    empty: str, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    [(full,)] = rows(source, "SELECT run_uuid FROM runs WHERE name = 'full'")
    with closing(sqlite3.connect(source)) as connection, connection:
        connection.execute("UPDATE runs SET name = ? WHERE run_uuid = ?", ["n" * 300, full])
        connection.execute("INSERT INTO tags VALUES ('nul', ?, ?)", ["a\0b", full])
        connection.execute("INSERT INTO tags VALUES ('long', ?, ?)", ["t" * 8001, full])
        connection.execute("INSERT INTO params VALUES (?, 'v', ?)", ["k" * 251, full])
        connection.execute(
            "UPDATE model_versions SET description = ? WHERE name = 'modelA' AND version = 1",
            ["d" * 5001],
        )
    migration = Migration(
        run_migrate=run_migrate,
        source=f"sqlite:///{source}",
        target=empty,
        state=tmp_path / "state.db",
        options=("--source-artifacts", str(files), "--target-artifacts", str(tmp_path / "placed")),
    )
    of_run = {(full, what) for what in ("name", "tag nul", "tag long", f"param {'k' * 60}")}
    _, plan = migration.plan()
    planned = {(task["id"], loss["what"]) for task in plan["tasks"] for loss in task["losses"]}
    assert planned >= of_run
    code, report = migration.run()
    assert (code, report["failures"]) == (3, [])
    assert reported_losses(report) >= of_run | {("modelA/1", "description")}
    _, again = migration.run()
    assert sum(totals["wrote"] for totals in again["totals"].values()) == 0
