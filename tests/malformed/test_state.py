"""A state database of which one cell is malformed: an error that says so, and nothing lost."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.objects import Experiment
from tests.malformed.worlds import check_ended, migrate

CELLS = [
    ("task", "kind", "'model of a kind'"),
    ("task", "status", "'dome'"),
    ("task", "action", "'adapt'"),
    ("migration", "options", "'[1]'"),
    ("migration", "notes", "'{'"),
    ("migration", "unsupported", """'{"nothing": 1}'"""),
    ("task", "planned_losses", "'[[1]]'"),
    ("task", "because", "'5'"),
]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state")
    source = ExportDirectory(path / "source", writable=True)
    source.create_experiment(Experiment(experiment_id="7", name="churn"))
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
