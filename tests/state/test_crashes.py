"""The crash window "inside a commit", and disks that fill up."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from pathlib import Path
from typing import cast

import pytest

from migrate.outcomes import TaskStatus
from state.store import StateStore
from tests.state.children import TURN, child, read_line
from tests.state.samples import done, run_ref, small_plan


def check_integrity(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def count_done(store: StateStore) -> int:
    plan = store.load_plan()
    assert plan is not None
    return sum(task.status is TaskStatus.DONE for task in plan.tasks)


@pytest.mark.parametrize("after", [0.0, 0.0013, 0.0029, 0.0071])
def test_killed_inside_a_commit_keeps_all_that_was_committed(location: str, after: float) -> None:
    with child("commit_on_and_on", location) as writer:
        while not read_line(writer).startswith("done"):
            pass
        time.sleep(after)  # somewhere in one of the next transactions
        writer.kill()
        assert writer.stdout is not None
        said = writer.stdout.read().split("\n")[:-1]  # the last line may be cut short
    begun = max((int(line.split()[1]) for line in said if line.startswith("begun")), default=TURN)
    finished = max((int(line.split()[1]) for line in said if line.startswith("done")), default=TURN)
    if "://" not in location:
        check_integrity(Path(location))
    with StateStore.open(location) as store:
        arrived = count_done(store)
        assert arrived % TURN == 0
        assert finished <= arrived <= finished + TURN
        assert len(list(store.id_map())) == arrived
        unheard = {int(ref.id) for ref in store.begun("m1")}
        assert set(range(arrived, begun)) <= unheard <= set(range(arrived, arrived + TURN))


def test_a_log_cut_anywhere_gives_whole_transactions(tmp_path: Path) -> None:
    """What a machine leaves that died while it wrote: SQLite's log up to some byte."""
    path = tmp_path / "state.db"
    turns = 12
    with StateStore.open(path) as store:
        store.save_plan(small_plan([str(number) for number in range(turns * TURN)]))
    with StateStore.open(path) as store:
        for start in range(0, turns * TURN, TURN):
            outcomes = [done(run_ref(str(number))) for number in range(start, start + TURN)]
            store.record("m1", outcomes, {})
        base, log = path.read_bytes(), path.with_name("state.db-wal").read_bytes()
    seen = []
    for cut in [*range(0, len(log), len(log) // 40), len(log)]:
        crashed = tmp_path / f"cut-{cut}" / "state.db"
        crashed.parent.mkdir()
        crashed.write_bytes(base)
        crashed.with_name("state.db-wal").write_bytes(log[:cut])
        check_integrity(crashed)
        with StateStore.open(crashed) as store:
            seen.append(count_done(store))
            assert len(list(store.id_map())) == seen[-1]
        shutil.rmtree(crashed.parent)
    assert seen == sorted(seen)
    assert set(seen) == {turn * TURN for turn in range(turns + 1)}


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with child("fill_the_disk", path) as writer:
        message, hint, end = (read_line(writer) for _ in range(3))
    assert str(path) in message
    assert "Make room" in hint
    assert end == "recorded"
    check_integrity(path)
    with StateStore.open(path) as store:
        assert [line.id for line in store.migrations()] == ["m1"]
        assert count_done(store) == 1


def test_a_transaction_that_fails_halfway_leaves_nothing(store: StateStore) -> None:
    store.save_plan(small_plan())
    unstorable = done(run_ref("a"), target_id=cast("str", object()))
    with pytest.raises(Exception, match="object"):
        store.record("m1", [done(run_ref("b")), unstorable], {})
    assert count_done(store) == 0
    assert store.begun("m1") == set()
    store.record("m1", [done(run_ref("b"))], {})
    assert count_done(store) == 1
