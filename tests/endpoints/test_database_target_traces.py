"""Traces in a database that is written to: whole or not at all, as MLflow would have kept them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.database.target.traces import WrittenTraceStore
from migrate.errors import Malformed, Refused
from migrate.kinds import Kind
from migrate.origins import MARK
from migrate.traces import PromptLink, Trace
from tests.endpoints.databases import rows, target_at
from tests.endpoints.exports import an_experiment

ID = "tr-" + "a" * 32
AT = 1_700_000_000_000
SPAN = {
    "trace_id": "qqqqqqqqqqqqqqqqqqqqqg==",
    "span_id": "u7u7u7u7u7s=",
    "name": "root",
    "start_time_unix_nano": str(AT * 1_000_000),
    "end_time_unix_nano": str(AT * 1_000_000 + 5),
    "attributes": [{"key": "mlflow.spanType", "value": {"string_value": "LLM"}}],
    "status": {"code": "STATUS_CODE_OK"},
}
SAID = {
    "assessment_id": "a-1",
    "assessment_name": "good",
    "trace_id": ID,
    "source": {"source_type": "HUMAN", "source_id": "ada"},
    "create_time": "2023-11-14T22:13:20Z",
    "last_update_time": "2023-11-14T22:13:20Z",
    "feedback": {"value": "yes"},
    "valid": True,
}
TABLES = ("trace_info", "trace_tags", "trace_request_metadata", "assessments", "spans")


@pytest.fixture
def path(new_database: Path) -> Path:
    return new_database


@pytest.fixture
def target(path: Path) -> Iterator[DatabaseTarget]:
    """A new database with experiment 7 in it."""
    with closing(target_at(path)) as opened:
        opened.experiments.create(an_experiment(artifact_location=""))
        yield opened


@pytest.fixture
def store(target: DatabaseTarget) -> WrittenTraceStore:
    return cast(WrittenTraceStore, target.store(Kind.TRACE))


def a_trace(trace_id: str = ID, **changes: Any) -> Trace:
    fields: dict[str, Any] = {
        "trace_id": trace_id,
        "experiment_id": "1",
        "request_time": AT,
        "execution_duration": 5,
        "state": "OK",
        "request_preview": "q",
        "tags": {"mlflow.traceName": "root", "team": "blue"},
        "metadata": {
            "mlflow.trace.session": "s-1",
            "mlflow.trace.tokenUsage": json.dumps({"input_tokens": 2, "total_tokens": 3}),
            "own": "value",
        },
        "assessments": (SAID,),
    }
    return Trace(**fields | changes)


def counts(path: Path) -> list[int]:
    return [rows(path, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


def test_a_trace_is_there_whole_when_it_is_finished(store: WrittenTraceStore, path: Path) -> None:
    wanted = a_trace()
    store.create("7", wanted)
    store.add_spans("7", {ID: [SPAN]})
    [shown] = store.read([ID])
    assert (shown.experiment_id, shown.has_stored_spans) == ("7", True)
    assert counts(path) == [0] * 5
    assert store.finish(shown, wanted, "mark") == ()
    columns = "experiment_id, timestamp_ms, execution_time_ms, status, trace_name, session_id"
    assert rows(path, f"SELECT {columns}, input_tokens, total_tokens FROM trace_info") == [
        (7, AT, 5, "OK", "root", "s-1", 2, 3)
    ]
    place = str(path.parent / f"artifacts/7/traces/{ID}/artifacts")
    assert dict(rows(path, "SELECT key, value FROM trace_tags")) == {
        "team": "blue",
        "mlflow.artifactLocation": place,
        "mlflow.trace.spansLocation": "TRACKING_STORE",
        MARK: "mark",
    }
    assert rows(path, "SELECT value FROM trace_request_metadata WHERE key = 'own'") == [("value",)]
    columns = "assessment_id, name, value, source_id, experiment_id, aggregate_value"
    assert rows(path, f"SELECT {columns} FROM assessments") == [
        ("a-1", "good", '"yes"', "ada", 7, 1.0)
    ]
    assert rows(path, "SELECT trace_id, name, type, status, experiment_id FROM spans") == [
        (ID, "root", "LLM", "OK", 7)
    ]
    [copy] = store.find("7")[ID]
    assert copy.mark == "mark"
    assert copy.record.tags["mlflow.traceName"] == "root"
    assert copy.record.assessments == (SAID,)
    assert len(store.spans([ID])[ID]) == 1


def test_marks_of_many_are_written_with_all_else(store: WrittenTraceStore, path: Path) -> None:
    ids = [f"tr-{number:032x}" for number in range(4)]
    for ident in ids:
        store.create("7", a_trace(ident, assessments=()))
    store.mark("7", dict.fromkeys(ids, "mark"), {})
    assert counts(path)[0] == 4
    before = path.read_bytes()
    for copy in store.read(ids):
        store.finish(copy, a_trace(copy.trace_id, assessments=()), "mark")
    assert path.read_bytes() == before, "nothing is left to be written"


def test_what_changes_of_a_copy_is_changed_and_no_more(
    store: WrittenTraceStore, path: Path
) -> None:
    store.create("7", a_trace())
    store.finish(store.read([ID])[0], a_trace(), "mark")
    [copy] = store.read([ID])
    tags = {"mlflow.traceName": "renamed", "more": "here"}
    store.finish(copy, a_trace(tags=tags), "another")
    [copy] = store.read([ID])
    assert tags.items() <= copy.tags.items()
    assert "team" not in copy.tags
    assert copy.tags[MARK] == "another"
    store.delete(copy)
    assert counts(path) == [0] * 5


def test_links_and_what_overrides_come_with_it(store: WrittenTraceStore, path: Path) -> None:
    store.create("7", a_trace())
    store.link_prompts(ID, [PromptLink("greet", "2")])
    store.link_to_run("b" * 32, [ID])
    store.override(ID, {**SAID, "assessment_id": "a-2", "overrides": "a-1", "valid": False})
    store.finish(store.read([ID])[0], a_trace(), "mark")
    ends = "SELECT destination_type, destination_id FROM entity_associations ORDER BY 1"
    assert rows(path, ends) == [("prompt_version", "greet/2"), ("run", "b" * 32)]
    assert rows(path, "SELECT assessment_id, overrides, valid FROM assessments ORDER BY 1") == [
        ("a-1", None, 1),
        ("a-2", "a-1", 0),
    ]


@pytest.mark.parametrize("trace_id", ["../up", "a/b", "a b", ".", "a\n", "größer"])
def test_an_id_that_is_no_name_of_a_folder_is_kept_and_its_folder_has_another(
    store: WrittenTraceStore, path: Path, trace_id: str
) -> None:
    other = trace_id.replace("/", "_") + "~"
    for ident in (trace_id, other):
        store.finish(store.create("7", a_trace(ident)), a_trace(ident), "mark")
    assert rows(path, "SELECT request_id FROM trace_info ORDER BY 1") == sorted(
        [(trace_id,), (other,)]
    )
    places = rows(path, "SELECT value FROM trace_tags WHERE key = 'mlflow.artifactLocation'")
    assert len(places) == len(set(places)) == 2
    for (place,) in places:
        folder, artifacts = place.partition("/traces/")[2].split("/")
        assert re.fullmatch(r"[A-Za-z0-9_-]*~[0-9a-f]{16}", folder)
        assert artifacts == "artifacts"


@pytest.mark.parametrize("trace_id", ["", "a\0b"])
def test_an_id_that_no_database_holds_is_refused(store: WrittenTraceStore, trace_id: str) -> None:
    with pytest.raises(Refused, match="no id of a trace"):
        store.create("7", a_trace(trace_id))


def test_what_is_no_span_and_no_assessment_is_named(store: WrittenTraceStore, path: Path) -> None:
    store.create("7", a_trace())
    with pytest.raises(Malformed, match="a span"):
        store.add_spans("7", {ID: [{**SPAN, "span_id": 7}]})
    with pytest.raises(Refused, match="a-1"):
        store.create("7", a_trace(assessments=({**SAID, "feedback": 5},)))
    assert counts(path) == [0] * 5
