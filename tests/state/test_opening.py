"""What opening does with databases that are missing, old, new, foreign, damaged or locked away."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from migrate.errors import NewerState, StateError, StateInUse, UsageError
from state import schema
from state.store import StateStore
from tests.state.samples import EXPERIMENT, done, small_plan

NOBODY = 65534


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere; be someone else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed_directory() -> Iterator[Path]:
    """A directory others may read and nobody may write (pytest's own are private to root)."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


def execute(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run SQL beside the store; return the rows of the last statement."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state database with one plan, closed."""
    with StateStore.open(tmp_path / "state.db") as store:
        store.save_plan(small_plan())
    return tmp_path / "state.db"


def test_a_missing_file_is_made_with_its_directories(tmp_path: Path) -> None:
    with StateStore.open(tmp_path / "a" / "b" / "state.db"):
        assert (tmp_path / "a" / "b" / "state.db").exists()


@pytest.mark.parametrize("how", ["must_exist", "read_only"])
def test_a_missing_file_is_not_made_when_it_must_exist(tmp_path: Path, how: str) -> None:
    with pytest.raises(StateError, match=r"no state database at .*state\.db") as caught:
        StateStore.open(tmp_path / "a" / "state.db", **{how: True})
    assert "migrate plan" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["must_exist", "read_only"])
def test_an_empty_database_holds_no_state(tmp_path: Path, how: str) -> None:
    """So is a file whose process was killed before it made the tables."""
    (tmp_path / "state.db").touch()
    with pytest.raises(StateError, match="no state database"):
        StateStore.open(tmp_path / "state.db", **{how: True})
    with StateStore.open(tmp_path / "state.db") as store:
        assert store.migrations() == []


@pytest.mark.parametrize("prefix", ["sqlite:///", "sqlite+pysqlite:///"])
def test_a_sqlite_url_is_a_path(path: Path, prefix: str) -> None:
    with StateStore.open(f"{prefix}{path}", must_exist=True) as store:
        assert store.load_plan() == small_plan()


@pytest.mark.parametrize(
    ("location", "complaint"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("oracle://host/database", "oracle databases cannot"),
        ("://u:s3cret@host", "not a database URL"),
    ],
)
def test_other_places_are_refused_as_wrong_usage(location: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        StateStore.open(location)
    assert "s3cret" not in caught.value.message
    assert caught.value.hint


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(StateError, match=r"postgresql\+psycopg2://127\.0\.0\.1:1/db") as caught:
        StateStore.open("postgresql+psycopg2://me:s3cret@127.0.0.1:1/db")
    assert "s3cret" not in caught.value.message
    assert caught.value.hint


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(StateError, match=r"driver of .* is not installed"):
        StateStore.open("postgresql+nodriver://host/db")


def test_a_name_with_signs_of_uris_is_a_plain_path(tmp_path: Path) -> None:
    with StateStore.open(tmp_path / "50% of #1?.db") as store:
        store.save_plan(small_plan())
    assert (tmp_path / "50% of #1?.db").exists()
    with StateStore.open(tmp_path / "50% of #1?.db", read_only=True) as store:
        assert store.load_plan() == small_plan()


def test_a_newer_state_is_refused_by_both_versions(path: Path) -> None:
    execute(path, "UPDATE state_version SET version = 70")
    for read_only in (False, True):
        with pytest.raises(NewerState, match=rf"version 70; .* up to {NOW}") as caught:
            StateStore.open(path, read_only=read_only)
        assert "Upgrade mlflow-migrate" in caught.value.hint
    assert execute(path, "SELECT version FROM state_version") == [(70,)]


#: The version of states that are made today.
NOW = schema.VERSION


def add_column(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE task ADD COLUMN weight INTEGER NOT NULL DEFAULT 3")


def fail(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT no_such_function()")


def test_an_older_state_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def halve(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE task SET weight = weight - 1")

    monkeypatch.setattr(schema, "VERSION", NOW + 2)
    monkeypatch.setattr(schema, "UPGRADES", {NOW: add_column, NOW + 1: halve})
    with StateStore.open(path) as store:
        assert store.load_plan() == small_plan()
    assert execute(path, "SELECT version FROM state_version") == [(NOW + 2,)]
    assert set(execute(path, "SELECT weight FROM task")) == {(2,)}


def test_a_failed_upgrade_leaves_the_state_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(schema, "VERSION", NOW + 2)
        patched.setattr(schema, "UPGRADES", {NOW: add_column, NOW + 1: fail})
        with pytest.raises(StateError, match="no_such_function"):
            StateStore.open(path)
    assert execute(path, "SELECT version FROM state_version") == [(NOW,)]
    assert "weight" not in {row[1] for row in execute(path, "PRAGMA table_info(task)")}
    with StateStore.open(path) as store:
        assert store.load_plan() == small_plan()


def test_a_reader_does_not_upgrade(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "VERSION", NOW + 1)
    monkeypatch.setattr(schema, "UPGRADES", {NOW: add_column})
    with pytest.raises(StateError, match=f"version {NOW}, which is older"):
        StateStore.open(path, read_only=True)
    assert execute(path, "SELECT version FROM state_version") == [(NOW,)]


def shape(path: Path) -> dict[str, object]:
    """Everything about the tables that an upgrade has to get right."""
    tables = execute(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
    return {
        str(name): (
            execute(path, f"PRAGMA table_info({name})"),
            sorted(execute(path, f"PRAGMA foreign_key_list({name})")),
            sorted(
                [unique, *execute(path, f"PRAGMA index_info('{index}')")]
                for _, index, unique, *_ in execute(path, f"PRAGMA index_list({name})")
            ),
        )
        for (name,) in tables
    }


def test_upgrading_the_first_version_gives_the_tables_of_today(path: Path, tmp_path: Path) -> None:
    """Whoever changes a table must raise the version and write the upgrade."""
    old = tmp_path / "old.db"
    script = Path(__file__).with_name("version-1.sql").read_text()
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.executescript(script)
    with StateStore.open(old) as store:
        store.save_plan(small_plan())
        store.record("m1", [done(EXPERIMENT)], {})
    assert shape(old) == shape(path)


def test_the_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "mlflow.db"
    execute(other, "CREATE TABLE experiments (id INTEGER)", "INSERT INTO experiments VALUES (1)")
    before = other.read_bytes()
    with pytest.raises(StateError, match="something else: it has the table 'experiments'"):
        StateStore.open(other)
    assert other.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("content", [b"not a database at all\n" * 200, b"\0" * 8192])
def test_a_file_that_is_no_database_is_named(
    tmp_path: Path, content: bytes, read_only: bool
) -> None:
    (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(StateError, match=r"state\.db is damaged, or no state") as caught:
        StateStore.open(tmp_path / "state.db", read_only=read_only)
    assert "origin" in caught.value.hint
    assert (tmp_path / "state.db").read_bytes() == content


def test_a_damaged_page_is_noticed_when_it_is_read(path: Path) -> None:
    content = path.read_bytes()
    page = 4096
    path.write_bytes(content[:page] + b"\xa5" * (len(content) - page))
    with pytest.raises(StateError, match="damaged"), StateStore.open(path) as store:
        store.load_plan()


def test_a_truncated_file_is_damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(StateError, match="damaged"), StateStore.open(path) as store:
        store.load_plan()


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be opened"):
        StateStore.open(tmp_path)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("sort", ["pipe", "socket", "device", "link to a pipe"])
def test_what_is_no_file_is_named_and_not_waited_for(
    tmp_path: Path, sort: str, read_only: bool
) -> None:
    path = tmp_path / "state.db"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        if sort == "socket":
            listener.bind(str(path))
        elif sort == "device":
            path = Path("/dev/zero")
        else:
            os.mkfifo(tmp_path / "pipe")
            path = tmp_path / "pipe"
            if sort == "link to a pipe":
                path = tmp_path / "link"
                path.symlink_to("pipe")
        with pytest.raises(StateError, match="is a pipe, socket or device"):
            StateStore.open(path, read_only=read_only)


def test_a_directory_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be made: Not a directory") as caught:
        StateStore.open(tmp_path / "file" / "deeper" / "state.db")
    assert "--state" in caught.value.hint


def test_a_directory_without_permission_is_named(closed_directory: Path) -> None:
    closed_directory.chmod(0o555)
    with unprivileged(), pytest.raises(StateError, match="Permission denied") as caught:
        StateStore.open(closed_directory / "state.db")
    assert "you may write" in caught.value.hint


def test_a_file_without_permission_is_named(closed_directory: Path) -> None:
    path = closed_directory / "state.db"
    with StateStore.open(path) as store:
        store.save_plan(small_plan())
    path.chmod(0o444)
    path.with_name("state.db.lock").chmod(0o666)
    closed_directory.chmod(0o777)
    with unprivileged(), pytest.raises(StateError, match="readonly database") as caught:
        StateStore.open(path)
    assert "you may write" in caught.value.hint


def test_a_state_in_a_directory_without_permission_can_be_read(closed_directory: Path) -> None:
    path = closed_directory / "state.db"
    with StateStore.open(path) as store:
        store.save_plan(small_plan())
    path.chmod(0o444)
    closed_directory.chmod(0o555)
    with unprivileged(), StateStore.open(path, read_only=True) as store:
        assert store.load_plan() == small_plan()


def test_a_lock_of_another_program_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.database._BUSY_SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateInUse, match="another program has locked"):
            StateStore.open(path)


def test_opening_a_state_loads_neither_mlflow_nor_networkx() -> None:
    code = "import sys, state.store; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    names = {name.partition(".")[0] for name in loaded.stdout.decode().split()}
    assert "sqlalchemy" in names
    assert not names & {"mlflow", "networkx", "requests", "rich", "typer"}
