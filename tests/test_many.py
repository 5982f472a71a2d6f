"""What is made by the million: quickly, and not gone through by collection after collection."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import weakref

import pytest

from migrate import collecting
from migrate.collecting import making_what_stays
from migrate.kinds import run_ref
from migrate.outcomes import Outcome, TaskStatus
from migrate.values import value

OUTCOME = Outcome(ref=run_ref("a"), status=TaskStatus.DONE, target_id="b")


@value
class Named:
    name: str
    count: int = 1


class TestValues:
    def test_they_are_told_apart_by_what_they_hold(self) -> None:
        assert Named(name="a") == Named(name="a", count=1)
        assert len({Named(name="a"), Named(name="a"), Named(name="a", count=2)}) == 2

    def test_members_are_given_by_name_and_there_are_no_others(self) -> None:
        with pytest.raises(TypeError):
            Named("a")  # type: ignore[misc]
        with pytest.raises(AttributeError):
            Named(name="a").other = 1  # type: ignore[attr-defined]

    def test_they_pass_from_process_to_process(self) -> None:
        again = pickle.loads(pickle.dumps(OUTCOME))
        assert again == OUTCOME
        assert dataclasses.replace(again, retryable=True) != OUTCOME


class Circle:
    def __init__(self) -> None:
        self.itself = self


class TestCollecting:
    @pytest.fixture(autouse=True)
    def _as_before(self) -> None:
        assert gc.isenabled()

    def test_nothing_is_collected_meanwhile_and_all_is_as_before_after_an_error(self) -> None:
        with making_what_stays():
            assert not gc.isenabled()
        assert gc.isenabled()
        with pytest.raises(ZeroDivisionError), making_what_stays():
            raise ZeroDivisionError
        assert gc.isenabled()

    @pytest.mark.parametrize("many", [True, False])
    def test_what_is_there_is_left_alone_afterwards_where_it_is_much(
        self, monkeypatch: pytest.MonkeyPatch, many: bool
    ) -> None:
        monkeypatch.setattr(collecting, "MANY", 5_000 if many else 50_000)
        before = gc.get_freeze_count()
        try:
            with making_what_stays():
                kept = [[number] for number in range(10_000)]
                circle = Circle()
                held = weakref.ref(circle)
                del circle
            assert (gc.get_freeze_count() - before >= len(kept)) is many
            if many:  # what nobody holds was taken away first
                assert held() is None
        finally:
            gc.unfreeze()
