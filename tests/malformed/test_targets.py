"""A target that gives one wrong answer: no second copy, and nothing is missing in silence."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess, copy_database
from migrate.origins import WRITING
from tests.conftest import empty
from tests.malformed.planted import TAGS_ARE_NONE, Defect, found, planted
from tests.malformed.replay import Turn, changing, recording
from tests.malformed.worlds import Case, Ended, check_ended, each, migrate, seeds, write_little
from tests.mutations import Body, any_body

Rows = dict[str, int]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "export"
    write_little(path)
    return path


def _copy(source: Path, target: TrackingServerProcess, state: Path) -> Ended:
    return migrate("run", source, target.uri, "--serial", "--workers", "1", "--state", state)


def _rows(target: TrackingServerProcess) -> Rows:
    """How many rows each table of a server has; of what can be in the trash: that is not."""
    with closing(sqlite3.connect(target.directory / "mlflow.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema")]
        rows = {}
        for table in tables:
            columns = [column[1] for column in database.execute(f'PRAGMA table_info("{table}")')]
            active = " WHERE lifecycle_stage = 'active'" if "lifecycle_stage" in columns else ""
            if columns:
                [[rows[table]]] = database.execute(f'SELECT count(*) FROM "{table}"{active}')
    return rows


@seeds(2, 250)
def test_after_a_wrong_answer_the_next_run_completes_what_is_there(
    source: Path, fresh_target: TrackingServerProcess, tmp_path: Path, seeds: range
) -> None:
    with recording() as answers:
        assert _copy(source, fresh_target, tmp_path / "state.db").code == 0
    turns, whole = answers.turns(), _rows(fresh_target)

    def case(random: Random, folder: Path) -> None:
        empty(fresh_target)
        turn = random.choice(turns[random.choice(sorted(turns))])
        wrong = Body(b"", may_hide=True)

        def change(answer: Any) -> bytes:
            nonlocal wrong
            wrong = any_body(answer, random)
            return wrong.body

        with changing(turn, change):
            ended = _copy(source, fresh_target, folder / "state.db")
        told = f"{turn}: {wrong.body[:500]!r}\n{ended.output}"
        check_ended(ended)
        if ended.code == 0 and not wrong.may_hide:
            assert _rows(fresh_target) == whole, told
        again = _copy(source, fresh_target, folder / "state.db")
        assert again.code == 0, f"{told}\n{again.output}"
        assert _rows(fresh_target) == whole, f"{told}\n{again.output}"

    each(seeds, case)


@pytest.fixture(scope="module")
def turns(
    source: Path,
    _emptied_server: TrackingServerProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Sequence[Turn]]:
    """What a migration asks a target, by its routes."""
    empty(_emptied_server)
    with recording() as answers:
        state = tmp_path_factory.mktemp("turns") / "state.db"
        assert _copy(source, _emptied_server, state).code == 0
    return answers.turns()


@pytest.mark.parametrize(
    "wrong",
    [
        b'["text"]',
        b"{}",
        *(pytest.param(it, marks=pytest.mark.thorough) for it in (b'""', b"null", b"\xff\xfe")),
    ],
)
@pytest.mark.parametrize(
    ("call", "later"), [("delete-experiment-tag", 0), ("search", 0), ("search", 1)]
)
def test_a_wrong_answer_about_the_end_of_the_writing_leaves_nothing_behind(
    source: Path,
    turns: Mapping[str, Sequence[Turn]],
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
    call: str,
    later: int,
    wrong: bytes,
) -> None:
    *_, last = turns[f"POST /api/2.0/mlflow/experiments/{call}"]
    with changing(Turn(last.route, last.number + later), lambda _: wrong):
        assert _copy(source, fresh_target, tmp_path / "state.db").code == 0
    with closing(sqlite3.connect(fresh_target.directory / "mlflow.db")) as database:
        keys = {key for (key,) in database.execute("SELECT key FROM experiment_tags")}
    assert keys
    assert not [key for key in keys if key.startswith(WRITING)]


@pytest.fixture
def again(source: Path, fresh_target: TrackingServerProcess, tmp_path: Path) -> Case:
    return _again(source, fresh_target, tmp_path)


@pytest.fixture
def onwards(source: Path, fresh_target: TrackingServerProcess, tmp_path: Path) -> Case:
    return _again(source, fresh_target, tmp_path, onwards=True)


def _again(
    source: Path,
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
    *,
    onwards: bool = False,
    which: str = "",
) -> Case:
    """What has to hold whatever a target that has the copies says wrong: once, or ``onwards``.

    It is wrong in ``which`` answers, by their route.
    """
    state, kept = tmp_path / "state.db", tmp_path / "kept.db"
    assert _copy(source, fresh_target, state).code == 0
    copy_database(fresh_target.directory / "mlflow.db", kept)
    with recording() as answers:
        assert _copy(source, fresh_target, state).code == 0
    turns = {route: found for route, found in answers.turns().items() if which in route}
    whole = _rows(fresh_target)

    def case(random: Random, folder: Path) -> None:
        copy_database(kept, fresh_target.directory / "mlflow.db")
        turn = random.choice(turns[random.choice(sorted(turns))])
        turn, seed = replace(turn, onwards=onwards), random.random()
        sent: list[Body] = []

        def change(answer: Any) -> bytes:
            # Alike answers are changed at the same place.
            sent.append(any_body(answer, Random(seed)))
            return sent[-1].body

        with changing(turn, change):
            ended = _copy(source, fresh_target, folder / "state.db")
        check_ended(ended)
        if not any(wrong.may_hide for wrong in sent):
            told = f"{turn}: {[wrong.body[:500] for wrong in sent[:3]]!r}\n{ended.output}"
            assert _rows(fresh_target) == whole, told

    return case


@seeds(2, 100)
def test_a_wrong_answer_about_copies_makes_no_second_one(again: Case, seeds: range) -> None:
    each(seeds, again)


@seeds(1, 50)
def test_nor_do_wrong_answers_from_then_on(onwards: Case, seeds: range) -> None:
    each(seeds, onwards)


@planted(TAGS_ARE_NONE)
def test_wrong_answers_about_copies_find_a_planted_defect(
    source: Path, fresh_target: TrackingServerProcess, tmp_path: Path, defect: Defect
) -> None:
    """One wrong answer is not enough: what is not shown is asked for another way."""
    assert found(defect, _again(source, fresh_target, tmp_path, onwards=True, which="/search"))
