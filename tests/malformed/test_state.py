"""A state database of which something is malformed: an error that says so, and no defect."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.objects import Experiment
from tests.malformed.planted import (
    COLUMNS_ARE_BELIEVED,
    WORDS_ARE_BELIEVED,
    Defect,
    found,
    planted,
)
from tests.malformed.worlds import Case, check_ended, count_in, each, migrate, seeds, write_little
from tests.mutations import any_body

CELLS = [
    ("task", "kind", "'model of a kind'"),
    ("task", "status", "'dome'"),
    ("task", "action", "'adapt'"),
    ("migration", "options", "'[1]'"),
    ("migration", "notes", "'{'"),
    ("migration", "unsupported", """'{"nothing": 1}'"""),
    ("task", "planned_losses", "'[[1]]'"),
    ("task", "because", "'5'"),
    ("task", "first_free", "'soon'"),
    ("task", "name", "x'ff00'"),
    ("migration", "target_uri", "x'00'"),
    ("migration", "known", "7"),
]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state")
    source = ExportDirectory(path / "source", writable=True)
    source.experiments.create(Experiment(experiment_id="7", name="churn"))
    source.publish()
    source.close()
    ended = migrate("plan", path / "source", path / "target", "--state", path / "state.db")
    assert ended.code == 0, ended.output
    return path


@pytest.mark.parametrize(("table", "column", "value"), CELLS, ids=str)
def test_a_word_nobody_knows_is_an_error_that_names_it(
    copied: Path, tmp_path: Path, table: str, column: str, value: str
) -> None:
    state = tmp_path / "state.db"
    shutil.copy(copied / "state.db", state)
    with closing(sqlite3.connect(state)) as database:
        database.execute(f"UPDATE {table} SET {column} = {value}")
        database.commit()
    for command in (["status"], ["run", "--resume"]):
        ended = migrate(*command, "--state", state)
        check_ended(ended)
    assert ended.code == 1
    assert "the state database holds" in ended.output


#: What SQLite keeps in a column of any type.
VALUES: tuple[Any, ...] = (
    *(None, "", "soon", "NaN", "[1]", "{}", "x" * 100_000, b"", b"\xff\xfe\x00"),
    *(0, 1, -1, 7, 2**31, 2**63 - 1, -(2**63), 0.5, float("inf")),
)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migration of which one run failed, so that the next has something to do."""
    path = tmp_path_factory.mktemp("begun")
    write_little(path / "source")
    [broken] = (path / "source").rglob("b" * 32 + "/**/a.txt")
    content = broken.read_bytes()
    broken.unlink()
    state = ("--state", path / "state.db")
    ended = migrate("run", path / "source", path / "target", "--serial", *state)
    assert ended.code == 3, ended.output
    broken.write_bytes(content)
    return path


def _case(begun: Path) -> Case:
    """What has to hold whatever the state database holds."""
    counts = count_in(begun / "source")

    def case(random: Random, folder: Path) -> None:
        shutil.copytree(begun, folder, dirs_exist_ok=True)
        state = folder / "state.db"
        with closing(sqlite3.connect(state)) as database:
            told = _spoil(database, begun, folder, random)
        for command in (["status"], ["status", "--json"], ["map"], ["run", "--resume", "--serial"]):
            ended = migrate(*command, "--state", state)
            check_ended(ended)
        again = migrate("run", folder / "source", folder / "target", "--state", folder / "new.db")
        assert again.code == 0, f"{told}\n{ended.output}\n{again.output}"
        assert count_in(folder / "target") == counts, f"{told}\n{ended.output}\n{again.output}"

    return case


@seeds(8, 2_000)
def test_anything_in_a_state_database_is_an_error_or_does_no_harm(
    begun: Path, seeds: range
) -> None:
    each(seeds, _case(begun))


def test_a_task_of_a_migration_that_is_not_there_does_no_harm(begun: Path, tmp_path: Path) -> None:
    shutil.copy(begun / "state.db", tmp_path / "state.db")
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        done = "UPDATE task SET migration = 7 WHERE status = 'done' RETURNING 1"
        assert database.execute(done).fetchall()
        database.commit()
    ended = migrate("run", "--resume", "--serial", "--state", tmp_path / "state.db")
    check_ended(ended)


@planted(COLUMNS_ARE_BELIEVED, WORDS_ARE_BELIEVED)
def test_spoilt_state_databases_find_a_planted_defect(begun: Path, defect: Defect) -> None:
    assert found(defect, _case(begun))


def _spoil(database: sqlite3.Connection, begun: Path, folder: Path, random: Random) -> str:
    """Have the database be about this folder, and one thing in it be another; return which."""
    database.execute("PRAGMA ignore_check_constraints = ON")
    tables: dict[str, tuple[list[str], list[int]]] = {}
    for (table,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
        columns = [column[1] for column in database.execute(f"PRAGMA table_info({table})")]
        for column in columns:
            text = f"{column} = replace({column}, ?, ?) WHERE typeof({column}) = 'text'"
            database.execute(f"UPDATE {table} SET {text}", (str(begun), str(folder)))
        rows = [row for (row,) in database.execute(f"SELECT rowid FROM {table}")]
        if rows:
            tables[table] = columns, rows
    table = random.choice(sorted(tables))
    column, row = map(random.choice, tables[table])
    place = f"WHERE rowid = {row}"
    if not random.randrange(8):
        told = f"no row {row} of {table}"
        database.execute(f"DELETE FROM {table} {place}")
    else:
        [[held]] = database.execute(f"SELECT {column} FROM {table} {place}")
        value = random.choice(VALUES)
        if isinstance(held, str) and held[:1] in ("[", "{") and random.randrange(3):
            value = any_body(json.loads(held), random).body.decode("utf-8", "replace")
        told = f"{table}.{column} of row {row} is {value!r}"[:500]
        with suppress(sqlite3.IntegrityError):  # what the schema refuses, nobody can have written
            database.execute(f"UPDATE {table} SET {column} = ? {place}", (value,))
    database.commit()
    return told
