"""Traces as JSON: as other tools have them, and beside that whole, as servers give them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from migrate.endpoints.proto_times import milliseconds
from migrate.endpoints.record_json import record_from_json, record_to_json
from migrate.endpoints.shapes import Object, ident, required
from migrate.errors import Malformed
from migrate.traces import Assessment, Trace

#: Our member, beside those of other tools.
TRACE = "trace"


def trace_to_json(trace: Trace, outline: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the ``mlflow`` member of trace.json; ``outline`` says which spans there are."""
    whole = record_to_json(trace)
    del whole["losses"]
    return {"info": _info(trace), "data": list(outline), TRACE: whole}


def trace_from_json(value: Object, experiment_id: str) -> Trace:
    """Read the ``mlflow`` member of a trace.json of ours. Raises ``Malformed``."""
    body = required(value, TRACE)
    ident(body, "trace_id")
    return replace(record_from_json(Trace, body), experiment_id=experiment_id)


def _info(trace: Trace) -> dict[str, Any]:
    return {
        "trace_id": trace.trace_id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": trace.experiment_id},
        },
        "request_time": trace.request_time,
        "state": trace.state,
        "request_preview": trace.request_preview,
        "response_preview": trace.response_preview,
        "client_request_id": trace.client_request_id,
        "execution_duration": trace.execution_duration,
        "trace_metadata": dict(trace.metadata),
        "tags": dict(trace.tags),
        "assessments": [found for it in trace.assessments if (found := _assessment(it))],
    }


def _assessment(assessment: Assessment) -> dict[str, Any] | None:
    """Return an assessment for other tools, which fail at any that is none of two kinds."""
    if "feedback" not in assessment and "expectation" not in assessment:
        return None
    try:
        return _as_others_do(assessment)
    except (Malformed, AttributeError, ValueError, RecursionError):
        return None


def _as_others_do(assessment: Assessment) -> dict[str, Any]:
    feedback, expectation = assessment.get("feedback"), assessment.get("expectation")
    created = _time(assessment.get("create_time"))
    of_kind: dict[str, Any]
    if feedback is not None:
        error = feedback.get("error")
        if error is not None:
            error = {it: error.get(it) for it in ("error_code", "error_message", "stack_trace")}
        told = {"value": feedback.get("value"), "error": error}
        of_kind = {"assessment_type": "feedback", "feedback": told, "error": error}
    else:
        of_kind = {"assessment_type": "expectation", "expectation": _expected(expectation or {})}
    return {
        **of_kind,
        "name": assessment.get("assessment_name"),
        "source": assessment.get("source") or {},
        "trace_id": assessment.get("trace_id"),
        "run_id": None,
        "rationale": assessment.get("rationale"),
        "metadata": assessment.get("metadata") or {},
        "span_id": assessment.get("span_id"),
        "create_time_ms": created,
        "last_update_time_ms": _time(assessment.get("last_update_time")) or created,
        "assessment_id": assessment.get("assessment_id"),
        "overrides": assessment.get("overrides"),
        "valid": assessment.get("valid"),
    }


def _expected(expectation: Object) -> Any:
    """Return the value of an expectation, which is in JSON once more where it is no scalar."""
    if "value" in expectation:
        return expectation["value"]
    return json.loads((expectation.get("serialized_value") or {}).get("value") or "null")


def _time(value: Any) -> int | None:
    return None if value is None else milliseconds(str(value))
