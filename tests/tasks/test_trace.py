"""What the copy of a trace should be, and how traces are gathered to slices."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.tracking.traces_wire import trace_from, trace_to
from migrate.kinds import Kind, Ref
from migrate.objects import Loss
from migrate.origins import MARK, losses_to_tags
from migrate.tasks.trace import (
    TRACES_A_SLICE,
    Slice,
    content_of,
    differences,
    mark,
    needs_of,
    slice_from,
    slices,
    wanted_trace,
)
from migrate.traces import (
    ASSESSMENT_RUN,
    LINKED_PROMPTS_TAG,
    MODEL_ID,
    SOURCE_RUN,
    PromptLink,
    Trace,
    prompts_tag,
)
from tests.graph.memory import ARCHIVE, MemoryServer

SERVER = MemoryServer().capabilities()
RUN, MODEL = Ref(Kind.RUN, "r1"), Ref(Kind.LOGGED_MODEL, "m-1")


def trace(ident: str, time: int = 5, **changes: Any) -> Trace:
    return Trace(**{"trace_id": ident, "experiment_id": "1", "request_time": time} | changes)


NAMING = trace(
    "tr-1",
    metadata={SOURCE_RUN: "r1", MODEL_ID: "m-1", "other": "x"},
    tags={"mlflow.artifactLocation": "mlflow-artifacts:/1", MARK: "of an earlier copy"},
    assessments=({"assessment_id": "a-1", "metadata": {ASSESSMENT_RUN: "r1"}, "valid": True},),
)


@given(st.lists(st.integers(0, 300), max_size=900))
def test_slices_have_no_moment_in_common_and_hold_every_trace(times: list[int]) -> None:
    traces = [trace(f"t{number}", time) for number, time in enumerate(sorted(times))]
    found = list(slices(traces))
    assert sum(facts.count for facts in found) == len(traces)
    for facts, following in itertools.pairwise(found):
        assert facts.slice.last < following.slice.first
        assert facts.count >= TRACES_A_SLICE
    for facts in found:
        first, last = facts.slice.stretch
        assert first is not None
        assert last is not None
        inside = [it for it in traces if first <= it.request_time <= last]
        assert facts.ids == {it.trace_id for it in inside}
        assert facts.content == content_of((it.trace_id, mark(it, lambda _: True)) for it in inside)


@given(st.text(min_size=1), st.integers(0), st.integers(0))
def test_what_names_a_slice_is_read_back(experiment: str, first: int, last: int) -> None:
    covered = Slice(experiment, first, last)
    assert slice_from(covered.id) == covered


def test_what_names_no_slice_is_told_apart() -> None:
    assert [slice_from(text) for text in ("tr-12", "1/5", "1/a-b", "/1-2", "")] == [None] * 5


def test_what_a_trace_names_becomes_the_copies() -> None:
    assert {need.ref for need in needs_of(NAMING)} == {RUN, MODEL}
    wanted = wanted_trace(NAMING, "7", {RUN: "r9", MODEL: "m-9"}, SERVER)
    assert wanted.warnings == ()
    assert wanted.record.experiment_id == "7"
    assert wanted.record.metadata == {SOURCE_RUN: "r9", MODEL_ID: "m-9", "other": "x"}
    assert wanted.record.tags == {}
    assert wanted.record.assessments[0]["metadata"] == {ASSESSMENT_RUN: "r9"}


def test_what_has_no_copy_is_kept_under_a_name_that_says_so() -> None:
    wanted = wanted_trace(NAMING, "7", {}, SERVER)
    assert wanted.record.metadata == {"other": "x"}
    assert wanted.record.tags == {
        "mlflow-migrate.source.sourceRun": "r1",
        "mlflow-migrate.source.modelId": "m-1",
    }
    kept = {"mlflow-migrate.source.assessment.sourceRunId": "r1"}
    assert wanted.record.assessments[0]["metadata"] == kept
    assert len(wanted.warnings) == 3


def test_versions_of_prompts_follow_their_copies() -> None:
    used = prompts_tag([PromptLink("ask/a", "3"), PromptLink("other", "1")])
    one, version = (
        trace("tr-2", tags={LINKED_PROMPTS_TAG: used}),
        Ref(Kind.PROMPT_VERSION, "ask/a/3"),
    )
    assert version in [need.ref for need in needs_of(one)]
    wanted = wanted_trace(one, "7", {version: "new/ask/4"}, SERVER)
    assert wanted.record.linked_prompts == (PromptLink("new/ask", "4"), PromptLink("other", "1"))
    assert ["prompt other" in it for it in wanted.warnings] == [True]
    odd = trace("tr-3", tags={LINKED_PROMPTS_TAG: '{"no": "list"}'})
    assert wanted_trace(odd, "7", {}, SERVER).record.tags == odd.tags


def test_an_archive_keeps_what_a_trace_names() -> None:
    lost = Loss("spans of trace tr-1", "they are damaged")
    tags = {**NAMING.tags, **losses_to_tags([lost])}
    archive = MemoryServer(**ARCHIVE).capabilities()
    wanted = wanted_trace(dataclasses.replace(NAMING, tags=tags), "1", {}, archive)
    assert wanted.record == dataclasses.replace(NAMING, tags={})
    assert (wanted.losses, wanted.warnings) == ((lost,), ())


def test_the_mark_tells_what_changed_and_what_has_no_copy() -> None:
    whole = mark(NAMING, lambda _: True)
    assert mark(NAMING, lambda ref: ref != RUN) != whole
    for changes in (
        {"tags": {**NAMING.tags, "new": "x"}},
        {"assessments": ()},
        {"state": "ERROR"},
        {"execution_duration": 3},
    ):
        assert mark(dataclasses.replace(NAMING, **changes), lambda _: True) != whole


def test_what_was_added_to_the_copy_is_no_difference_but_a_tag_is() -> None:
    added = ({"assessment_id": "a-2"},)
    copy = dataclasses.replace(
        NAMING, assessments=NAMING.assessments + added, metadata={**NAMING.metadata, "more": "y"}
    )
    assert list(differences(NAMING, copy)) == []
    copy = dataclasses.replace(NAMING, tags={**NAMING.tags, "more": "y"}, state="OK")
    assert list(differences(NAMING, copy)) == [("state", "", "OK"), ("tag more", None, "y")]


def test_an_assessment_refers_to_the_copy_of_its_issue() -> None:
    reference = {"assessment_id": "a-3", "assessment_name": "iss-1", "issue": {"issue_name": "n"}}
    one, issue = trace("tr-2", assessments=(reference,)), Ref(Kind.ISSUE, "iss-1")
    assert [need.ref for need in needs_of(one)] == [issue]
    wanted = wanted_trace(one, "7", {issue: "iss-9"}, SERVER)
    assert wanted.record.assessments == ({**reference, "assessment_name": "iss-9"},)
    alone = wanted_trace(one, "7", {}, SERVER)
    assert alone.record.assessments == (reference,)
    assert "issue iss-1" in alone.warnings[0]


TIMES = st.integers(0, 2**43)
TEXTS = st.dictionaries(st.text(min_size=1), st.text(), max_size=3)
TRACES = st.builds(
    Trace,
    trace_id=st.from_regex(r"tr-[0-9a-f]{32}", fullmatch=True),
    experiment_id=st.integers(0, 2**31).map(str),
    request_time=TIMES,
    execution_duration=st.none() | TIMES,
    state=st.sampled_from(["OK", "ERROR", "IN_PROGRESS"]),
    client_request_id=st.none() | st.text(min_size=1),
    request_preview=st.none() | st.text(min_size=1),
    response_preview=st.none() | st.text(min_size=1),
    metadata=TEXTS,
    tags=TEXTS,
)


@given(TRACES)
def test_a_trace_is_written_as_it_is_read(one: Trace) -> None:
    assert trace_from(trace_to(one)) == one


NAMED_PROMPTS = {LINKED_PROMPTS_TAG: prompts_tag([PromptLink("ask", "1")])}


def test_links_to_runs_name_the_copies_and_those_without_one_are_told() -> None:
    linked = trace("tr-1", linked_runs=("r1", "r2"))
    needs = [(need.ref, need.soft) for need in needs_of(linked)]
    assert needs == [(RUN, True), (Ref(Kind.RUN, "r2"), True)]
    record, _, warnings = wanted_trace(linked, "7", {RUN: "copy"}, SERVER)
    assert record.linked_runs == ("copy",)
    assert "linked to run r2" in "".join(warnings)
    archive = MemoryServer(**ARCHIVE).capabilities()
    assert wanted_trace(linked, "7", {}, archive).record.linked_runs == linked.linked_runs
    assert not list(differences(record, dataclasses.replace(record, linked_runs=())))
    used = trace("tr-1", tags=NAMED_PROMPTS, more_prompts=(PromptLink("ask", "3"),))
    copies = {Ref(Kind.PROMPT_VERSION, f"ask/{it}"): f"new/{it}" for it in (1, 3)}
    record = wanted_trace(used, "7", copies, SERVER).record
    assert record.linked_prompts == (PromptLink("new", "1"), PromptLink("new", "3"))
    assert record.more_prompts == (PromptLink("new", "3"),)
    marks = {mark(it, lambda _: True) for it in (linked, trace("tr-1"))}
    assert len(marks) == 2, "a link more makes another copy"


def test_what_servers_cut_when_they_are_asked_is_no_difference() -> None:
    wanted = trace("tr-1", metadata={"long": "x" * 300}, tags={"long": "y" * 5000})
    shown = trace("tr-1", metadata={"long": "x" * 250}, tags={"long": "y" * 4096})
    assert list(differences(wanted, shown)) == []
    shorter = trace("tr-1", metadata={"long": "x" * 249}, tags={"long": "y" * 4095})
    assert [it[0] for it in differences(wanted, shorter)] == ["tag long", "metadata long"]
