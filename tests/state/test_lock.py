"""One process at a time holds a state database, and none after its death."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from migrate.errors import StateInUse
from state.store import StateStore
from tests.state.children import child, read_line
from tests.state.samples import EXPERIMENT, small_plan


def test_a_second_process_is_told_who_holds_the_state(location: str) -> None:
    with child("hold", location) as holder:
        assert read_line(holder) == "holding"
        with pytest.raises(StateInUse) as caught:
            StateStore.open(location)
    assert f"in use by process {holder.pid} on {socket.gethostname()}, since " in str(caught.value)
    assert "--state" in caught.value.hint
    assert caught.value.exit_code == 4


def test_the_state_is_free_after_its_holder_was_killed(location: str) -> None:
    with child("hold", location) as holder:
        assert read_line(holder) == "holding"
        holder.kill()
        holder.wait()
        with StateStore.open(location) as store:
            assert store.migrations() == []


def opened_within(seconds: float, path: Path) -> StateStore:
    """Opens a state that a worker forked a moment ago may still be letting go of."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return StateStore.open(path)
        except StateInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_workers_forked_by_a_killed_process_do_not_hold_its_state(tmp_path: Path) -> None:
    with child("hold_with_worker", tmp_path / "state.db") as parent:
        worker = int(read_line(parent))
        try:
            parent.kill()
            parent.wait()
            os.kill(worker, 0)
            with opened_within(5, tmp_path / "state.db") as store:
                assert store.migrations() == []
        finally:
            os.kill(worker, signal.SIGKILL)


def test_two_stores_of_one_process_exclude_each_other(location: str) -> None:
    with StateStore.open(location), pytest.raises(StateInUse, match=f"process {os.getpid()}"):
        StateStore.open(location)
    with StateStore.open(location) as store:
        store.save_plan(small_plan())


def test_another_name_of_the_same_file_is_the_same_state(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with (
        StateStore.open(tmp_path / "real" / "state.db"),
        pytest.raises(StateInUse, match="in use by process"),
    ):
        StateStore.open(tmp_path / "link" / "state.db")


def test_readers_need_not_wait(location: str) -> None:
    with StateStore.open(location) as store:
        store.save_plan(small_plan())
        with StateStore.open(location, read_only=True) as reader:
            store.mark_started("m1", [EXPERIMENT])
            assert reader.begun("m1") == {EXPERIMENT}
        with StateStore.open(location, read_only=True) as reader:
            assert reader.load_plan() == small_plan()


def test_a_failed_opening_lets_go_of_the_state(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"rubbish" * 1_000)
    for _ in range(2):
        with pytest.raises(Exception, match="damaged"):
            StateStore.open(path)
    path.unlink()
    StateStore.open(path).close()


def test_closing_twice_is_no_error(location: str) -> None:
    store = StateStore.open(location)
    store.close()
    store.close()
    StateStore.open(location).close()
