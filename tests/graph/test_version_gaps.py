"""Numbers that are passed over cost two requests each: the plan names them, and has a limit."""

from __future__ import annotations

import dataclasses

import pytest

from migrate.graph.draft import Draft
from migrate.graph.planner import discover
from migrate.graph.registry import link_versions
from migrate.graph.registry_matching import match_registry
from migrate.graph.selection import Selection
from migrate.kinds import Action, Kind, Ref
from migrate.objects import ModelVersion, RegisteredModel
from migrate.tasks.batches import Policy
from tests.graph.memory import MemoryServer


def draft_of(numbers: list[int], most: int, kind: Kind = Kind.REGISTERED_MODEL) -> Draft:
    source, target = MemoryServer(), MemoryServer()
    version_kind = Kind.PROMPT_VERSION if kind is Kind.PROMPT else Kind.MODEL_VERSION
    source.registered_held["M"] = RegisteredModel(name="M", kind=kind)
    for number in numbers:
        source.versions_held["M", number] = ModelVersion(
            name="M", version=number, kind=version_kind, source="s3://b/x"
        )
    draft = discover(source, target, Selection(), workers=1)
    draft.policy = dataclasses.replace(Policy(migration_id="m"), most_placeholders=most)
    link_versions(draft)
    match_registry(draft)
    return draft


def actions(draft: Draft) -> list[Action]:
    return [
        node.action
        for node in draft.nodes.values()
        if node.ref.kind in (Kind.MODEL_VERSION, Kind.PROMPT_VERSION)
    ]


@pytest.mark.parametrize("kind", [Kind.REGISTERED_MODEL, Kind.PROMPT])
def test_a_version_behind_a_gap_too_large_is_left_out_with_the_price(kind: Kind) -> None:
    draft = draft_of([1, 2, 1_000_000], most=1_000, kind=kind)
    assert actions(draft) == [Action.CREATE, Action.CREATE, Action.UNSUPPORTED]
    reason = list(draft.nodes.values())[-1].reason
    assert "a gap of 999,997" in reason
    assert "1,999,994 requests" in reason
    assert "--most-placeholders" in reason


def test_the_user_may_allow_it() -> None:
    draft = draft_of([1, 5_001], most=4_999)
    assert actions(draft) == [Action.CREATE, Action.CREATE]
    last = draft.nodes[Ref(Kind.MODEL_VERSION, "M/5001")]
    assert (last.number, last.first_free) == (5_001, 2)
    assert last.warnings == (
        "before it, 4,999 numbers are passed over: a placeholder is made and deleted for each, "
        "9,998 requests",
    )


def test_the_gaps_of_a_model_count_together() -> None:
    draft = draft_of([10, 20, 30], most=20)
    assert actions(draft) == [Action.CREATE, Action.CREATE, Action.UNSUPPORTED]


def test_small_gaps_are_passed_over_without_a_word() -> None:
    draft = draft_of([3, 7], most=1_000)
    assert actions(draft) == [Action.CREATE, Action.CREATE]
    assert not any(node.warnings for node in draft.nodes.values() if "M/" in node.ref.id)


def test_none_may_be_passed_over_at_all() -> None:
    assert actions(draft_of([1, 2, 4], most=0)) == [
        Action.CREATE,
        Action.CREATE,
        Action.UNSUPPORTED,
    ]
