"""Any record comes back from JSON as it was written, and what is odd in it is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.record_json import record_from_json, record_to_json
from migrate.endpoints.shapes import parse_json
from migrate.errors import Malformed


class Status(StrEnum):
    """A word of a few."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class Event(NamedTuple):
    """A small record in a record."""

    entity: str
    action: str = "CREATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A record with a member of every type that records have."""

    hook_id: str
    count: int
    share: float
    is_on: bool
    status: Status = Status.ACTIVE
    description: str | None = "none"
    created: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    former: tuple[Hook, ...] = ()
    schema: Any = None


_TEXTS = st.text(max_size=20)
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.floats(allow_nan=False)
_ANYTHING = st.recursive(
    st.none() | st.booleans() | _INTEGERS | _FLOATS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)


def _hooks(former: st.SearchStrategy[tuple[Hook, ...]]) -> st.SearchStrategy[Hook]:
    return st.builds(
        Hook,
        hook_id=_TEXTS,
        count=_INTEGERS,
        share=_FLOATS,
        is_on=st.booleans(),
        status=st.sampled_from(Status),
        description=st.none() | _TEXTS,
        created=st.none() | _INTEGERS,
        tags=st.dictionaries(_TEXTS, _TEXTS, max_size=3),
        shares=st.dictionaries(_TEXTS, _FLOATS, max_size=3),
        events=st.lists(st.builds(Event, _TEXTS, _TEXTS), max_size=3).map(tuple),
        former=former,
        schema=_ANYTHING,
    )


HOOKS = _hooks(st.lists(_hooks(st.just(())), max_size=2).map(tuple))
SMALLEST = {"hook_id": "h", "count": 1, "share": 0.5, "is_on": False}


@given(HOOKS)
def test_a_record_comes_back_as_it_was(hook: Hook) -> None:
    written = json.dumps(record_to_json(hook))
    assert record_from_json(Hook, parse_json(written)) == hook


def test_members_with_a_default_may_be_absent_and_others_may_be_there() -> None:
    smallest = Hook(hook_id="h", count=1, share=0.5, is_on=False)
    assert record_from_json(Hook, SMALLEST) == smallest
    assert record_from_json(Hook, {**SMALLEST, "of_a_later_version": 1}) == smallest


@pytest.mark.parametrize(
    ("member", "value", "told"),
    [
        ("hook_id", None, "hook_id is missing"),
        ("hook_id", {}, "hook_id is an object, no text"),
        ("count", 1.5, "count is 1.5, no whole number"),
        ("count", 2**63, "outside 64 bits"),
        ("share", "x", "share is 'x', no number"),
        ("is_on", "yes", "is_on is 'yes', neither true nor false"),
        ("status", "GONE", "status is 'GONE', none of ACTIVE, DISABLED"),
        ("tags", [], "tags is a list, no object"),
        ("tags", {"a": []}, "tags: a is a list, no text"),
        ("shares", {"a": None}, "shares: a is"),
        ("events", {}, "events is an object, no list"),
        ("events", [{"entity": "run"}, 7], "events[1] is 7, no object"),
        ("events", [{}], "events[0]: entity is missing"),
        ("former", [{**SMALLEST, "count": None}], "former[0]: count is missing"),
    ],
)
def test_what_is_no_member_of_its_type_is_named(member: str, value: object, told: str) -> None:
    with pytest.raises(Malformed) as refused:
        record_from_json(Hook, {**SMALLEST, member: value})
    assert told in str(refused.value)


@dataclass(frozen=True)
class Ambiguous:
    """A record whose member could be read as either."""

    value: int | str


def test_a_member_of_two_types_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="one type"):
        record_from_json(Ambiguous, {"value": 1})
