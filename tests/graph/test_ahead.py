"""What is asked ahead changes no plan: a step has the answer it would have got by asking."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from migrate.errors import MigrateError
from migrate.graph import planner
from migrate.graph.ahead import Ahead
from tests.graph.test_cases import CASES, plan_of

ASKING = tuple(step for step in planner.STEPS if step.__name__.startswith("ask_for_"))


class Asked:
    """Counts how often it is asked, and what for."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __call__(self, *given: object) -> object:
        self.calls.append(given)
        if "wrong" in given:
            raise ValueError("wrong")
        return (len(self.calls), *given)


def test_a_call_that_was_begun_is_made_once_and_taken_once() -> None:
    asked = Asked()
    with Ahead(2) as ahead:
        ahead.begin(asked, "a")
        ahead.begin(asked, "a")
        assert ahead.take(asked, "a") == (1, "a")
        assert ahead.take(asked, "a") == (2, "a"), "what is there by then"


def test_what_was_begun_with_other_words_is_not_taken() -> None:
    asked = Asked()
    with Ahead(2) as ahead:
        ahead.begin(asked, ("1",))
        assert ahead.take(asked, ("1", "2")) == (2, ("1", "2"))


def test_what_a_call_raises_is_raised_where_it_is_taken() -> None:
    asked = Asked()
    with Ahead(2) as ahead:
        ahead.begin(asked, "wrong")
        with pytest.raises(ValueError, match="wrong"):
            ahead.take(asked, "wrong")


def test_what_was_not_begun_yet_is_not_begun_after_the_end() -> None:
    asked, busy, free = Asked(), threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        free.wait()

    def fail_meanwhile() -> None:
        with Ahead(1) as ahead:
            ahead.begin(block)
            ahead.begin(asked, "too late")
            busy.wait()
            threading.Timer(0.05, free.set).start()
            raise MigrateError("a step fails meanwhile")

    with pytest.raises(MigrateError):
        fail_meanwhile()
    assert not asked.calls


def test_steps_ask_ahead() -> None:
    assert len(ASKING) == 7


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_is_the_same_without(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    if "error" in case["expected"]:
        pytest.skip("there is no plan")
    with_it = plan_of(case)
    steps = tuple(step for step in planner.STEPS if step not in ASKING)
    monkeypatch.setattr(planner, "STEPS", steps)
    without = plan_of(case)
    assert without.tasks == with_it.tasks
    assert sorted(without.unknown) == sorted(with_it.unknown)
    assert without.unsupported == with_it.unsupported
    assert (without.notes, without.collisions) == (with_it.notes, with_it.collisions)
