"""Shares of the requests that are allowed: each slot is somebody's, and nobody else's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrate.shares import Gate, Share, SharingThreads, holding, keep_to, share_here, useful_shares

NUMBERS = st.integers(1, 40)
NOW = st.floats(0, 4e9)
RATES = st.floats(0.01, 10_000)


@given(NUMBERS, st.integers(0, 10**12))
def test_each_slot_belongs_to_one_share(of: int, slot: int) -> None:
    owners = [n for n in range(of + 1) if Share(n, of).next_slot(slot, 1.0, slot - 1) == slot]
    assert len(owners) == 1


@given(NUMBERS, NOW, RATES, st.data())
def test_slots_of_a_share_are_in_order_and_never_before_now(
    of: int, now: float, rate: float, data: st.DataObject
) -> None:
    share = Share(data.draw(st.integers(0, of)), of)
    interval = 1 / rate
    taken = [share.next_slot(now, interval, -1)]
    for _ in range(20):
        taken.append(share.next_slot(now, interval, taken[-1]))
    assert taken == sorted(set(taken))
    assert taken[0] * interval >= now or taken[0] >= now / interval


@given(NUMBERS, st.one_of(st.none(), RATES))
def test_there_is_a_share_and_never_more_than_is_asked_for(most: int, rate: float | None) -> None:
    number = useful_shares(most, rate)
    assert 1 <= number <= most
    if rate is None:
        assert number == most


def test_threads_that_work_for_a_batch_use_its_share() -> None:
    share = Share(1, 3)
    with SharingThreads(1) as pool:
        with holding(share):
            assert pool.submit(share_here).result() == share
            assert list(pool.map(lambda _: share_here(), range(2))) == [share, share]
        assert pool.submit(share_here).result() is None


def test_one_share_has_one_request_under_way_and_others_have_theirs() -> None:
    gate, entered = Gate(1), []

    def enter(said: str) -> None:
        with gate.one():
            entered.append(said)

    with SharingThreads(2) as pool, holding(Share(0, 2)):
        with gate.one():
            waiting = pool.submit(enter, "the same share")
            with holding(Share(1, 2)):
                pool.submit(enter, "another share").result(timeout=5)
            assert not waiting.done()
        waiting.result(timeout=5)
    assert entered == ["another share", "the same share"]


def test_what_does_not_work_for_a_batch_has_a_share_of_its_own() -> None:
    keep_to(Share(2, 2))
    try:
        assert share_here() == Share(2, 2)
        with holding(Share(0, 2)):
            assert share_here() == Share(0, 2)
    finally:
        keep_to(None)
    assert share_here() is None
