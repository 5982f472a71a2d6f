"""What the scheduler does with batches that are lost, and with plans that cannot end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrate.cli import migrations
from migrate.endpoints.addresses import Address
from migrate.executors.local import LocalExecutor
from migrate.outcomes import Outcome
from migrate.tasks.batches import Batch
from tests.malformed.worlds import check_ended, count_in, migrate, write_little


def given_up() -> Future[Any]:
    future: Future[Any] = Future()
    assert future.cancel()
    future.set_running_or_notify_cancel()
    return future


def broken() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(RuntimeError("the pool is gone"))
    return future


class Loses(LocalExecutor):
    """An executor that loses the first batches it is given."""

    def __init__(self, target: Address, batches: int, lost: Callable[[], Future[Any]]) -> None:
        super().__init__(target, 2)
        self._left = batches
        self._lost = lost

    def submit(self, batch: Batch) -> Future[list[Outcome]]:
        self._left -= 1
        return self._lost() if self._left >= 0 else super().submit(batch)


@pytest.mark.parametrize("lost", [given_up, broken])
@pytest.mark.parametrize("batches", [1, 3])
def test_batches_that_the_executor_loses_are_given_to_it_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    lost: Callable[[], Future[Any]],
) -> None:
    write_little(tmp_path / "source")
    monkeypatch.setattr(
        migrations, "open_executor", lambda _, setup, *__: Loses(setup.target, batches, lost)
    )
    ended = migrate(
        "run", tmp_path / "source", tmp_path / "target", "--state", tmp_path / "state.db"
    )
    assert ended.code == 0, ended.output
    assert count_in(tmp_path / "target") == count_in(tmp_path / "source")


@pytest.mark.timeout(60)
def test_tasks_that_wait_for_each_other_are_an_error_and_no_endless_wait(tmp_path: Path) -> None:
    write_little(tmp_path / "source")
    state = tmp_path / "state.db"
    ended = migrate("plan", tmp_path / "source", tmp_path / "target", "--state", state)
    assert ended.code == 0, ended.output
    with closing(sqlite3.connect(state)) as database:
        tasks = database.execute("SELECT id FROM task WHERE kind = 'run' ORDER BY id").fetchall()
        (one,), (other,) = tasks
        rows = [(one, 100, other, False), (other, 100, one, False)]
        database.executemany("INSERT INTO edge VALUES (?, ?, ?, ?)", rows)
        database.commit()
    ended = migrate("run", "--resume", "--state", state)
    check_ended(ended)
    assert ended.code == 1
    assert "wait for what no other task brings" in ended.output
