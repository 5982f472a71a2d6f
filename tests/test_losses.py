"""Losses as they are stored: with their code, and as they were before there were codes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.objects import Loss, LossCode
from migrate.origins import losses_from_tags, losses_to_tags
from migrate.outcomes import loss_from_stored, loss_of, loss_to_stored

CODES = [code for code in LossCode if code]
HEAL = {LossCode.NOT_DELIVERED, LossCode.NOT_LISTED, LossCode.NOT_WHOLE}
#: What was written of each, word by word.
BEFORE_CODES = {
    LossCode.NOT_DELIVERED: "not delivered by the source: answered 404",
    LossCode.NOT_LISTED: "not listed by the source: answered 403",
    LossCode.NOT_WHOLE: "its history could not be read whole: the run has its latest point at "
    "step 3, which is not among those that the server told",
    LossCode.LASTING: "differs on the target, which lets nobody undo it: 3 is 4 there",
}


@given(st.text(), st.text(), st.sampled_from(CODES))
def test_a_loss_with_a_code_is_read_back(what: str, detail: str, code: LossCode) -> None:
    loss = loss_of(code, what, detail)
    assert loss_from_stored(json.loads(json.dumps(loss_to_stored(loss)))) == loss


@pytest.mark.parametrize("code", CODES)
def test_what_was_stored_without_a_code_is_known_by_its_words(code: LossCode) -> None:
    read = loss_from_stored(["artifact a", BEFORE_CODES[code]])
    assert read == Loss("artifact a", BEFORE_CODES[code], code)
    assert read.may_heal is (code in HEAL)


@pytest.mark.parametrize("reason", ["", "refused by the target: not listed by the source"])
def test_any_other_has_no_code_and_stays(reason: str) -> None:
    read = loss_from_stored(["artifact a", reason])
    assert (read.code, read.may_heal) == (LossCode.OTHER, False)
    assert loss_to_stored(read) == ["artifact a", reason]


def test_the_words_of_today_are_those_of_before() -> None:
    for code, reason in BEFORE_CODES.items():
        assert loss_of(code, "", reason.partition(": ")[2]).reason == reason


def test_tags_of_copies_made_before_there_were_codes_are_read() -> None:
    stored = [["artifact a", reason] for reason in BEFORE_CODES.values()]
    [(key, _)] = losses_to_tags([Loss("", "")]).items()
    read = losses_from_tags({key: json.dumps(stored)})
    assert [loss.code for loss in read] == list(BEFORE_CODES)
    assert losses_from_tags(losses_to_tags(read)) == read


@pytest.mark.parametrize("stored", [None, "ab", [], ["a"], ["a", "b", "c"], ["a", "b", "", "d"]])
def test_what_is_none_is_refused(stored: object) -> None:
    with pytest.raises(ValueError, match=r"is no"):
        loss_from_stored(stored)
