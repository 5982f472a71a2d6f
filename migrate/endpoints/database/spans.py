"""The spans that a database keeps, in the form that MLflow's API gives them in. Pure.

A row has the span as MLflow's own JSON, in which each attribute is JSON once more; the API gives
OpenTelemetry's message. All functions raise ``Malformed``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

from migrate.endpoints.shapes import (
    Object,
    as_object,
    ident,
    integer,
    member,
    objects,
    parse_json,
    required,
    required_count,
    text,
    word,
)
from migrate.errors import Malformed
from migrate.traces import SPAN_KINDS

#: Bytes of an id of OpenTelemetry.
_TRACE, _SPAN = 16, 8
#: Before the digits of an id, as MLflow writes them.
_PREFIX = "tr-"
#: MLflow 3.5.0 wrote the words of its own.
_CODES = {"UNSET": "STATUS_CODE_UNSET", "OK": "STATUS_CODE_OK", "ERROR": "STATUS_CODE_ERROR"}
_UNSET = "STATUS_CODE_UNSET"


def span_from(content: str) -> dict[str, Any]:
    """Read the span of a row."""
    try:
        body = as_object(parse_json(content), "a span")
    except ValueError as problem:
        raise Malformed(f"a span is no JSON: {problem}") from problem
    try:
        return _span(body)
    except Malformed as problem:
        raise problem.within(f"span {text(body, 'span_id')!r}") from None


def _span(body: Object) -> dict[str, Any]:
    span: dict[str, Any] = {
        "trace_id": _id(body, "trace_id", _TRACE),
        "span_id": _id(body, "span_id", _SPAN),
        "name": _clean(text(body, "name")),
        "start_time_unix_nano": required_count(body, "start_time_unix_nano"),
        "end_time_unix_nano": integer(body, "end_time_unix_nano"),
        "attributes": _pairs(
            {key: _parsed(value) for key, value in required(body, "attributes").items()}
        ),
        "events": [_event(it) for it in objects(body, "events")],
        "links": [link for it in objects(body, "links") for link in _link(it)],
    }
    if kind := word(body, "kind", SPAN_KINDS) if body.get("kind") else "":
        span["kind"] = kind
    if body.get("parent_span_id"):
        span["parent_span_id"] = _id(body, "parent_span_id", _SPAN)
    # What has its default is left out of a message, but for one within it.
    return {**_without_defaults(span), "status": _status(required(body, "status"))}


def _event(body: Object) -> dict[str, Any]:
    return _without_defaults(
        {
            "name": _clean(text(body, "name")),
            "time_unix_nano": required_count(body, "time_unix_nano"),
            "attributes": _pairs(member(body, "attributes")),
        }
    )


def _link(body: Object) -> list[dict[str, Any]]:
    """Return a link, or nothing: the API gives none with an id of more digits than it has room."""
    digits = ident(body, "trace_id").rpartition("/")[2].removeprefix(_PREFIX)
    found = {"trace_id": _bytes(digits, _TRACE), "span_id": _bytes(ident(body, "span_id"), _SPAN)}
    if None in found.values():
        return []
    return [_without_defaults({**found, "attributes": _pairs(member(body, "attributes"))})]


def _status(body: Object) -> dict[str, Any]:
    code = text(body, "code") or _UNSET
    code = _CODES.get(code, code)
    if code not in _CODES.values():
        raise Malformed(f"status code is {code[:60]!r}, none of OpenTelemetry's")
    status = {"message": _clean(text(body, "message"))}
    return _without_defaults(status if code == _UNSET else {"code": code, **status})


def _id(body: Object, name: str, size: int) -> str:
    """Return an id, which is base64 in most databases."""
    told = ident(body, name)
    bare = told.rpartition("/")[2]
    if name == "trace_id" and bare.startswith(_PREFIX):
        found = _bytes(bare.removeprefix(_PREFIX), size)
    elif len(told) == 2 * size:
        found = _bytes(told, size)
    else:
        try:
            found = told if len(base64.b64decode(told, validate=True)) == size else None
        except (binascii.Error, ValueError):
            found = None
    if found is None:
        raise Malformed(f"{name} is {told[:60]!r}, no id of {size} bytes")
    return found


def _bytes(digits: str, size: int) -> str | None:
    """Return hexadecimal digits as base64 of so many bytes, None for what has more."""
    try:
        return base64.b64encode(int(digits, 16).to_bytes(size, "big")).decode()
    except OverflowError:
        return None
    except ValueError:
        raise Malformed(f"{digits[:60]!r} is no id") from None


def _parsed(value: Any) -> Any:
    """Return an attribute, which MLflow keeps as JSON; what is none is a text."""
    if not value:
        return None
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        _without_defaults({"key": _clean(key), "value": _any_value(value)})
        for key, value in values.items()
    ]


def _any_value(value: Any) -> dict[str, Any]:
    """Return a value of JSON as one of OpenTelemetry's, which is empty for ``null``."""
    if value is None:
        return {}
    if isinstance(value, list):
        return {"array_value": _without_defaults({"values": [_any_value(it) for it in value]})}
    if isinstance(value, dict):
        return {"kvlist_value": _without_defaults({"values": _pairs(value)})}
    if isinstance(value, str):
        return {"string_value": _clean(value)}
    if isinstance(value, float):
        return {"double_value": _number(value)}
    return {"bool_value" if isinstance(value, bool) else "int_value": value}


def _number(value: float) -> float | str:
    """Return a number, or protobuf's word for what JSON has none for."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _clean(value: str) -> str:
    """Return a text as the API gives it, which has no half of a character."""
    return value.encode("utf-8", "replace").decode()


def _without_defaults(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, "", [], {}, 0)}
