"""Databases that cannot be written to say why, and what to do; what is there stays as it is."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.database.target.files import PlacedFiles
from migrate.errors import MigrateError, NotPermitted
from tests.endpoints.databases import target_at, unpacked
from tests.endpoints.exports import an_experiment
from tests.endpoints.test_database_damage import DAMAGES

#: What is no damage to who may write: it is made, or put right by SQLite itself.
_NONE = {"no file", "empty", "a journal of a killed server"}
NOBODY = 65534


@pytest.mark.parametrize("name", [it for it in DAMAGES if it not in _NONE])
def test_a_damaged_database_is_not_written_to(name: str, tmp_path: Path) -> None:
    damage, exit_code, words = DAMAGES[name]
    path = unpacked("3.17.2", tmp_path)
    damage(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(MigrateError) as raised:
        target_at(path).capabilities()
    assert words in raised.value.message
    assert raised.value.exit_code == exit_code
    assert raised.value.hint
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert [it.name for it in tmp_path.iterdir()] == [path.name]


def test_what_is_damaged_where_only_a_transaction_looks_costs_that(
    made_database: Path, tmp_path: Path
) -> None:
    path = shutil.copy(made_database, tmp_path / "mlflow.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON experiment_tags "
            "BEGIN SELECT raise(ABORT, 'not this one'); END"
        )
    with closing(target_at(path)) as target:
        with pytest.raises(MigrateError, match="not this one"):
            target.experiments.create(an_experiment(name="new", tags={"a": "b"}))
        assert "new" not in {it.name for it in target.experiments.list()}


def test_a_column_that_is_missing_is_named_by_what_would_be_in_it(
    made_database: Path, tmp_path: Path
) -> None:
    path = shutil.copy(made_database, tmp_path / "mlflow.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE experiments DROP COLUMN last_update_time")
    with closing(target_at(path)) as target:
        with pytest.raises(MigrateError, match="lacks last_update_time in its table experiments"):
            target.experiments.create(an_experiment("77", name="new"))
        assert "new" not in {it.name for it in target.experiments.list()}


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of an account that is not ours, which is what this process is meanwhile."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another account")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


def test_a_file_that_may_only_be_read_is_said_so(as_nobody: Path, made_database: Path) -> None:
    os.seteuid(0)
    path = Path(shutil.copy(made_database, as_nobody / "mlflow.db"))
    path.chmod(0o444)
    os.seteuid(NOBODY)
    before = path.read_bytes()
    with pytest.raises(NotPermitted) as raised, closing(target_at(path)) as target:
        target.experiments.create(an_experiment("77", name="new"))
    assert "write" in raised.value.hint
    assert path.read_bytes() == before


def test_a_folder_that_no_file_can_be_made_in_is_said_so(as_nobody: Path) -> None:
    with pytest.raises(MigrateError, match="cannot be made") as raised:
        target_at(as_nobody / "new.db").capabilities()
    assert raised.value.exit_code == 1
    assert list(as_nobody.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [
        ("mysql://u:secret-word@127.0.0.1:1/db", "pymysql", "mlflow-migrate[mysql]"),
        ("postgresql+psycopg2://u:secret-word@127.0.0.1:1/db", "psycopg2", "[postgres]"),
    ],
)
def test_a_driver_that_is_missing_is_named_with_what_installs_it(
    uri: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    if module == "pymysql":
        monkeypatch.setitem(sys.modules, "MySQLdb", None)
    with pytest.raises(MigrateError, match="driver") as raised:
        DatabaseTarget(uri, files=PlacedFiles("/nowhere")).capabilities()
    assert raised.value.exit_code == 2
    assert extra in raised.value.hint
    assert "secret-word" not in f"{raised.value} {raised.value.hint}"


def test_a_server_out_of_reach_is_told_without_its_password() -> None:
    pytest.importorskip("pymysql")
    uri = "mysql://u:secret-word@127.0.0.1:1/db"
    with pytest.raises(MigrateError, match="cannot be reached") as raised:
        DatabaseTarget(uri, files=PlacedFiles("/nowhere")).capabilities()
    assert "secret-word" not in f"{raised.value} {raised.value.hint}"
