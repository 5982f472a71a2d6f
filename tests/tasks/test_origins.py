"""The bookkeeping tags of a copy."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.objects import Experiment
from migrate.origins import (
    EARLIER,
    LONGEST_TAG,
    LOSSES,
    MARK,
    MIGRATION,
    ORIGIN,
    PREFIX,
    experiment_origin,
    keep_earlier,
    losses_from_tags,
    losses_to_tags,
    without_bookkeeping,
)
from migrate.outcomes import Loss

SHORT = st.text(max_size=40)
LONG = st.builds(lambda text, times: text * times, st.text(max_size=9), st.integers(1, 400))


@given(st.lists(st.builds(Loss, SHORT, SHORT), max_size=120))
def test_losses_come_back_from_their_tags(losses: list[Loss]) -> None:
    assert losses_from_tags(losses_to_tags(losses)) == tuple(losses)


@given(st.lists(st.builds(Loss, LONG, LONG), max_size=12))
def test_no_tag_is_longer_than_the_shortest_limit(losses: list[Loss]) -> None:
    tags = losses_to_tags(losses)
    assert all(len(value) <= LONGEST_TAG for value in tags.values())
    read = losses_from_tags(tags)
    assert len(read) == len(losses)
    for loss, again in zip(losses, read, strict=True):
        assert loss.what.startswith(again.what)
        assert loss.reason.startswith(again.reason)


def test_many_losses_keep_their_order_over_many_tags() -> None:
    losses = tuple(Loss(f"artifact {n}", "x" * 450) for n in range(120))
    tags = losses_to_tags(losses)
    assert len(tags) > 10
    assert losses_from_tags(dict(sorted(tags.items()))) == losses


@pytest.mark.parametrize("text", ["", "{", "7", "null", '["a"]', '[["a", "b", "c"]]', "[1, 2]"])
def test_a_tag_that_is_not_ours_gives_no_losses(text: str) -> None:
    ours = losses_to_tags([Loss("artifact a", "gone")])
    assert losses_from_tags({**ours, f"{LOSSES}7": text}) == (Loss("artifact a", "gone"),)


def test_nothing_lost_is_no_tag() -> None:
    assert losses_to_tags([]) == {}


def test_an_experiment_is_known_by_id_and_creation_time() -> None:
    assert experiment_origin(Experiment(experiment_id="7", name="x", creation_time=99)) == "7@99"
    assert experiment_origin(Experiment(experiment_id="7", name="y")) == "7@0"


TAGS = st.dictionaries(
    st.sampled_from(
        ["team", ORIGIN, MIGRATION, MARK, f"{LOSSES}0", f"{EARLIER}origin", f"{EARLIER}migration"]
    ),
    SHORT,
)


@given(TAGS)
def test_the_tags_of_a_copied_copy_make_room_for_new_ones(tags: dict[str, str]) -> None:
    kept = keep_earlier(tags)
    assert not any(key.startswith(PREFIX) and not key.startswith(EARLIER) for key in kept)
    assert without_bookkeeping(kept) == without_bookkeeping(tags)
    assert keep_earlier(kept) == kept
    # A tag of our own that was there is still there in some place, but for the fingerprint.
    for key in tags.keys() - {MARK}:
        assert key in kept or EARLIER + key.removeprefix(PREFIX) in kept


def test_the_first_origin_is_kept_through_any_number_of_copies() -> None:
    first = keep_earlier({ORIGIN: "first", MARK: "1a.b"})
    assert first == {f"{EARLIER}origin": "first"}
    for order in ([f"{EARLIER}origin", ORIGIN], [ORIGIN, f"{EARLIER}origin"]):
        tags = {**first, ORIGIN: "second"}
        assert keep_earlier({key: tags[key] for key in order}) == first


def test_losses_are_readable_json_for_whoever_looks_at_the_tag() -> None:
    tags = losses_to_tags([Loss("artifact a/b", "gone")])
    assert json.loads(tags[f"{LOSSES}0"]) == [["artifact a/b", "gone"]]
