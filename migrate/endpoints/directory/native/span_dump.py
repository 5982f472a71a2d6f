"""Spans as MLflow's client dumps them in ``traces.json``, made of those that servers give. Pure.

That dump is what other tools read. It knows no types of numbers and nothing that OpenTelemetry has
beyond MLflow, so that it is never read back: the spans themselves are kept beside it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from migrate.errors import Malformed
from migrate.traces import Spans

Span = Mapping[str, Any]
_UNSET = "STATUS_CODE_UNSET"
#: Members of a value in OpenTelemetry's JSON that are as in any other.
_PLAIN = ("string_value", "bool_value", "double_value", "bytes_value")


class ForOthers(NamedTuple):
    """What other tools read of spans: which there are, and the content of ``traces.json``."""

    outline: Sequence[Mapping[str, Any]] = ()
    dump: Mapping[str, Any] = MappingProxyType({})


def for_others(spans: Spans) -> ForOthers:
    """Return what other tools read. Raises ``Malformed`` for what are no spans."""
    try:
        return ForOthers(_outline(spans), {"spans": [_dumped(span) for span in spans]})
    except (ValueError, TypeError, AttributeError, RecursionError) as problem:
        raise Malformed(f"a span is not of OpenTelemetry's form: {problem}") from None


def _outline(spans: Spans) -> list[dict[str, Any]]:
    return [
        {
            "name": span.get("name", ""),
            "trace_id": "tr-" + _hex(span.get("trace_id")),
            "span_id": _hex(span.get("span_id")),
            "parent_id": _hex(span.get("parent_span_id")) or None,
        }
        for span in spans
    ]


def _dumped(span: Span) -> dict[str, Any]:
    status = span.get("status") or {}
    return {
        "trace_id": span.get("trace_id"),
        "span_id": span.get("span_id"),
        "parent_span_id": span.get("parent_span_id") or None,
        "name": span.get("name", ""),
        **({"kind": span["kind"]} if span.get("kind") else {}),
        "start_time_unix_nano": _integer(span.get("start_time_unix_nano")),
        "end_time_unix_nano": _integer(span.get("end_time_unix_nano")),
        "events": [
            {
                "name": event.get("name", ""),
                "time_unix_nano": _integer(event.get("time_unix_nano")),
                "attributes": _members(event.get("attributes")),
            }
            for event in span.get("events") or ()
        ],
        "status": {"code": status.get("code", _UNSET), "message": status.get("message", "")},
        "attributes": {
            key: json.dumps(value, ensure_ascii=False)
            for key, value in _members(span.get("attributes")).items()
        },
        "links": [
            {
                "trace_id": "tr-" + _hex(link.get("trace_id")),
                "span_id": _hex(link.get("span_id")),
                "attributes": _members(link.get("attributes")),
            }
            for link in span.get("links") or ()
        ],
    }


def _members(entries: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {str(it.get("key")): _value(it.get("value") or {}) for it in entries or ()}


def _value(value: Mapping[str, Any]) -> Any:
    for name in _PLAIN:
        if name in value:
            return value[name]
    if "int_value" in value:
        return _integer(value["int_value"])
    if "array_value" in value:
        return [_value(item) for item in value["array_value"].get("values") or ()]
    if "kvlist_value" in value:
        return _members(value["kvlist_value"].get("values"))
    return None


def _integer(value: Any) -> int | None:
    """Return a 64-bit integer, which JSON of protobuf carries as text."""
    return None if value is None else int(value)


def _hex(value: Any) -> str:
    return base64.b64decode(value or "").hex()
