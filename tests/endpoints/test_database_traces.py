"""The traces of a database: spans and assessments in every form, and what is broken in them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow.utils.proto_json_utils import message_to_json
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from migrate.endpoints.artifacts.locations import Roots
from migrate.endpoints.database.endpoint import DatabaseSource
from migrate.endpoints.database.spans import span_from
from migrate.endpoints.stores import TraceStore, traces_of
from migrate.endpoints.tracking.traces_wire import trace_from
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind
from migrate.traces import PromptLink, Trace, span_kind
from tests.endpoints.databases import as_written, in_order, opened, unpacked

#: The trace of the samples that has two spans, and assessments.
ROOT = "(SELECT trace_id FROM spans WHERE name = 'root')"


def _changed(folder: Path, *statements: str, version: str = "3.17.2") -> Path:
    path = unpacked(version, folder)
    connection = sqlite3.connect(path)
    for statement in statements:
        assert connection.execute(statement).rowcount, statement
    connection.commit()
    connection.close()
    return path


def _store(source: DatabaseSource) -> TraceStore:
    store = traces_of(source)
    assert store is not None
    return store


def _traces(source: DatabaseSource) -> dict[str, Trace]:
    """The traces that can be read, by their names."""
    return {it.tags["mlflow.traceName"]: it for it in _store(source).list(["1"])}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", ["2.22.5", "3.8.1"])
def test_an_older_database_gives_what_mlflow_shows_of_it_upgraded(
    version: str, tmp_path: Path
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path = unpacked(version, tmp_path)
    source = opened(path)
    read = {it.trace_id: it for it in _store(source).list(["1"])}
    stored = [trace_id for trace_id, it in read.items() if it.has_stored_spans]
    spans = _store(source).spans(stored)
    upgraded = shutil.copy(path, tmp_path / "upgraded.db")
    mlflow_store = SqlAlchemyStore(f"sqlite:///{upgraded}", str(tmp_path / "files"))
    for trace_id, trace in read.items():
        told = json.loads(message_to_json(mlflow_store.get_trace_info(trace_id).to_proto()))
        assert as_written(in_order(trace)) == as_written(in_order(trace_from(told)))
    for told in mlflow_store.batch_get_traces(stored):
        body = json.loads(message_to_json(told.to_proto()))
        shown = [{k: v for k, v in it.items() if k != "kind"} for it in body["spans"]]
        assert all(span_kind(it) == "" for it in body["spans"])
        assert spans.pop(told.info.trace_id) == shown
    assert not spans


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("timestamp_ms = 'yesterday'", "timestamp_ms"),
        ("execution_time_ms = 'long'", "execution_time_ms"),
        ("timestamp_ms = -1", "timestamp_ms"),
        ("input_tokens = 'many'", "input_tokens"),
        ("total_cost = 'much'", "total_cost"),
    ],
)
def test_a_trace_that_makes_no_sense_costs_itself(change: str, what: str, tmp_path: Path) -> None:
    source = opened(_changed(tmp_path, f"UPDATE trace_info SET {change} WHERE trace_name = 'op'"))
    assert _traces(source).keys() == {"root"}
    [entry] = source.unreadable.all()
    assert (entry.ref.kind, entry.container) == (Kind.TRACE, "1")
    assert what in entry.reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("value = 'true or false'", "value is no JSON"),
        ("assessment_type = 'guess'", "none of MLflow's"),
        ("created_timestamp = 'then'", "created_timestamp"),
        ("assessment_metadata = '[1]'", "no object"),
        ("error = '{'", "error is no JSON"),
        (f"value = '{'[' * 100_000}'", "nested too deeply"),
    ],
)
def test_an_assessment_that_makes_no_sense_is_a_loss(
    change: str, says: str, tmp_path: Path
) -> None:
    source = opened(_changed(tmp_path, f"UPDATE assessments SET {change} WHERE name = 'good'"))
    trace = _traces(source)["root"]
    [loss] = trace.losses
    assert loss.what.startswith("assessment a-")
    assert says in loss.reason
    assert [it["assessment_name"] for it in trace.assessments] == ["expected"]
    assert source.unreadable.all() == []


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"trace_id": 1, "span_id": 2, "attributes": {}, "status": {}}',
        '{"trace_id": "TChHDEeZ15iA6dziA+dTqw==", "span_id": "5dry"}',
        b"\xff",
    ],
)
def test_a_span_that_makes_no_sense_is_told(content: str | bytes, tmp_path: Path) -> None:
    value = f"x'{content.hex()}'" if isinstance(content, bytes) else f"'{content}'"
    change = f"UPDATE spans SET content = {value} WHERE name = 'inner'"
    source = opened(_changed(tmp_path, change))
    traces = _traces(source)
    with pytest.raises(Malformed):
        _store(source).spans([traces["root"].trace_id])
    assert len(_store(source).spans([traces["op"].trace_id])) == 1


def test_a_span_that_is_missing_is_a_loss(tmp_path: Path) -> None:
    source = opened(_changed(tmp_path, "DELETE FROM spans WHERE name = 'inner'"))
    traces = _traces(source)
    assert [it.reason for it in traces["root"].losses] == ["the database has 1 of 2"]
    assert traces["op"].losses == ()


def test_what_hangs_on_no_trace_is_left_alone(tmp_path: Path) -> None:
    source = opened(_changed(tmp_path, "DELETE FROM trace_info WHERE trace_name = 'root'"))
    assert _traces(source).keys() == {"op"}
    assert source.unreadable.all() == []


def test_metadata_in_columns_is_given_as_the_api_gives_it(tmp_path: Path) -> None:
    values = "session_id = 's', input_tokens = 3, total_tokens = 5, total_cost = 0.25"
    source = opened(_changed(tmp_path, f"UPDATE trace_info SET {values}"))
    metadata = _traces(source)["op"].metadata
    assert metadata["mlflow.trace.session"] == "s"
    assert metadata["mlflow.trace.tokenUsage"] == '{"input_tokens": 3, "total_tokens": 5}'
    assert metadata["mlflow.trace.cost"] == '{"total_cost": 0.25}'


def _archived(folder: Path, place: Path) -> tuple[DatabaseSource, Sequence[Any], str]:
    """A database of which one trace was archived, what its spans were, and its id."""
    before = opened(unpacked("3.17.2", folder))
    trace = _traces(before)["root"]
    spans = _store(before).spans([trace.trace_id])[trace.trace_id]
    before.close()
    path = _changed(
        folder,
        f"UPDATE trace_tags SET value = 'ARCHIVE_REPO' WHERE value = 'TRACKING_STORE' "
        f"AND request_id = '{trace.trace_id}'",
        f"INSERT INTO trace_tags (request_id, key, value) VALUES "
        f"('{trace.trace_id}', 'mlflow.trace.archiveLocation', '{place / trace.trace_id}')",
        f"UPDATE spans SET content = '' WHERE trace_id = '{trace.trace_id}'",
    )
    roots = Roots([folder / "archive"])
    source = DatabaseSource(f"sqlite:///{path}", side="source", roots=roots)
    return source, spans, trace.trace_id


def test_archived_spans_are_read_where_they_are(tmp_path: Path) -> None:
    from google.protobuf.json_format import ParseDict

    source, spans, trace_id = _archived(tmp_path, tmp_path / "archive")
    with pytest.raises(DirectoryError, match=r"they were archived, and .*traces\.pb is not there"):
        _store(source).spans([trace_id])
    file = tmp_path / "archive" / trace_id / "traces.pb"
    file.parent.mkdir(parents=True)
    message = ParseDict({"resource_spans": [{"scope_spans": [{"spans": spans}]}]}, TracesData())
    file.write_bytes(message.SerializeToString())
    trace = _traces(source)["root"]
    assert (trace.has_stored_spans, trace.losses) == (True, ())
    assert _store(source).spans([trace_id]) == {trace_id: spans}
    file.write_bytes(b"no message")
    with pytest.raises(Malformed, match="no archive of spans"):
        _store(source).spans([trace_id])


def test_an_archive_out_of_reach_is_told(tmp_path: Path) -> None:
    source, _, trace_id = _archived(tmp_path, tmp_path / "elsewhere")
    with pytest.raises(DirectoryError, match=r"they were archived: .* is not read"):
        _store(source).spans([trace_id])


def _span(**members: Any) -> str:
    ids = {"trace_id": "TChHDEeZ15iA6dziA+dTqw==", "span_id": "5dryCe50xEU="}
    status = {"code": "STATUS_CODE_UNSET", "message": None}
    times = {"start_time_unix_nano": 5, "end_time_unix_nano": None, "parent_span_id": None}
    return json.dumps({**ids, "name": "n", **times, "attributes": {}, "status": status, **members})


@pytest.mark.parametrize(
    ("members", "given"),
    [
        ({"status": {"code": "ERROR"}}, {"status": {"code": "STATUS_CODE_ERROR"}}),
        ({"attributes": {"a": "1"}}, [{"key": "a", "value": {"int_value": 1}}]),
        ({"attributes": {"a": "no JSON"}}, [{"key": "a", "value": {"string_value": "no JSON"}}]),
        ({"attributes": {"a": ""}}, [{"key": "a"}]),
        ({"attributes": {"a": "NaN"}}, [{"key": "a", "value": {"double_value": "NaN"}}]),
        ({"attributes": {"a": "1e999"}}, [{"key": "a", "value": {"double_value": "Infinity"}}]),
        ({"attributes": {"a": "0"}}, [{"key": "a", "value": {"int_value": 0}}]),
        ({"attributes": {"a": "[]"}}, [{"key": "a", "value": {"array_value": {}}}]),
        (
            {"attributes": {"a": '[null, false, {"b": {}}]'}},
            [
                {
                    "key": "a",
                    "value": {
                        "array_value": {
                            "values": [
                                {},
                                {"bool_value": False},
                                {
                                    "kvlist_value": {
                                        "values": [{"key": "b", "value": {"kvlist_value": {}}}]
                                    }
                                },
                            ]
                        }
                    },
                }
            ],
        ),
        (
            {"attributes": {"a": '"half \\ud83d"'}},
            [{"key": "a", "value": {"string_value": "half ?"}}],
        ),
    ],
)
def test_each_value_of_a_span_is_given_as_the_api_gives_it(
    members: dict[str, Any], given: Any
) -> None:
    span = span_from(_span(**members))
    wanted = given if isinstance(given, dict) else {"attributes": given, "status": {}}
    assert {name: span[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    "ids",
    [
        {"trace_id": "tr-4c28470c4799d79880e9dce203e753ab", "span_id": "e5daf209ee74c445"},
        {"trace_id": "TChHDEeZ15iA6dziA+dTqw==", "span_id": "5dryCe50xEU="},
    ],
)
def test_ids_are_read_as_each_release_wrote_them(ids: dict[str, str]) -> None:
    link = {"trace_id": "tr-4c28470c4799d79880e9dce203e753ab", "span_id": "e5daf209ee74c445"}
    wide = {**link, "span_id": "1" * 17}
    span = span_from(_span(**ids, parent_span_id=ids["span_id"], links=[link, wide]))
    told = {"trace_id": "TChHDEeZ15iA6dziA+dTqw==", "span_id": "5dryCe50xEU="}
    assert {name: span[name] for name in told} == told
    assert span["parent_span_id"] == told["span_id"]
    assert span["links"] == [told]


def test_a_name_out_of_a_column_wins(tmp_path: Path) -> None:
    row = f"INSERT INTO trace_tags (request_id, key, value) SELECT {ROOT}, 'mlflow.traceName', 'x'"
    assert _traces(opened(_changed(tmp_path, row))).keys() == {"op", "root"}


def test_links_are_those_that_neither_metadata_nor_tags_name(tmp_path: Path) -> None:
    insert = "INSERT INTO entity_associations VALUES "
    ends = [("run", "named"), ("run", "other"), ("prompt_version", "ask/1")]
    ends += [("prompt_version", "a/sk/2"), ("prompt_version", "odd"), ("model", "m")]
    links = (f"('{to}', 'trace', {ROOT}, '{kind}', '{to}', 1)" for kind, to in ends)
    traces = _traces(
        opened(
            _changed(
                tmp_path,
                insert + ", ".join(links),
                f"INSERT INTO trace_request_metadata SELECT 'mlflow.sourceRun', 'named', {ROOT}",
                "INSERT INTO trace_tags SELECT 'mlflow.linkedPrompts', "
                f"""'[{{"name": "ask", "version": "1"}}]', {ROOT}""",
            )
        )
    )
    root = traces["root"]
    assert root.linked_runs == ("other",)
    assert root.more_prompts == (PromptLink("", "odd"), PromptLink("a/sk", "2"))
    assert root.linked_prompts == (PromptLink("ask", "1"), *root.more_prompts)
    assert (traces["op"].linked_runs, traces["op"].more_prompts) == ((), ())
