"""Databases of servers as targets, and what goes wrong there: each object still comes once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy

from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.database.target.files import PlacedFiles
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.errors import (
    EndpointError,
    MigrateError,
    NotAuthenticated,
    Unavailable,
    UsageError,
)
from tests.acceptance.backing import (
    BY_CHARACTERS,
    MariaDB,
    full,
    mariadb,
    postgres,
    postgres_cluster,
    small_disk,
)
from tests.acceptance.test_database_targets import Empty, Ends, empty_of
from tests.cli.test_database_target import assert_same_rows
from tests.conftest import RunMigrate, StartMigrate
from tests.crash.test_database_targets import (
    PATIENCE,
    add_runs,
    assert_nothing_by_half,
    die_until_done,
    filled,
    kill_at_random,
)
from tests.endpoints.databases import rows, unpacked_artifacts
from tests.endpoints.exports import an_experiment

#: So that a migration takes some seconds.
MANY = 300


@pytest.fixture(params=["postgres", "mariadb"])
def empty(request: pytest.FixtureRequest) -> Iterator[Empty]:
    with empty_of(request.param, request) as made:
        yield made


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return Ends(filled(tmp_path), unpacked_artifacts(tmp_path), tmp_path / "placed")


def words(ends: Ends, target: str) -> tuple[object, ...]:
    places = ("--source-artifacts", ends.files, "--target-artifacts", ends.placed)
    return ("run", f"sqlite:///{ends.source}", target, *places, "--include-deleted")


def assert_once(ends: Ends, target: str, run_migrate: RunMigrate) -> None:
    """Check that all is there as it was, by copying it back into a file."""
    back = ends.placed.with_name("back.db")
    places = ("--source-artifacts", ends.placed, "--target-artifacts", ends.placed / "../back")
    done = run_migrate("run", target, f"sqlite:///{back}", *places, "--include-deleted")
    assert "Failed" not in done.stdout, done.stdout
    assert_same_rows(ends.source, back)


@pytest.mark.parametrize("moment", ["writing-rows", "rows-written"])
def test_no_object_is_ever_there_by_half(
    moment: str,
    empty: Empty,
    ends: Ends,
    start_migrate: StartMigrate,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    died = die_until_done(start_migrate, words(ends, empty.uri), tmp_path, moment, empty.answer)
    assert died > 3
    assert_once(ends, empty.uri, run_migrate)


def test_killed_at_random_moments_each_comes_once(
    empty: Empty, ends: Ends, start_migrate: StartMigrate, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    add_runs(ends.source, MANY)
    assert kill_at_random(start_migrate, words(ends, empty.uri), tmp_path, 20) > 3
    assert_nothing_by_half(ends.source, empty.answer)
    assert_once(ends, empty.uri, run_migrate)
    before = empty.written()
    run_migrate(*words(ends, empty.uri), "--state", tmp_path / "state.db")
    assert empty.written() == before


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_server_that_is_restarted_twice_is_waited_for(
    kind: str, ends: Ends, start_migrate: StartMigrate, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    add_runs(ends.source, MANY)
    with ExitStack() as running:
        uri, restart = _own_server(kind, running)
        empty = Empty(uri, lambda: None)
        process = start_migrate(*words(ends, uri), "--state", tmp_path / "state.db")
        for part in (MANY // 10, MANY // 2):
            _wait_for_runs(empty, part)
            assert process.poll() is None
            restart()
        ended = process.ended(PATIENCE)
        assert ended.returncode == 3, ended
        assert "Failed" not in ended.stdout
        assert_nothing_by_half(ends.source, empty.answer)
        assert_once(ends, uri, run_migrate)


@pytest.mark.parametrize("among_many", [True, False])
def test_a_connection_that_is_gone_is_one_to_try_again(empty: Empty, among_many: bool) -> None:
    """Also where it goes while very many rows are sent, past SQLAlchemy."""
    with closing(DatabaseTarget(empty.uri, files=PlacedFiles("/nowhere"))) as target:
        target.capabilities()
    columns = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")

    def points() -> Iterator[tuple[object, ...]]:
        ending = Thread(target=_disconnect_all, args=[empty])
        ending.start()
        ending.join()
        yield "loss", 1.0, 1, 0, False, "0" * 32

    def write(database: WrittenDatabase) -> None:
        with database.transaction() as transaction:
            assert transaction.rows("runs", ("run_uuid",)) == []
            if among_many:
                transaction.insert_many("metrics", columns, points)
            else:
                transaction.insert_all(
                    "metrics", (dict(zip(columns, it, strict=True)) for it in points())
                )

    with (
        closing(WrittenDatabase(empty.uri, "default")) as database,
        pytest.raises(Unavailable, match="cannot be reached"),
    ):
        write(database)


def _disconnect_all(empty: Empty) -> None:
    """End every connection but the one that this takes."""
    if empty.uri.startswith("postgres"):
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
        empty.answer(f"SELECT pg_terminate_backend(pid) {others}")
        return
    name = sqlalchemy.make_url(empty.uri).database
    here = f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"
    for (ident,) in empty.answer(f"{here} AND id <> connection_id()"):
        empty.answer(f"KILL {ident}")


def _own_server(
    kind: str, running: ExitStack, below: Path = Path("/tmp")
) -> tuple[str, Callable[[], None]]:
    """Run a server that no other test has; return the URI of a database, and what restarts it."""
    if kind == "postgres":
        cluster = running.enter_context(postgres_cluster(below))
        return cluster.uri, cluster.restart
    server = running.enter_context(mariadb(below))
    return server.database(BY_CHARACTERS), server.restart


def _wait_for_runs(empty: Empty, number: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if empty.answer("SELECT count(*) FROM runs")[0][0] >= number:
                return
        except sqlalchemy.exc.DBAPIError:
            pass  # it has no tables yet
        time.sleep(0.02)
    raise AssertionError("no runs arrive")


def test_a_lock_that_is_held_for_a_minute_is_waited_for(
    empty: Empty, ends: Ends, start_migrate: StartMigrate, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    """On MariaDB a wait ends after fifty seconds, and is tried again."""
    with closing(DatabaseTarget(empty.uri, files=PlacedFiles(str(ends.placed)))) as target:
        target.capabilities()
    engine = sqlalchemy.create_engine(empty.uri, poolclass=sqlalchemy.NullPool)
    began = time.monotonic()
    with engine.connect() as other:
        # A run that is not there yet, and is not committed.
        other.exec_driver_sql(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage, workspace) "
            "VALUES (1, 'alpha', 'active', 'default')"
        )
        process = start_migrate(*words(ends, empty.uri), "--state", tmp_path / "state.db")
        while time.monotonic() - began < 60:
            assert process.poll() is None
            time.sleep(0.5)
        other.rollback()
    ended = process.ended(PATIENCE)
    assert ended.returncode == 3, ended
    assert "Failed" not in ended.stdout, ended.stdout
    assert_once(ends, empty.uri, run_migrate)


def test_what_was_stopped_while_its_tables_were_made_says_how_to_go_on(
    mariadb_server: MariaDB,
    ends: Ends,
    start_migrate: StartMigrate,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    uri = mariadb_server.database(BY_CHARACTERS)
    name = uri.rpartition("/")[2]
    counted = f"SELECT count(*) FROM information_schema.tables WHERE table_schema = '{name}'"
    process = start_migrate(*words(ends, uri), "--state", tmp_path / "state.db")
    while mariadb_server.run(counted)[0][0] < 15:
        assert process.poll() is None
        time.sleep(0.01)
    process.signal_group()  # with the process that makes them
    process.ended(PATIENCE)
    told = run_migrate(*words(ends, uri), "--state", tmp_path / "state.db")
    assert told.returncode == 1
    assert "create it again" in " ".join(told.stderr.split())
    mariadb_server.run(f"DROP DATABASE {name}")
    mariadb_server.run(f"CREATE DATABASE {name} {BY_CHARACTERS}")
    run_migrate(*words(ends, uri), "--state", tmp_path / "state.db")
    assert_once(ends, uri, run_migrate)


def test_postgres_has_all_tables_or_none(
    ends: Ends, start_migrate: StartMigrate, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    changing = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'"
    there = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    with postgres() as uri:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)

        def answer(statement: str) -> int:
            with engine.connect() as connection:
                return int(connection.exec_driver_sql(statement).scalar_one())

        for locks in (1, 40, 100):
            process = start_migrate(*words(ends, uri), "--state", tmp_path / "state.db")
            while answer(changing) < locks:
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.ended(PATIENCE)
            while answer(changing):
                time.sleep(0.01)
            assert answer(there) == 0
        assert run_migrate(*words(ends, uri), "--state", tmp_path / "state.db").returncode == 3
        assert answer(there) > 50


def test_a_login_a_name_or_a_right_that_is_wrong_is_named(mariadb_server: MariaDB) -> None:
    uri = sqlalchemy.make_url(mariadb_server.database(BY_CHARACTERS))
    for wrong, error, says in (
        (uri.set(password="not this"), NotAuthenticated, "does not accept the login"),
        (uri.set(username="nobody"), NotAuthenticated, "does not accept the login"),
        (uri.set(database="nowhere"), UsageError, "is not there"),
        (uri.set(port=1), Unavailable, "cannot be reached"),
    ):
        address = wrong.render_as_string(hide_password=False)
        with pytest.raises(error, match=says) as raised:
            DatabaseTarget(address, files=PlacedFiles("/nowhere")).capabilities()
        assert raised.value.hint
        assert "not this" not in f"{raised.value} {raised.value.hint}"


def test_one_table_that_may_not_be_written_to_costs_what_has_rows_there(
    empty: Empty, ends: Ends, run_migrate: RunMigrate
) -> None:
    with closing(DatabaseTarget(empty.uri, files=PlacedFiles(str(ends.placed)))) as target:
        target.capabilities()
    uri = sqlalchemy.make_url(empty.uri)
    is_postgres = uri.get_backend_name() == "postgresql"
    if is_postgres:
        granted = ["CREATE ROLE poor LOGIN PASSWORD 'word'", "GRANT USAGE ON SCHEMA public TO poor"]
        granted += [
            f"GRANT {it} ON ALL {on} IN SCHEMA public TO poor"
            for it, on in (("SELECT, INSERT, UPDATE, DELETE", "TABLES"), ("ALL", "SEQUENCES"))
        ]
        granted += ["REVOKE INSERT ON params FROM poor"]
    else:
        granted = [
            "CREATE USER poor@'%%' IDENTIFIED BY 'word'",
            f"GRANT SELECT ON {uri.database}.* TO poor@'%%'",
        ]
        granted += [
            f"GRANT INSERT, UPDATE, DELETE ON {uri.database}.{table} TO poor@'%%'"
            for table in sqlalchemy.inspect(sqlalchemy.create_engine(uri)).get_table_names()
            if table != "params"
        ]
    for statement in granted:
        empty.answer(statement)
    poor = uri.set(username="poor", password="word").render_as_string(hide_password=False)
    done = run_migrate(*words(ends, poor), "--state", ends.placed.with_name("state.db"))
    assert done.returncode == 3
    assert "cannot be written to" in done.stdout
    with_params = {it for (it,) in rows(ends.source, "SELECT DISTINCT run_uuid FROM params")}
    there = {it for (it,) in empty.answer("SELECT run_uuid FROM runs")}
    assert there
    assert not there & with_params
    # With the right, the same command goes on.
    run_migrate(*words(ends, empty.uri), "--state", ends.placed.with_name("other.db"))
    assert_once(ends, empty.uri, run_migrate)


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        ("UPDATE alembic_version SET version_num = '97727af70f4d'", UsageError, "not upgraded"),
        ("UPDATE alembic_version SET version_num = 'fedcba987654'", UsageError, "does not know"),
        ("DELETE FROM alembic_version", EndpointError, "says of no revision"),
        ("DROP TABLE alembic_version", EndpointError, "says of no revision"),
        ("DROP TABLE experiment_tags", EndpointError, "lacks experiment_tags"),
    ],
)
def test_revision_and_tables_are_looked_at_before_anything_is_written(
    empty: Empty, damage: str, error: type[MigrateError], says: str
) -> None:
    with closing(DatabaseTarget(empty.uri, files=PlacedFiles("/nowhere"))) as target:
        target.experiments.create(an_experiment())
    empty.answer(damage)
    tables = sqlalchemy.inspect(sqlalchemy.create_engine(empty.uri)).get_table_names()
    with pytest.raises(error, match=says) as raised:
        DatabaseTarget(empty.uri, files=PlacedFiles("/nowhere")).capabilities()
    assert raised.value.hint
    assert "drop the database" not in raised.value.hint, "there are rows in it"
    after = sqlalchemy.inspect(sqlalchemy.create_engine(empty.uri)).get_table_names()
    assert sorted(after) == sorted(tables)
    assert empty.answer("SELECT count(*) FROM experiments") == [(1,)]


def test_a_disk_that_is_full_is_named_and_what_was_begun_comes_later(
    ends: Ends, run_migrate: RunMigrate
) -> None:
    add_runs(ends.source, MANY)
    state = ("--state", ends.placed.with_name("state.db"))
    with small_disk(250) as disk, postgres_cluster(disk) as cluster:
        with closing(DatabaseTarget(cluster.uri, files=PlacedFiles(str(ends.placed)))) as target:
            target.capabilities()
        with full(disk, 200_000):
            told = run_migrate(*words(ends, cluster.uri), *state)
            assert told.returncode == 1, told
            assert "no space is left" in told.stderr, told.stderr
            assert_nothing_by_half(ends.source, Empty(cluster.uri, lambda: None).answer)
        run_migrate(*words(ends, cluster.uri), *state)
        assert_once(ends, cluster.uri, run_migrate)


def test_a_mariadb_whose_disk_is_full_gets_the_rest_when_it_has_room_again(
    ends: Ends, run_migrate: RunMigrate
) -> None:
    """It may end by itself where its disk is full, so that it is one that cannot be reached."""
    add_runs(ends.source, MANY)
    state = ("--state", ends.placed.with_name("state.db"))
    with small_disk(400) as disk, ExitStack() as running:
        uri, restart = _own_server("mariadb", running, disk)
        with closing(DatabaseTarget(uri, files=PlacedFiles(str(ends.placed)))) as target:
            target.capabilities()
        with full(disk, 200_000):
            told = run_migrate(*words(ends, uri), *state)
            assert told.returncode in (1, 3), told
            said = " ".join((told.stdout + told.stderr).split())
            assert "no space is left" in said or "cannot be reached" in said, said
        restart()
        assert_nothing_by_half(ends.source, Empty(uri, lambda: None).answer)
        run_migrate(*words(ends, uri), *state)
        assert_once(ends, uri, run_migrate)
