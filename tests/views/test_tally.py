"""Counts add up, and a rate or a time left is only told when it is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.kinds import Kind, Ref
from migrate.outcomes import Outcome, TaskStatus
from migrate.views.tally import Pace, Tally

from .samples import done, failed


def pace_of(*samples: tuple[float, int]) -> float | None:
    pace = Pace()
    for now, amount in samples:
        pace.sample(now, amount)
    return pace.per_second()


def test_no_rate_before_something_was_seen_to_grow() -> None:
    assert pace_of() is None
    assert pace_of((0, 0), (50, 0)) is None
    assert pace_of((0, 0), (50, 100)) is None, "how long the first hundred took is not known"
    assert pace_of((50, 100), (51, 110)) is None, "a second is too short to tell"


def test_waiting_for_other_kinds_does_not_slow_the_rate() -> None:
    assert pace_of((0, 0), (500, 10), (510, 60)) == 5.0


def test_the_rate_is_that_of_the_last_minute() -> None:
    fast = [(float(second), 1_000 * second) for second in range(1, 101)]
    slow = [(100.0 + second, 100_000 + second) for second in range(1, 121)]
    assert pace_of(*fast, *slow) == pytest.approx(1.0)
    stalled = [(221.0 + second, 100_120) for second in range(120)]
    assert pace_of(*fast, *slow, *stalled) == 0.0


def test_the_samples_kept_are_bounded() -> None:
    pace = Pace()
    for quarter in range(1, 10_000):
        pace.sample(quarter / 4, quarter)
    assert len(pace._samples) < 300


def test_time_left_is_unknown_while_nothing_moves() -> None:
    tally = Tally()
    tally.start({Kind.RUN: 100}, {})
    runs = tally.kinds[Kind.RUN]
    assert runs.seconds_left() is None
    tally.count([done("a")], {})
    tally.sample(10.0, 0)
    tally.sample(20.0, 0)
    assert runs.seconds_left() is None
    tally.count([done(str(n)) for n in range(19)], {})
    tally.sample(30.0, 0)
    assert runs.seconds_left() == pytest.approx(80 / (19 / 20))


def test_blocked_tasks_are_not_waited_for_and_are_no_progress() -> None:
    tally = Tally()
    tally.start({Kind.EXPERIMENT: 2, Kind.RUN: 100}, {})
    tally.count([failed("1", kind=Kind.EXPERIMENT)], {Kind.RUN: 100})
    assert tally.kinds[Kind.RUN].left == 0
    assert tally.kinds[Kind.RUN].carried_out == 0
    assert tally.kinds[Kind.EXPERIMENT].left == 1


def test_bytes_in_flight_count_and_never_fall_behind_the_outcomes() -> None:
    tally = Tally()
    tally.start({Kind.RUN: 2}, {})
    tally.sample(1.0, 700)
    assert tally.bytes_sent == 700
    tally.count([done("a", Kind.RUN, 1_000)], {})
    assert tally.bytes_sent == 1_000


STATUSES = st.sampled_from(TaskStatus)


@given(st.lists(STATUSES, max_size=50), st.integers(0, 20), st.integers(0, 50))
def test_counts_add_up(statuses: list[TaskStatus], before: int, blocked: int) -> None:
    outcomes = [
        Outcome(ref=Ref(Kind.RUN, str(index)), status=status)
        for index, status in enumerate(statuses)
    ]
    tally = Tally()
    tally.start({Kind.RUN: len(statuses) + blocked}, {Kind.RUN: before})
    tally.count(outcomes, {Kind.RUN: blocked})
    if len(statuses) + blocked + before == 0:
        assert not tally.kinds
        return
    runs = tally.kinds[Kind.RUN]
    assert runs.done + runs.failed + runs.blocked + runs.skipped + runs.left == runs.total
    assert runs.total == len(statuses) + blocked + before
    unended = sum(s in (TaskStatus.PENDING, TaskStatus.BLOCKED) for s in statuses)
    assert runs.left == unended
