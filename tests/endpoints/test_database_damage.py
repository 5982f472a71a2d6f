"""Databases that cannot be read say why, and what to do; nothing is taken for nothing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.endpoints.addresses import Address, open_source
from migrate.errors import EndpointError, MigrateError
from migrate.tasks.histories import with_histories
from tests.endpoints.databases import opened, unpacked


def _sql(*statements: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return damage


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def _no_file(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _hot_journal(path: Path) -> None:
    """Leave what a writer leaves that is killed in the middle of a transaction."""
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA cache_spill = 1")
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE tags SET value = value || 'x'")
    writer.execute("UPDATE params SET value = value || 'x'")
    journal = path.with_name(path.name + "-journal")
    halfway, notes = path.read_bytes(), journal.read_bytes()
    writer.execute("ROLLBACK")
    writer.close()
    path.write_bytes(halfway)
    journal.write_bytes(notes)


def _read_all(path: Path) -> None:
    source = opened(path)
    source.capabilities()
    list(source.runs.list([it.experiment_id for it in source.experiments.list()]))


DAMAGES: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "no file": (_no_file, 2, "is not there"),
    "a folder": (_folder, 2, "is a folder"),
    "empty": (lambda path: path.write_bytes(b"") and None, 2, "has no tables"),
    "text": (lambda path: path.write_text("no database " * 99) and None, 2, "is no SQLite"),
    "cut off": (_cut, 1, "is damaged"),
    "zeros within": (
        lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(300_000)) and None,
        1,
        "is damaged",
    ),
    "another program's": (
        _sql("DROP TABLE experiments", "DROP TABLE alembic_version"),
        2,
        "no database of an MLflow",
    ),
    "no table of revisions": (_sql("DROP TABLE alembic_version"), 1, "says of no revision"),
    "no revision": (_sql("DELETE FROM alembic_version"), 1, "says of no revision"),
    "two revisions": (
        _sql("INSERT INTO alembic_version VALUES ('97727af70f4d')"),
        1,
        "names 2 revisions",
    ),
    "a newer revision": (
        _sql("UPDATE alembic_version SET version_num = 'fedcba987654'"),
        2,
        "revision fedcba987654, which this tool does not know",
    ),
    "an older revision": (
        _sql("UPDATE alembic_version SET version_num = 'cc1f77228345'"),
        2,
        "older than MLflow 1.30",
    ),
    "a table is missing": (_sql("DROP TABLE metrics"), 1, "lacks metrics"),
    "half-upgraded": (
        _sql("DROP TABLE spans", "DROP TABLE assessments"),
        1,
        "lacks assessments, spans",
    ),
    "a column is missing": (
        _sql("ALTER TABLE params RENAME COLUMN value TO worth"),
        1,
        "lacks value in its table params",
    ),
    "a journal of a killed server": (_hot_journal, 1, "was left by a server that was killed"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_database_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    damage, exit_code, words = DAMAGES[name]
    path = unpacked("3.17.2", tmp_path)
    damage(path)
    with pytest.raises(MigrateError, match=re.escape(words)) as raised:
        _read_all(path)
    assert raised.value.exit_code == exit_code
    assert raised.value.hint


def test_a_file_that_nobody_may_write_is_read(tmp_path: Path) -> None:
    path = unpacked("3.17.2", tmp_path)
    path.chmod(0o400)
    assert len(list(opened(path).experiments.list())) == 4


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_server_goes_on_writing_while_its_database_is_read(mode: str, tmp_path: Path) -> None:
    path = unpacked("3.17.2", tmp_path)
    _sql(f"PRAGMA journal_mode = {mode}")(path)
    source = opened(path)
    experiments = source.experiments.list()
    next(experiments)
    runs = source.runs.list(["1"])
    next(runs)
    writer = sqlite3.connect(path, timeout=0)
    writer.execute("UPDATE experiments SET name = name || '!'")
    writer.commit()
    changed = {it.name for it in source.experiments.list() if it.name.endswith("!")}
    assert bool(changed) is (mode == "delete"), "one state is read where that keeps nobody waiting"
    assert bool(source.capabilities().notes) is (mode == "delete")
    source.close()
    writer.close()


@pytest.mark.parametrize("column", ["value", "timestamp", "step"])
@pytest.mark.parametrize("table", ["metrics", "latest_metrics"])
def test_a_point_that_is_no_number_costs_its_run(table: str, column: str, tmp_path: Path) -> None:
    path = unpacked("3.17.2", tmp_path)
    source = opened(path)
    [full] = [run for run in source.runs.list(["1"]) if run.name == "full"]
    source.close()
    one = f"(SELECT min(rowid) FROM {table} WHERE run_uuid = '{full.run_id}' AND is_nan = 0)"
    _sql(f"UPDATE {table} SET {column} = 'much' WHERE rowid = {one}")(path)
    runs = list(source.runs.list(["1"]))
    histories = [*with_histories(source.runs, runs)]
    broken = {entry.ref.id: entry.reason for entry in source.unreadable.all()}
    broken |= {run.run_id: it.message for run, it in histories if isinstance(it, EndpointError)}
    assert [*broken] == [full.run_id]
    assert "a point of metric" in broken[full.run_id]


def test_a_metric_of_a_logged_model_that_is_no_number_costs_it(tmp_path: Path) -> None:
    path = unpacked("3.17.2", tmp_path)
    source = opened(path)
    [model] = [it for it in source.logged_models.list(["1"]) if it.metrics][:1]
    source.close()
    of_it = f"WHERE model_id = '{model.model_id}'"
    _sql(f"UPDATE logged_model_metrics SET metric_step = 'much' {of_it}")(path)
    assert model.model_id not in {it.model_id for it in source.logged_models.list(["1"])}
    assert [entry.ref for entry in source.unreadable.all()] == [model.ref]


def test_a_row_that_makes_no_sense_costs_itself(tmp_path: Path) -> None:
    path = unpacked("3.17.2", tmp_path)
    _sql("UPDATE runs SET start_time = 'yesterday' WHERE name = 'child'")(path)
    source = opened(path)
    runs = list(source.runs.list(["1"]))
    assert "child" not in {run.name for run in runs}
    [entry] = source.unreadable.all()
    assert (entry.container, "start_time" in entry.reason) == ("1", True)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mssql+pyodbc://u:secret-word@h/db", "databases of mssql are neither read nor written"),
        ("mysql+pymysql://u:secret-word@h", "names no database"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql+nosuch://u:secret-word@h/db", "driver"),
    ],
)
def test_uris_that_are_not_read_are_refused_without_their_password(uri: str, words: str) -> None:
    with pytest.raises(MigrateError, match=words) as raised:
        open_source(Address(uri=uri, side="source")).capabilities()
    assert raised.value.exit_code == 2
    assert "secret-word" not in f"{raised.value} {raised.value.hint}"


def test_a_postgres_out_of_reach_is_told_without_its_password() -> None:
    pytest.importorskip("psycopg2")
    uri = "postgresql+psycopg2://u:secret-word@127.0.0.1:1/db"
    with pytest.raises(MigrateError, match="cannot be reached") as raised:
        open_source(Address(uri=uri, side="source")).capabilities()
    assert "secret-word" not in f"{raised.value} {raised.value.hint}"
