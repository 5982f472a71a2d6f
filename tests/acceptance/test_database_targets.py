"""Everything is copied into Postgres and MariaDB, and from there back into a file, as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from mlflow import MlflowClient

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.backing import BY_CHARACTERS, MariaDB, postgres
from tests.acceptance.commands import Losses, Migration, planned_losses, reported_losses
from tests.cli.test_database_records import seed_all
from tests.cli.test_database_target import TABLES, assert_same_rows
from tests.comparison_records import kinds_that_differ
from tests.conftest import RunMigrate, ServerFactory
from tests.endpoints.databases import rows, unpacked, unpacked_artifacts
from tests.seed_records import Api

ENDS = ("postgres", "mariadb", "mariadb without case")


@dataclass(frozen=True)
class Empty:
    """A database without tables; ``written`` changes with every write to it."""

    uri: str
    written: Callable[[], Any]
    #: Whether it takes two keys for one which differ in case only.
    folds: bool = False

    def answer(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what it answers to a statement."""
        engine = sqlalchemy.create_engine(self.uri, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            answer = connection.exec_driver_sql(statement)
            return [tuple(row) for row in answer] if answer.returns_rows else []


@contextmanager
def empty_of(kind: str, request: pytest.FixtureRequest) -> Iterator[Empty]:
    """Make one of these."""
    with ExitStack() as running:
        if kind == "postgres":
            uri = running.enter_context(postgres())
            yield Empty(uri, lambda: versions_of_rows(uri))
        else:
            server: MariaDB = request.getfixturevalue("mariadb_server")
            folds = kind == "mariadb without case"
            uri = server.database("" if folds else BY_CHARACTERS)
            yield Empty(uri, server.written, folds)


@pytest.fixture(params=ENDS)
def empty(request: pytest.FixtureRequest) -> Iterator[Empty]:
    with empty_of(request.param, request) as made:
        yield made


def versions_of_rows(uri: str) -> list[tuple[object, ...]]:
    """Return what changes with every write to a row of what is copied."""
    engine = sqlalchemy.create_engine(uri)
    # An older MLflow makes no tables of what came since.
    there = sqlalchemy.inspect(engine).get_table_names()
    with engine.connect() as connection:
        return [
            (table, *row)
            for table in TABLES
            if table in there
            for row in connection.exec_driver_sql(f"SELECT xmin::text, ctid::text FROM {table}")
        ]


@dataclass(frozen=True)
class Ends:
    """A file of SQLite with every case, its files, and where those of its copy go."""

    source: Path
    files: Path
    placed: Path

    def migration(self, run_migrate: RunMigrate, target: str) -> Migration:
        """Copy it into a database."""
        return Migration(
            run_migrate=run_migrate,
            source=f"sqlite:///{self.source}",
            target=target,
            state=self.placed.with_name("state.db"),
            options=(
                *("--source-artifacts", str(self.files)),
                *("--target-artifacts", str(self.placed)),
            ),
        )

    def run_named(self, name: str) -> str:
        """Return the id of a run."""
        [(run_id,)] = rows(self.source, "SELECT run_uuid FROM runs WHERE name = ?", name)
        return str(run_id)


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return Ends(unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path), tmp_path / "placed")


