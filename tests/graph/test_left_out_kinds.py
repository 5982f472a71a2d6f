"""What ``--kinds`` and ``--without`` leave out."""

from __future__ import annotations

import pytest

from migrate.errors import UsageError
from migrate.graph.left_out_kinds import names_of_kinds, parse_left_out
from migrate.graph.selection import Selection
from migrate.kinds import ON_REQUEST, Kind

NOTHING: tuple[str, ...] = ()


def taken(only: tuple[str, ...], without: tuple[str, ...] = NOTHING) -> set[Kind]:
    return set(Kind) - {*parse_left_out(only, without)}


def test_without_either_option_nothing_is_left_out() -> None:
    assert parse_left_out((), ()) == ()


def test_what_holds_a_kind_that_is_named_is_taken_too() -> None:
    assert taken(("runs",)) == {Kind.EXPERIMENT, Kind.RUN}
    assert taken(("experiments",)) == {Kind.EXPERIMENT}


def test_versions_go_with_their_models() -> None:
    assert taken(("registered-models",)) == {Kind.REGISTERED_MODEL, Kind.MODEL_VERSION}
    left_out = parse_left_out((), ("prompts",))
    assert set(left_out) == {Kind.PROMPT, Kind.PROMPT_VERSION}


def test_without_experiments_there_is_nothing_that_they_hold() -> None:
    left_out = parse_left_out((), ("experiments",))
    assert set(left_out) == {kind for kind in Kind if Kind.EXPERIMENT in (kind, kind.container)}


@pytest.mark.parametrize(
    "spelled",
    ["Logged Models,MCP_servers", " logged-model , mcp server", "logged__models,MCP-Server"],
)
def test_kinds_may_be_spelled_in_any_way(spelled: str) -> None:
    wanted = {Kind.EXPERIMENT, Kind.LOGGED_MODEL, Kind.MCP_SERVER}
    assert taken((spelled,)) == wanted
    assert taken(tuple(spelled.split(","))) == wanted


def test_both_options_may_be_given() -> None:
    assert taken(("runs", "issues"), ("issues",)) == {Kind.EXPERIMENT, Kind.RUN}


def test_every_name_that_is_offered_is_taken() -> None:
    assert taken((",".join(names_of_kinds()),)) == set(Kind)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("rusn", "did you mean run"),
        ("runs,", "kinds are experiments, runs,"),
        ("model versions", "versions go with their models"),
        ("deletions", "kinds are "),
        ("everything", "versions go with their models"),
    ],
)
def test_what_is_no_kind_is_an_error_with_the_nearest(value: str, hint: str) -> None:
    for only, without in (((value,), ()), ((), (value,))):
        with pytest.raises(UsageError) as caught:
            parse_left_out(only, without)
        assert "is no kind of object" in str(caught.value)
        assert hint in caught.value.hint


def test_leaving_out_all_is_an_error() -> None:
    with pytest.raises(UsageError, match="leave nothing to copy"):
        parse_left_out(("runs",), ("experiments",))
    with pytest.raises(UsageError, match="leave nothing to copy"):
        parse_left_out((), names_of_kinds())


def test_users_and_roles_are_left_out_unless_they_are_asked_for() -> None:
    asked = Selection(experiments=("one",), requested=True)
    for kind in ON_REQUEST:
        assert Selection().leaves_out_kind(kind)
        assert not asked.leaves_out_kind(kind)
        assert asked.takes_all_of(kind)
        assert Selection(requested=True, without=(kind,)).leaves_out_kind(kind)
