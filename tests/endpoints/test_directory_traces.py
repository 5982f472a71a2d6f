"""Traces in an export: what is written is read again, what others wrote too, and damage by name."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.stores import TraceStore, traces_of
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind, Ref
from migrate.objects import ArtifactRoot, Loss
from migrate.origins import MARK, losses_from_tags
from migrate.traces import SPANS_LOCATION_TAG, Stretch, Trace
from tests.endpoints.exports import (
    an_experiment,
    envelope,
    files_below,
    foreign_experiment,
    foreign_trace,
    put,
    write_json,
)

FIRST, SECOND = "tr-" + "1" * 32, "tr-" + "2" * 32


def a_trace(ident: str = FIRST, **changes: Any) -> Trace:
    feedback = {
        "assessment_id": "a-1",
        "assessment_name": "good",
        "trace_id": ident,
        "source": {"source_type": "HUMAN", "source_id": "ada"},
        "create_time": "2025-01-02T03:04:05.006Z",
        "last_update_time": "2025-01-02T03:04:05.007Z",
        "feedback": {"value": {"deep": [1, None]}},
        "valid": True,
    }
    members: dict[str, Any] = {
        "trace_id": ident,
        "experiment_id": "7",
        "request_time": 1_754_000_000_123,
        "execution_duration": 1500,
        "state": "OK",
        "request_preview": "what?",
        "metadata": {"mlflow.sourceRun": "a" * 32},
        "tags": {"stage": "one", "empty": ""},
        "assessments": (feedback, {"assessment_id": "a-2", "issue": {}, "valid": True}),
    }
    return Trace(**{**members, **changes})


def span(ident: str, name: str = "root", **changes: Any) -> dict[str, Any]:
    trace_id = bytes.fromhex(ident.removeprefix("tr-"))
    return {
        "trace_id": base64.b64encode(trace_id).decode(),
        "span_id": base64.b64encode(name.encode().ljust(8)).decode(),
        "name": name,
        "start_time_unix_nano": "1754000000123000001",
        "end_time_unix_nano": "1754000000124000002",
        "attributes": [
            {"key": "mlflow.traceRequestId", "value": {"string_value": ident}},
            {"key": "big", "value": {"int_value": str(2**62)}},
            {"key": "none", "value": {}},
            {"key": "many", "value": {"array_value": {"values": [{"bool_value": True}]}}},
        ],
        "status": {"code": "STATUS_CODE_OK"},
        **changes,
    }


def store_of(export: ExportDirectory) -> TraceStore:
    store = traces_of(export)
    assert store is not None
    return store


@pytest.fixture
def export(tmp_path: Path) -> ExportDirectory:
    target = ExportDirectory(tmp_path / "export", writable=True)
    target.experiments.create(an_experiment())
    return target


def write(
    export: ExportDirectory,
    trace: Trace,
    *spans: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
    losses: tuple[Loss, ...] = (),
) -> None:
    store = store_of(export)
    copy = store.create("7", trace)
    if spans:
        store.add_spans("7", {trace.trace_id: spans})
    for path, content in (files or {}).items():
        put(export, ArtifactRoot(Ref(Kind.TRACE, trace.trace_id), ""), path, content)
    store.finish(copy, trace, "mark-1", losses)


def reader(export: ExportDirectory) -> ExportDirectory:
    return ExportDirectory(export._export.path, writable=False)


def folder_of(export: ExportDirectory, ident: str = FIRST) -> Path:
    return export._export.path / "7" / "traces" / ident


def ids(source: ExportDirectory) -> list[str]:
    return [trace.trace_id for trace in store_of(source).list(["7"])]


def test_a_trace_is_read_as_it_was_written(export: ExportDirectory) -> None:
    spans = [span(FIRST), span(FIRST, "child", parent_span_id="cm9vdCAgICA=", flags=256)]
    write(export, a_trace(), *spans, files={"attachments/x y": b"png"}, losses=(Loss("a", "b"),))
    source = reader(export)
    [found] = store_of(source).within("7")
    stored = {**a_trace().tags, SPANS_LOCATION_TAG: "TRACKING_STORE"}
    assert found == a_trace(tags=stored, losses=(Loss("a", "b"),))
    assert store_of(source).spans([FIRST]) == {FIRST: spans}
    assert files_below(source, ArtifactRoot(found_ref(), "")) == {"attachments/x y": b"png"}
    [copy] = store_of(export).read([FIRST])
    assert copy.tags[MARK] == "mark-1"
    assert losses_from_tags(copy.tags) == (Loss("a", "b"),)


def found_ref() -> Ref:
    return Ref(Kind.TRACE, FIRST)


def test_other_tools_find_what_they_read(export: ExportDirectory) -> None:
    from mlflow.entities import Span

    write(export, a_trace(), span(FIRST), span(FIRST, "child", parent_span_id="cm9vdCAgICA="))
    write(export, a_trace(SECOND))
    export.publish()
    experiment = json.loads((folder_of(export).parents[1] / "experiment.json").read_text())
    assert experiment["mlflow"]["traces"] == [FIRST]
    assert experiment["mlflow"]["other_traces"] == [SECOND]
    assert experiment["info"]["ok_traces"] == 2
    index = json.loads((folder_of(export).parent / "traces.json").read_text())
    assert [entry["traces"] for entry in index["mlflow"]["experiments"]] == [[FIRST]]
    record = json.loads((folder_of(export) / "trace.json").read_text())["mlflow"]
    [assessment] = record["info"]["assessments"]
    assert assessment["assessment_type"] == "feedback"
    assert assessment["feedback"]["value"] == {"deep": [1, None]}
    assert assessment["create_time_ms"] == 1735787045006
    dump = json.loads((folder_of(export) / "artifacts" / "traces.json").read_text())
    root, child = map(Span.from_dict, dump["spans"])
    assert (root.parent_id, child.parent_id) == (None, root.span_id)
    own = {"mlflow.traceRequestId": FIRST}
    assert root.attributes == {**own, "big": 2**62, "none": None, "many": [True]}
    assert root.start_time_ns == 1754000000123000001
    assert [it["span_id"] for it in record["data"]] == [root.span_id, child.span_id]


def test_they_come_in_the_order_in_which_they_began(export: ExportDirectory) -> None:
    for number, ident in enumerate(("tr-c", "tr-a", "tr-b")):
        write(export, a_trace(ident, request_time=1000 + number))
    store = store_of(reader(export))
    assert ids(reader(export)) == ["tr-c", "tr-a", "tr-b"]
    assert [it.trace_id for it in store.within("7", Stretch(1001, 1001))] == ["tr-a"]
    assert [it.trace_id for it in store.within("7", Stretch(1001))] == ["tr-a", "tr-b"]
    assert [it.trace_id for it in store.within("7", Stretch(last=1000))] == ["tr-c"]


@pytest.mark.parametrize(
    "ident", ["../../x", "a/b", "CON", "x" * 300, ".hidden", "é☃", "trace.json"]
)
def test_whatever_its_id_is_it_stays_in_its_place(export: ExportDirectory, ident: str) -> None:
    trace = a_trace(ident)
    before = {it.name for it in export._export.path.parent.iterdir()}
    write(export, trace, files={"traces.json": b"{}"})
    assert {it.name for it in export._export.path.parent.iterdir()} == before
    assert list(store_of(reader(export)).read([ident])) == [trace]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "its record is cut off": lambda folder: cut(folder / "trace.json"),
    "its record is gone": lambda folder: (folder / "trace.json").unlink(),
    "its spans are cut off": lambda folder: cut(folder / "spans.json"),
    "its spans are gone": lambda folder: (folder / "spans.json").unlink(),
    "its record is of another": lambda folder: folder.rename(folder.with_name(SECOND)) and None,
    "its record is no object": lambda folder: write_json(folder / "trace.json", []),
    "its time is a list": lambda folder: change(folder, lambda it: it.update(request_time=[1])),
    "its tags are a list": lambda folder: change(folder, lambda it: it.update(tags=[1])),
    "its record is a link": lambda folder: link(folder / "trace.json"),
    "it was being written": lambda folder: (
        folder.rename(folder.with_name(f".{FIRST}.partial")) and None
    ),
}


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def change(folder: Path, how: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "trace.json").read_text())
    how(content["mlflow"]["trace"])
    write_json(folder / "trace.json", content)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_costs_itself_by_name(export: ExportDirectory, damage: str) -> None:
    write(export, a_trace(), span(FIRST))
    write(export, a_trace("tr-whole"), span("tr-" + "3" * 32))
    export.publish()
    DAMAGE[damage](folder_of(export))
    source = reader(export)
    assert ids(source) == ["tr-whole"]
    assert {it.ref.kind for it in source.unreadable.all()} == {Kind.TRACE}
    # Who writes makes it anew.
    target = ExportDirectory(export._export.path, writable=True)
    found = {it.trace_id: it.tags.get(MARK) for it in store_of(target).read([FIRST])}
    assert found.get(FIRST) is None
    if "link" not in damage and "another" not in damage:
        write(target, a_trace(), span(FIRST))
        target.publish()
        assert set(ids(reader(export))) == {FIRST, "tr-whole"}
        assert reader(export).unreadable.all() == []


def test_spans_that_are_not_what_was_exported_are_not_handed_on(export: ExportDirectory) -> None:
    write(export, a_trace(), span(FIRST))
    path = folder_of(export) / "spans.json"
    path.write_bytes(path.read_bytes().replace(b"root", b"toor"))
    [found] = store_of(reader(export)).list(["7"])
    with pytest.raises(DirectoryError, match=r"spans\.json is not what was exported"):
        store_of(reader(export)).spans([found.trace_id])


def test_what_are_no_spans_is_not_taken(export: ExportDirectory) -> None:
    store = store_of(export)
    store.create("7", a_trace())
    for odd in ({"trace_id": 7}, {"attributes": [3]}, {"start_time_unix_nano": "soon"}):
        with pytest.raises(Malformed):
            store.add_spans("7", {FIRST: [odd]})


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """An export of mlflow-export-import of late 2025, without traces."""
    listed = {**foreign_experiment("1", []), "traces": ["tr-1", "tr-2", "tr-gone"]}
    write_json(tmp_path / "experiments.json", envelope({"experiments": [{"id": "1", "name": "x"}]}))
    write_json(tmp_path / "1" / "experiment.json", envelope(listed))
    return tmp_path


def write_foreign(base: Path, ident: str, **changes: Any) -> Path:
    folder = base / "1" / "traces" / ident
    write_json(folder / "trace.json", envelope(foreign_trace(ident, **changes)))
    return folder


def test_those_of_other_tools_are_read(foreign: Path) -> None:
    source = {"source_type": "HUMAN", "source_id": "ada"}
    told = {"source": source, "trace_id": "tr-1", "span_id": None, "valid": True}
    told |= {"create_time_ms": 1735787045006, "metadata": {"n": "1"}, "run_id": None}
    error = {"error_code": "NO", "error_message": "no", "stack_trace": None}
    given = [
        {**told, "name": "a", "feedback": {"value": 0.5, "error": None}, "rationale": "so"},
        {**told, "name": "b", "feedback": {"value": None, "error": error}, "error": error},
        {**told, "name": "c", "expectation": {"k": [1]}, "assessment_type": "expectation"},
        {**told, "name": "d"},
    ]
    folder = write_foreign(foreign, "tr-1", assessments=given)
    write_json(folder / "artifacts" / "traces.json", {"spans": []})
    stored = {"mlflow.trace.spansLocation": "TRACKING_STORE"}
    write_foreign(foreign, "tr-2", tags=stored, request_time=7)
    write_foreign(foreign, "tr-3")
    export = ExportDirectory(foreign, writable=False)
    second, first = store_of(export).list(["1"])
    assert (first.request_time, first.execution_duration) == (1754000000123, 42)
    assert first.tags == {"stage": "one"}
    assert first.metadata["mlflow.trace.user"] == "grace"
    assert [it["assessment_name"] for it in first.assessments] == ["a", "b", "c"]
    a, b, c = first.assessments
    assert (a["feedback"], a["rationale"], a["metadata"]) == ({"value": 0.5}, "so", {"n": "1"})
    assert a["create_time"] == "2025-01-02T03:04:05.006Z"
    assert b["feedback"]["error"] == {"error_code": "NO", "error_message": "no"}
    assert json.loads(c["expectation"]["serialized_value"]["value"]) == {"k": [1]}
    assert [loss.what for loss in first.losses] == ["assessment d"]
    root = ArtifactRoot(Ref(Kind.TRACE, "tr-1"), "")
    assert [it.path for it in export.artifacts.list(root)] == ["traces.json"]
    assert not second.has_stored_spans
    assert [loss.what for loss in second.losses] == ["spans of trace tr-2"]
    # One is not there, and one not listed.
    assert {it.ref.id for it in export.unreadable.all()} == {"tr-gone", "tr-3"}


def test_those_of_mlflow_2_are_read(foreign: Path) -> None:
    info = {
        "request_id": "tr-1",
        "experiment_id": "1",
        "timestamp_ms": 1754000000123,
        "execution_time_ms": 9,
        "status": "ERROR",
        "request_metadata": {"mlflow.traceInputs": "{}"},
        "tags": {"mlflow.artifactLocation": "x", "mlflow.traceName": "f"},
    }
    path = foreign / "1" / "traces" / "tr-1" / "trace.json"
    write_json(path, envelope({"info": info, "data": []}))
    [found] = store_of(ExportDirectory(foreign, writable=False)).list(["1"])
    assert (found.state, found.execution_duration) == ("ERROR", 9)
    assert found.metadata == {"mlflow.traceInputs": "{}"}
    assert found.tags == {"mlflow.traceName": "f"}
