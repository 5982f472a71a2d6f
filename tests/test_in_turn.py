"""Calls made a few ahead: in their order, within their bound, and none after one that failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.in_turn import AHEAD, in_turn
from migrate.shares import Share, holding, share_here


class Counted:
    """Calls that return their number; says how many were begun, and most were under way."""

    def __init__(self) -> None:
        self.begun = 0
        self.most = 0
        self._under_way = 0
        self._lock = threading.Lock()

    def __call__(self, number: int, pause: float = 0.0) -> int:
        with self._lock:
            self.begun += 1
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        time.sleep(pause)
        with self._lock:
            self._under_way -= 1
        return number


@given(
    workers=st.integers(0, 5),
    pauses=st.lists(st.sampled_from((0.0, 0.001, 0.002)), max_size=12),
    ahead=st.none() | st.integers(0, 6),
)
def test_all_return_in_order_and_no_more_are_begun_than_are_allowed(
    workers: int, pauses: list[float], ahead: int | None
) -> None:
    counted = Counted()
    calls = [partial(counted, number, pause) for number, pause in enumerate(pauses)]
    allowed = max(1, workers) * AHEAD if ahead is None else ahead
    returned = 0
    for found in in_turn(workers, calls, ahead=ahead):
        assert found == returned
        returned += 1
        assert counted.begun <= returned + allowed
    assert returned == len(calls)
    assert counted.most <= max(1, workers)


def test_what_fails_is_raised_in_its_turn_and_nothing_more_begins() -> None:
    counted = Counted()

    def fail() -> int:
        raise ValueError("this one")

    calls: list[Callable[[], int]] = [partial(counted, 0), fail]
    calls += [partial(counted, number, 0.01) for number in range(2, 40)]
    found = in_turn(1, calls, ahead=30)
    assert next(found) == 0
    with pytest.raises(ValueError, match="this one"):
        list(found)
    begun = counted.begun
    assert begun < 30
    time.sleep(0.05)
    assert counted.begun == begun


def test_the_calls_use_the_share_of_whoever_makes_them() -> None:
    share = Share(1, 4)
    with holding(share):
        assert list(in_turn(3, [share_here] * 5)) == [share] * 5
