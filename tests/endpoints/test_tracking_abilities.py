"""What a server can do, what it does not give, and how copies are asked for: without a server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from migrate.endpoints.answers import Capabilities, Copy
from migrate.endpoints.tracking.abilities import Abilities, Learned
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.searches.copies import by_origin, conditions_for, few_of
from migrate.errors import EndpointError, Unavailable
from migrate.kinds import Kind, Ref

RUNS = frozenset({Kind.EXPERIMENT, Kind.RUN})
CAN = Capabilities(
    description="", version="", identity="", readable=RUNS, writable=RUNS, found_by={}
)
RUN = Ref(Kind.RUN, "a")
BROKEN = EndpointError("run a cannot be served", "repair its row")


def counted(*answers: Learned | Exception) -> tuple[Callable[[], Learned], list[object]]:
    """Return a way to connect that gives these answers in turn, and what it was asked for."""
    left, asked = list(answers), list[object]()

    def connect() -> Learned:
        asked.append(None)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return connect, asked


def test_a_server_is_connected_to_once_by_however_many_threads() -> None:
    connect, asked = counted(Learned(CAN))
    abilities, together = Abilities(connect, Gaps("source")), Barrier(4)

    def ask(_: int) -> Capabilities:
        together.wait()
        return abilities.capabilities()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [CAN] * 4
    assert len(asked) == 1


def test_a_server_that_could_not_be_reached_is_asked_again() -> None:
    connect, asked = counted(Unavailable("no answer"), Learned(CAN))
    abilities = Abilities(connect, Gaps("source"))
    with pytest.raises(Unavailable):
        abilities.capabilities()
    assert abilities.has(Kind.RUN)
    assert len(asked) == 2


def test_a_kind_that_a_server_may_have_is_told_when_it_is_asked_for() -> None:
    gaps = Gaps("target")
    connect, _ = counted(Learned(CAN, not_known={Kind.LOGGED_MODEL: "not known: 403"}))
    abilities = Abilities(connect, gaps)
    assert not abilities.has(Kind.PROMPT)
    assert gaps.unknown() == ()
    assert not abilities.has(Kind.LOGGED_MODEL)
    assert not abilities.has(Kind.LOGGED_MODEL)
    assert gaps.unknown() == ("not known: 403",)


def test_what_a_source_does_not_give_is_left_out_and_told() -> None:
    gaps = Gaps("source")
    gaps.leave_out(RUN, "0", "runs/get", BROKEN)
    gaps.doubt("not all are served")
    gaps.note("something else", "not all are served")
    told = gaps.unreadable.of(RUN)
    assert told is not None
    assert (told.container, told.where, told.reason) == ("0", "runs/get", BROKEN.message)
    assert gaps.unknown() == ("not all are served", "something else")


def test_what_a_target_does_not_give_is_an_error() -> None:
    gaps = Gaps("target")
    with pytest.raises(EndpointError) as raised:
        gaps.leave_out(RUN, "0", "runs/get", BROKEN)
    assert raised.value is BROKEN
    with pytest.raises(EndpointError, match="not all are served"):
        gaps.doubt("not all are served")
    assert (gaps.unreadable.all(), gaps.unknown()) == ([], ())


def test_a_few_copies_are_asked_for_one_by_one_and_many_at_once() -> None:
    assert few_of(None) is None
    assert few_of(["a", "b", "c", "d"]) is None
    assert len(conditions_for(few_of(["a", "b", "c"]))) == 3
    assert conditions_for(few_of([])) == []
    assert len(conditions_for(None)) == 1


def test_the_copy_to_adopt_is_the_first_of_its_origin() -> None:
    def copy(target_id: str, origin: str = "a", mark: str = "", unreadable: str = "") -> Copy:
        return Copy(
            origin=origin,
            target_id=target_id,
            mark=mark,
            lifecycle_stage="active",
            unreadable=unreadable,
        )

    broken, half, whole = copy("1", unreadable="500"), copy("2"), copy("3", mark="m")
    other = copy("4", origin="b")
    assert by_origin([broken, other, half, whole]) == {"a": [whole, half, broken], "b": [other]}
