"""Traces as other tools write them: MLflow's own objects, of its second or third version. Pure."""

from __future__ import annotations

import json
from typing import Any

from migrate.endpoints.directory.foreign.members import Members, named
from migrate.endpoints.proto_times import time_text
from migrate.endpoints.shapes import (
    Object,
    integer,
    member,
    objects,
    required,
    stored_id,
    text,
    text_or_none,
)
from migrate.errors import Malformed
from migrate.objects import Loss
from migrate.traces import SERVER_TAGS, SPANS_LOCATION_TAG, Assessment, Trace

#: What MLflow 2 calls these otherwise.
_UNKNOWN_STATE = {"UNSPECIFIED": "STATE_UNSPECIFIED", "": "STATE_UNSPECIFIED"}
_OF_ASSESSMENTS = ("rationale", "span_id", "overrides", "assessment_id", "valid")


def foreign_trace(
    value: Object, *, directory: str, experiment_id: str, has_spans_file: bool
) -> Trace:
    """Read the ``mlflow`` member of trace.json, and what is lost of it. Raises ``Malformed``.

    ``directory`` is its id where it says none; ``has_spans_file`` says that there is a file of its
    spans, in which they are then, wherever the server kept them.
    """
    info, members = required(value, "info"), Members()
    tags = members.pairs(info, "tags", "tag")
    metadata = "trace_metadata" if "trace_metadata" in info else "request_metadata"
    ident = trace_id_in(value, directory)
    request_time = _first(info, "request_time", "timestamp_ms")
    if request_time is None:
        raise Malformed("request_time is missing")
    time_text(request_time)
    state = text(info, "state") or text(info, "status")
    lost: tuple[Loss, ...] = ()
    if SPANS_LOCATION_TAG in tags and not has_spans_file:
        lost = (Loss(f"spans of trace {ident}", "they are not among what was exported"),)
    return Trace(
        trace_id=ident,
        experiment_id=experiment_id,
        request_time=request_time,
        execution_duration=_first(info, "execution_duration", "execution_time_ms"),
        state=_UNKNOWN_STATE.get(state, state),
        client_request_id=text_or_none(info, "client_request_id"),
        request_preview=text_or_none(info, "request_preview"),
        response_preview=text_or_none(info, "response_preview"),
        metadata=members.pairs(info, metadata, "metadata"),
        tags={key: value for key, value in tags.items() if key not in SERVER_TAGS},
        assessments=tuple(members.each(objects(info, "assessments"), _assessment, _called)),
        losses=(*members.losses, *lost),
    )


def trace_id_in(value: Object, directory: str) -> str:
    """Return the id in trace.json, else the name of its directory. Raises ``Malformed``."""
    return stored_id(required(value, "info"), "trace_id", "request_id", default=directory)


def _first(info: Object, *names: str) -> int | None:
    return next((it for name in names if (it := integer(info, name)) is not None), None)


def _called(entry: Object) -> str:
    return named("assessment", entry.get("name"))


def _assessment(entry: Object) -> Assessment:
    """Return an assessment as servers give it. Raises ``Malformed``."""
    found: dict[str, Any] = {
        "assessment_name": text(entry, "name"),
        "trace_id": text(entry, "trace_id"),
        "source": dict(member(entry, "source")),
        **{name: entry[name] for name in _OF_ASSESSMENTS if entry.get(name) is not None},
    }
    if entry.get("metadata"):
        found["metadata"] = {key: text(entry["metadata"], key) for key in member(entry, "metadata")}
    for name, ms in (
        ("create_time", "create_time_ms"),
        ("last_update_time", "last_update_time_ms"),
    ):
        if (moment := integer(entry, ms)) is not None:
            found[name] = time_text(moment)
    if entry.get("feedback") is not None:
        found["feedback"] = _feedback(entry)
    elif entry.get("expectation") is not None:
        found["expectation"] = _expectation(entry["expectation"])
    elif entry.get("issue") is not None:
        found["issue"] = dict(member(entry, "issue"))
    else:
        raise Malformed("it is of no known kind")
    return found


def _feedback(entry: Object) -> dict[str, Any]:
    told = member(entry, "feedback")
    error = told.get("error") or entry.get("error")
    given = {key: value for key, value in (error or {}).items() if value is not None}
    return {"value": told.get("value"), **({"error": given} if given else {})}


def _expectation(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and value.keys() == {"value"}:
        value = value["value"]
    if isinstance(value, list | dict):
        told = {"serialization_format": "JSON_FORMAT", "value": json.dumps(value)}
        return {"serialized_value": told}
    return {"value": value}