def test_it_arrives_whole_once_and_comes_back_as_it_was(
    empty: Empty, ends: Ends, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    lost: Losses = {(ends.run_named("full"), "tag case")} if empty.folds else set()
    original = ends.source.read_bytes()
    there = ends.migration(run_migrate, empty.uri)
    _, plan = there.plan()
    assert planned_losses(plan) == lost
    _, report = there.run()
    assert report["failures"] == []
    assert reported_losses(report) == lost
    _, verified = there.verify()
    assert verified["differences"] == []
    before = empty.written()
    assert before
    _, again = there.run()
    assert sum(totals["wrote"] for totals in again["totals"].values()) == 0
    assert empty.written() == before
    assert ends.source.read_bytes() == original

    back = tmp_path / "back.db"
    returned = Migration(
        run_migrate=run_migrate,
        source=empty.uri,
        target=f"sqlite:///{back}",
        state=tmp_path / "back-state.db",
        options=(
            *("--source-artifacts", str(ends.placed)),
            *("--target-artifacts", str(tmp_path / "back")),
        ),
    )
    _, report = returned.run()
    assert report["failures"] == []
    assert empty.written() == before, "a source is never written to"
    if empty.folds:
        with closing(sqlite3.connect(ends.source)) as connection, connection:
            connection.execute("DELETE FROM tags WHERE key = 'case'")
    assert_same_rows(ends.source, back)


@pytest.fixture(scope="module")
def every_record(fresh_source: TrackingServerProcess) -> TrackingServerProcess:
    """A server with records of every kind."""
    seed_all(fresh_source.uri)
    return fresh_source


def test_records_of_every_kind_arrive_and_come_back_as_they_were(
    empty: Empty,
    every_record: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
    server_factory: ServerFactory,
) -> None:
    original, back = every_record.directory / "mlflow.db", tmp_path / "back.db"
    served = every_record.directory / "artifacts"
    placed = [served, *(tmp_path / name for name in ("placed", "placed again"))]
    for folder in placed:
        folder.mkdir(exist_ok=True)
    for source, target, files in (
        (f"sqlite:///{original}", empty.uri, placed[:2]),
        (empty.uri, f"sqlite:///{back}", placed[1:]),
    ):
        migration = Migration(
            run_migrate=run_migrate,
            source=source,
            target=target,
            state=files[1] / "state.db",
            options=("--source-artifacts", str(files[0]), "--target-artifacts", str(files[1])),
        )
        _, report = migration.run()
        assert report["failures"] == []
        assert {(it["kind"], it["what"]) for it in report["losses"]} == {("webhook", "secret")}
        _, verified = migration.verify()
        assert verified["differences"] == []
        _, again = migration.run()
        assert sum(totals["wrote"] for totals in again["totals"].values()) == 0
    assert_same_rows(original, back)
    values = (
        "SELECT secret_id, encrypted_value, wrapped_dek, kek_version, masked_value FROM secrets"
    )
    assert rows(back, values) == rows(original, values)
    with server_factory(
        backend_store_uri=empty.uri, artifacts_destination=str(placed[1])
    ) as server:
        assert kinds_that_differ(every_record.uri, server.uri) == []
        Api(server.uri).experiment("made afterwards")


def test_a_server_on_it_counts_on(
    empty: Empty, ends: Ends, run_migrate: RunMigrate, server_factory: ServerFactory
) -> None:
    ends.migration(run_migrate, empty.uri).run()
    options = {"backend_store_uri": empty.uri, "artifacts_destination": str(ends.placed)}
    with server_factory(**options) as server:
        client = MlflowClient(server.uri)
        [run] = client.search_runs(["1"], "run_name = 'full'")
        assert run.info.run_id == ends.run_named("full")
        ids = [int(client.create_experiment(name)) for name in ("next", "after it")]
        assert ids == [4, 5]
        made = client.create_run("1")
        client.log_metric(made.info.run_id, "loss", 0.5)
        version = client.create_model_version("modelA", "s3://b/x", made.info.run_id)
        [(last,)] = rows(
            ends.source,
            "SELECT max(version) FROM model_versions WHERE name = 'modelA' "
            "AND current_stage != 'Deleted_Internal'",
        )
        assert int(version.version) == last + 1


def test_what_it_cannot_hold_is_told_before_and_costs_itself(
    empty: Empty, ends: Ends, run_migrate: RunMigrate
) -> None:
    full = ends.run_named("full")
    with closing(sqlite3.connect(ends.source)) as connection, connection:
        connection.execute("UPDATE runs SET name = ? WHERE run_uuid = ?", ["n" * 300, full])
        connection.execute("INSERT INTO tags VALUES ('nul', ?, ?)", ["a\0b", full])
        connection.execute("INSERT INTO tags VALUES ('long', ?, ?)", ["t" * 8001, full])
        connection.execute("INSERT INTO params VALUES (?, 'v', ?)", ["k" * 251, full])
        connection.execute("INSERT INTO params VALUES ('sÄmE', 'v', ?)", [full])
        connection.execute("INSERT INTO params VALUES ('same', 'v', ?)", [full])
        connection.execute(
            "UPDATE model_versions SET description = ? WHERE name = 'modelA' AND version = 1",
            ["d" * 5001],
        )
        # What has room: the text of a prompt is longer than a tag of a registered model may be.
        connection.execute(
            "UPDATE model_version_tags SET value = ? WHERE key = 'mlflow.prompt.text'",
            ["p" * 20_000],
        )
    migration = ends.migration(run_migrate, empty.uri)
    of_run = {(full, what) for what in ("name", "tag long", f"param {'k' * 60}")}
    if empty.folds:
        of_run |= {(full, "tag case"), (full, "param sÄmE")}
    if empty.uri.startswith("postgres"):
        of_run |= {(full, "tag nul")}
    lost = {*of_run, ("modelA/1", "description")}
    _, plan = migration.plan()
    assert planned_losses(plan) >= of_run
    code, report = migration.run()
    assert (code, report["failures"]) == (3, [])
    assert reported_losses(report) == lost
    texts = "SELECT DISTINCT value FROM model_version_tags t WHERE t.key = 'mlflow.prompt.text'"
    assert empty.answer(texts) == [("p" * 20_000,)]
    _, again = migration.run()
    assert sum(totals["wrote"] for totals in again["totals"].values()) == 0


def test_keys_that_only_a_collation_takes_for_one_fail_by_name(
    mariadb_server: MariaDB, ends: Ends, run_migrate: RunMigrate
) -> None:
    """Two of the characters that general_ci knows nothing of are one to it, whatever they are."""
    uri = mariadb_server.database()
    full = ends.run_named("full")
    [(trace,), (other,)] = rows(ends.source, "SELECT request_id FROM trace_info ORDER BY 1")
    with closing(sqlite3.connect(ends.source)) as connection, connection:
        for key in ("\N{CAT FACE}", "\N{DOG FACE}"):
            connection.execute("INSERT INTO tags VALUES (?, 'v', ?)", [key, full])
            connection.execute(
                "INSERT INTO trace_tags (key, value, request_id) VALUES (?, 'v', ?)", [key, trace]
            )
        for key in ("Team", "team"):
            connection.execute(
                "INSERT INTO trace_tags (key, value, request_id) VALUES (?, 'v', ?)", [key, other]
            )
    code, report = ends.migration(run_migrate, uri).run()
    failed = {entry["id"]: entry["error"] for entry in report["failures"]}
    assert (code, [*failed]) == (3, [full])
    assert "takes for one" in failed[full]
    lost = {loss["what"]: loss["reason"] for loss in report["losses"]}
    assert "takes for one" in lost[f"trace {trace}"]
    assert f"tag team of trace {other}" in lost
    there = Empty(uri, mariadb_server.written)
    assert there.answer("SELECT request_id FROM trace_info") == [(other,)]
    assert there.answer(f"SELECT count(*) FROM runs WHERE run_uuid = '{full}'") == [(0,)]
    assert there.answer(f"SELECT count(*) FROM tags WHERE run_uuid = '{full}'") == [(0,)]
