"""Traces of MLflow's REST JSON turned into records and back. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from migrate.endpoints.shapes import Object, ident, member, objects, required_text, text
from migrate.errors import Malformed
from migrate.traces import SERVER_TAGS, Trace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def trace_from(body: Object) -> Trace:
    """Read the info of a trace, of MLflow's third version of these. Raises ``Malformed``."""
    place = member(member(body, "trace_location"), "mlflow_experiment")
    return Trace(
        trace_id=ident(body, "trace_id"),
        experiment_id=ident(place, "experiment_id"),
        request_time=_milliseconds(required_text(body, "request_time")),
        execution_duration=_duration(text(body, "execution_duration")),
        state=text(body, "state"),
        client_request_id=_text_or_none(body, "client_request_id"),
        request_preview=_text_or_none(body, "request_preview"),
        response_preview=_text_or_none(body, "response_preview"),
        metadata=_texts(body, "trace_metadata"),
        tags=_texts(body, "tags"),
        assessments=tuple(dict(it) for it in objects(body, "assessments")),
    )


def trace_to(trace: Trace) -> dict[str, Any]:
    """Return what creates a trace. Without what only the server writes: it would be refused."""
    body: dict[str, Any] = {
        "trace_id": trace.trace_id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": trace.experiment_id},
        },
        "request_time": _time_text(trace.request_time),
        "trace_metadata": dict(trace.metadata),
        "tags": {key: value for key, value in trace.tags.items() if key not in SERVER_TAGS},
        "assessments": list(trace.assessments),
    }
    if trace.execution_duration is not None:
        body["execution_duration"] = f"{Decimal(trace.execution_duration) / 1000:f}s"
    for name in ("state", "client_request_id", "request_preview", "response_preview"):
        value = getattr(trace, name)
        if value:
            body[name] = value
    return body


def _milliseconds(value: str) -> int:
    try:
        return round((datetime.fromisoformat(value) - _EPOCH) / _MILLISECOND)
    except (ValueError, TypeError, OverflowError):
        raise Malformed(f"{value[:60]!r} is no time") from None


def _time_text(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def _duration(value: str) -> int | None:
    if not value:
        return None
    try:
        return round(Decimal(value.removesuffix("s")) * 1000)
    except (InvalidOperation, ValueError, OverflowError):
        raise Malformed(f"{value[:60]!r} is no duration") from None


def _text_or_none(body: Object, name: str) -> str | None:
    return text(body, name) if body.get(name) is not None else None


def _texts(body: Object, name: str) -> dict[str, str]:
    found = member(body, name)
    return {key: text(found, key) for key in found}
