"""What no server can store is found in whatever is sent, and nothing else is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from migrate.storable import Unstorable, storable_json

LEAVES = (
    some.none()
    | some.booleans()
    | some.integers(-(2**66), 2**66)
    | some.floats()
    | some.text(some.characters(codec=None, categories=None))
    | some.sampled_from(["\ud83d", "\udc00", "😀", "\\ud83d", "9" * 30, -(2**63), 2**63, 2**63 - 1])
)
VALUES = some.recursive(LEAVES, lambda it: some.lists(it) | some.dictionaries(some.text(), it))


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def is_stored(leaf: Any) -> bool:
    if isinstance(leaf, str):
        return not any(0xD800 <= ord(it) < 0xE000 for it in leaf)
    if isinstance(leaf, float):
        return math.isfinite(leaf)
    return leaf is None or -(2**63) <= leaf < 2**63


@settings(max_examples=40)
@given(some.dictionaries(some.text(), VALUES))
def test_a_value_is_written_as_it_is_or_refused_for_what_is_in_it(body: dict[str, Any]) -> None:
    if all(map(is_stored, leaves(body))):
        assert json.loads(storable_json(body)) == body
    else:
        with pytest.raises(Unstorable):
            storable_json(body)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"tags": [{"key": "a"}, {"key": "b", "value": "x\ud83d"}]}, "tags[1].value"),
        ({"metrics": [{"value": math.nan}]}, "metrics[0].value"),
        ({"metrics": [{"value": 1.5, "step": -(2**63) - 1}]}, "metrics[0].step"),
        ({"a": {"half \udfff": 1}}, "a.half \N{REPLACEMENT CHARACTER}"),
    ],
    ids=["half a character", "no number", "beyond 64 bits", "in a name"],
)
def test_its_place_is_told(value: Any, place: str) -> None:
    with pytest.raises(Unstorable) as raised:
        storable_json(value)
    assert raised.value.place == place
