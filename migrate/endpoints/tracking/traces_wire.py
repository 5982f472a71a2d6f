"""Traces of MLflow's REST JSON turned into records and back. Pure."""

from __future__ import annotations

from typing import Any

from migrate.endpoints.proto_times import duration, duration_text, milliseconds, time_text
from migrate.endpoints.shapes import (
    Object,
    ident,
    member,
    objects,
    required_text,
    text,
    text_or_none,
)
from migrate.traces import SERVER_TAGS, Trace


def trace_from(body: Object) -> Trace:
    """Read the info of a trace, of MLflow's third version of these. Raises ``Malformed``."""
    place = member(member(body, "trace_location"), "mlflow_experiment")
    return Trace(
        trace_id=ident(body, "trace_id"),
        experiment_id=ident(place, "experiment_id"),
        request_time=milliseconds(required_text(body, "request_time")),
        execution_duration=duration(text(body, "execution_duration")),
        state=text(body, "state"),
        client_request_id=text_or_none(body, "client_request_id"),
        request_preview=text_or_none(body, "request_preview"),
        response_preview=text_or_none(body, "response_preview"),
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
        "request_time": time_text(trace.request_time),
        "trace_metadata": dict(trace.metadata),
        "tags": {key: value for key, value in trace.tags.items() if key not in SERVER_TAGS},
        "assessments": list(trace.assessments),
    }
    if trace.execution_duration is not None:
        body["execution_duration"] = duration_text(trace.execution_duration)
    for name in ("state", "client_request_id", "request_preview", "response_preview"):
        value = getattr(trace, name)
        if value:
            body[name] = value
    return body


def _texts(body: Object, name: str) -> dict[str, str]:
    found = member(body, name)
    return {key: text(found, key) for key in found}
