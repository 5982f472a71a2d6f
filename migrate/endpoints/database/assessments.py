"""What was said of a trace, in the form that MLflow's API gives it in. Pure.

All functions raise ``Malformed``.
"""

from __future__ import annotations

import json
from typing import Any

from migrate.endpoints.database.json_columns import json_of
from migrate.endpoints.database.reading import Row
from migrate.endpoints.proto_times import time_text
from migrate.endpoints.shapes import (
    Object,
    as_object,
    ident,
    required_count,
    required_text,
    text,
    text_or_none,
)
from migrate.errors import Malformed
from migrate.traces import Assessment

COLUMNS = (
    "assessment_id",
    "trace_id",
    "name",
    "assessment_type",
    "value",
    "error",
    "created_timestamp",
    "last_updated_timestamp",
    "source_type",
    "source_id",
    "span_id",
    "rationale",
    "overrides",
    "valid",
    "assessment_metadata",
)
#: More of a stack trace the API does not give.
_STACK = 10_000
_CUT = "[Stack trace is truncated]\n...\n"
_JSON = "JSON_FORMAT"


def assessment_from(row: Row) -> Assessment:
    """Read the assessment of a row."""
    body: dict[str, Any] = {
        "assessment_id": ident(row, "assessment_id"),
        "assessment_name": text(row, "name"),
        "trace_id": ident(row, "trace_id"),
        "source": _source(row),
        "create_time": time_text(required_count(row, "created_timestamp")),
        "last_update_time": time_text(required_count(row, "last_updated_timestamp")),
        **_said(row),
        "valid": bool(row["valid"]),
    }
    for name in ("span_id", "rationale"):
        if (value := text_or_none(row, name)) is not None:
            body[name] = value
    if overridden := text(row, "overrides"):
        body["overrides"] = overridden
    if row["assessment_metadata"] is not None:
        metadata = as_object(json_of(row, "assessment_metadata") or {}, "assessment_metadata")
        if metadata:
            body["metadata"] = {key: str(value) for key, value in metadata.items()}
    return body


def _source(row: Row) -> dict[str, str]:
    kind = required_text(row, "source_type").upper()
    source = {"source_type": "LLM_JUDGE" if kind == "AI_JUDGE" else kind}
    ident_of = text_or_none(row, "source_id")
    return source if ident_of is None else {**source, "source_id": ident_of}


def _said(row: Row) -> dict[str, Any]:
    """Return what was said, by the name of its kind."""
    kind, value = required_text(row, "assessment_type"), json_of(row, "value")
    if kind == "issue":
        found = as_object(value, "value")
        return {kind: {"issue_name": text(found, "issue_name")}}
    if kind == "expectation":
        if isinstance(value, list | dict):
            serialized = {"serialization_format": _JSON, "value": json.dumps(value)}
            return {kind: {"serialized_value": serialized}}
        return {kind: {"value": _as_numbers(value)}}
    if kind != "feedback":
        raise Malformed(f"assessment_type is {kind[:60]!r}, none of MLflow's")
    feedback: dict[str, Any] = {"value": _as_numbers(value)}
    if row["error"] is not None and (error := json_of(row, "error")):
        feedback["error"] = _error(as_object(error, "error"))
    return {kind: feedback}


def _error(body: Object) -> dict[str, str]:
    error = {"error_code": text(body, "error_code")}
    if message := text(body, "error_message"):
        error["error_message"] = message
    if stack := text(body, "stack_trace"):
        is_long = len(stack) > _STACK
        error["stack_trace"] = _CUT + stack[len(_CUT) - _STACK :] if is_long else stack
    return error


def _as_numbers(value: Any) -> Any:
    """Return a value with floats for all numbers, which the API has no others of.

    A whole number that no float is stays one.
    """
    if isinstance(value, list):
        return [_as_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_numbers(item) for key, item in value.items()}
    if type(value) is int and abs(value) < 2**1000 and float(value) == value:
        return float(value)
    return value
