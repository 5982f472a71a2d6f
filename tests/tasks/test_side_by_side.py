"""What is tried side by side: in which order it ends, how far ahead is read, what errors do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event, Lock

import pytest

from migrate.tasks import side_by_side as module
from migrate.tasks.side_by_side import NotBegun, reading_in_turn, side_by_side, spread_over

PATIENCE = 10.0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as threads, spread_over(threads, 3, Event(), Lock()):
        yield threads


def test_without_threads_each_ends_before_the_next_is_taken() -> None:
    seen: list[str] = []

    def tries() -> Iterator[int]:
        for number in range(3):
            seen.append(f"taken {number}")
            yield number

    ended = list(side_by_side(tries(), lambda number: seen.append(f"done {number}")))
    assert [number for number, _ in ended] == [0, 1, 2]
    assert seen == ["taken 0", "done 0", "taken 1", "done 1", "taken 2", "done 2"]


@pytest.mark.usefixtures("pool")
def test_what_ends_first_is_told_first() -> None:
    others = threading.Event()

    def carry_out(number: int) -> int:
        if number == 0:
            assert others.wait(PATIENCE)
        return number * number

    told = []
    for number, square in side_by_side(range(6), carry_out):
        assert square == number * number
        told.append(number)
        if len(told) == 5:
            others.set()
    assert sorted(told) == list(range(6))
    assert told[-1] == 0


@pytest.mark.usefixtures("pool")
def test_no_more_are_taken_than_there_are_threads() -> None:
    taken: list[int] = []
    go_on = threading.Event()

    def tries() -> Iterator[int]:
        for number in range(9):
            taken.append(number)
            if len(taken) == 3:
                threading.Timer(0.2, go_on.set).start()
            yield number

    def carry_out(number: int) -> int:
        assert go_on.wait(PATIENCE)
        return len(taken)

    seen = [most for _, most in side_by_side(tries(), carry_out)]
    assert seen[0] <= 4  # three under way, and one taken when the first had ended
    assert len(seen) == 9


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("fails", ["what is read", "one of them"])
def test_an_error_is_raised_when_all_under_way_have_been_told(fails: str) -> None:
    ended: list[int] = []
    stopping = threading.Event()

    def tries() -> Iterator[int]:
        yield from (0, 1)
        if fails == "what is read":
            stopping.set()
            raise OSError("gone")
        yield 2

    def carry_out(number: int) -> int:
        if number == 2:
            stopping.set()
            raise OSError("gone")
        assert stopping.wait(PATIENCE)
        ended.append(number)
        return number

    told: list[int] = []
    with pytest.raises(OSError, match="gone"):
        told += (number for number, _ in side_by_side(tries(), carry_out))
    told_or_ended = set(told) | set(ended)
    assert told_or_ended == {0, 1}
    assert sorted(ended) == [0, 1]


def test_nothing_is_under_way_any_more_when_nobody_listens(pool: ThreadPoolExecutor) -> None:
    ended: list[int] = []
    slowly = threading.Event()

    def carry_out(number: int) -> int:
        if number:
            slowly.wait(0.2)
        ended.append(number)
        return number

    with closing(side_by_side(range(9), carry_out)) as telling:  # type: ignore[type-var]
        next(telling)
    before = len(ended)
    assert before >= 3
    pool.shutdown()
    assert len(ended) == before


def test_what_is_begun_is_ended_and_nothing_more_is_begun_when_draining() -> None:
    draining = Event()
    ended: list[int] = []
    told: list[int] = []

    def carry_out(number: int) -> int:
        if number == 4:
            draining.set()
        ended.append(number)
        return number

    with ThreadPoolExecutor(2) as threads, spread_over(threads, 2, draining, Lock()):
        telling = side_by_side(range(50), carry_out)
        with pytest.raises(NotBegun):
            told += (number for number, _ in telling)
    assert sorted(told) == sorted(ended)
    assert 5 <= len(told) <= 6


def test_batches_read_one_after_the_other_and_write_meanwhile() -> None:
    reading: list[int] = []
    most: list[int] = []
    written_while_reading = Event()

    def tries(batch: int) -> Iterator[int]:
        for number in range(4):
            with reading_in_turn():
                reading.append(batch)
                most.append(len(reading))
                if (batch, number) == (0, 3):
                    assert written_while_reading.wait(PATIENCE), "what was read is not written"
                reading.remove(batch)
            yield number

    def carry_out(number: int) -> None:
        if number == 0:
            written_while_reading.set()

    def batch(number: int) -> int:
        with spread_over(writers, 2, Event(), lock):
            return len(list(side_by_side(tries(number), carry_out)))

    lock = Lock()
    with ThreadPoolExecutor(2) as writers, ThreadPoolExecutor(3) as batches:
        assert list(batches.map(batch, range(3))) == [4, 4, 4]
    assert max(most) == 1
    assert not lock.locked()


def test_a_batch_does_not_wait_for_ever_for_another_that_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    lock = Lock()
    with ThreadPoolExecutor(1) as threads, spread_over(threads, 1, Event(), lock), lock:
        with reading_in_turn():
            assert lock.locked()
        assert lock.locked(), "it let go of the turn of another"


def test_whoever_reads_and_fails_lets_the_next_read() -> None:
    lock = Lock()
    with ThreadPoolExecutor(1) as threads, spread_over(threads, 1, Event(), lock):
        with pytest.raises(ValueError, match="unreadable"), reading_in_turn():
            raise ValueError("unreadable")
        assert not lock.locked()
