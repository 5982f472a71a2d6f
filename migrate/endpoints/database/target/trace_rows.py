"""The rows of a trace, as the installed MLflow (3.17 and newer) would have written them.

What is said of a trace and its spans come in the form of MLflow's API; MLflow's own records turn
them into what its database keeps. All functions raise ``Malformed``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from migrate.endpoints.database.reading import Row
from migrate.endpoints.database.target.making import quiet
from migrate.endpoints.importing import IMPORTING
from migrate.errors import Malformed
from migrate.traces import Assessment, Trace

#: A tag that is kept in a column.
NAME_TAG = "mlflow.traceName"
#: Says that spans do not change the trace any more.
_FINALIZED = "mlflow.trace.infoFinalized"


def trace_rows(trace: Trace, tags: Mapping[str, str]) -> tuple[Row, list[Row], list[Row]]:
    """Return the row of a trace with these tags, those of its tags and those of its metadata."""
    with IMPORTING:
        from mlflow.store.tracking.utils.trace_analytics import (
            PROMOTED_TRACE_METADATA_KEYS,
            analytics_columns_from_metadata,
        )

    try:
        promoted = analytics_columns_from_metadata(dict(trace.metadata))
    except Exception as problem:
        raise Malformed(f"metadata of trace {trace.trace_id}: {problem}") from None
    row = {
        "request_id": trace.trace_id,
        "experiment_id": int(trace.experiment_id),
        "timestamp_ms": trace.request_time,
        "execution_time_ms": trace.execution_duration,
        "status": trace.state,
        "client_request_id": trace.client_request_id,
        "request_preview": trace.request_preview,
        "response_preview": trace.response_preview,
        "db_payload_generation": 0,
        "trace_name": tags.get(NAME_TAG),
        **promoted,
    }
    metadata = {
        **{k: v for k, v in trace.metadata.items() if k not in PROMOTED_TRACE_METADATA_KEYS},
        _FINALIZED: "true",
    }
    return row, tag_rows(trace.trace_id, tags), tag_rows(trace.trace_id, metadata)


def tag_rows(trace_id: str, texts: Mapping[str, str]) -> list[Row]:
    """Return the rows of tags or metadata, but for the name."""
    return [
        {"request_id": trace_id, "key": key, "value": value}
        for key, value in texts.items()
        if key != NAME_TAG
    ]


def assessment_row(assessment: Assessment, trace: Trace) -> Row:
    """Return the row of what was said of a trace."""
    with IMPORTING:
        from google.protobuf.json_format import ParseDict, ParseError
        from mlflow.entities import Assessment as MlflowAssessment
        from mlflow.protos.assessments_pb2 import Assessment as Message

    table = _assessments()
    try:
        said = MlflowAssessment.from_proto(ParseDict(dict(assessment), Message()))
        said.trace_id = trace.trace_id
        made = table.from_mlflow_entity(said)
    except (ParseError, Exception) as problem:
        raise Malformed(
            f"assessment {assessment.get('assessment_id')} of trace {trace.trace_id}: {problem}"
        ) from None
    made.experiment_id = int(trace.experiment_id)
    made.trace_timestamp_ms = trace.request_time
    made.valid = said.valid is not False  # MLflow takes every new one for valid
    return {column.key: getattr(made, column.key) for column in table.__table__.columns}


@cache
def _assessments() -> Any:
    """Return MLflow's record of a row of what was said, ready to be used."""
    with IMPORTING, quiet():
        from mlflow.store.tracking.dbmodels.models import SqlAssessments
        from sqlalchemy.orm import configure_mappers

        configure_mappers()  # which warns of what MLflow does, the first time
    return SqlAssessments


def span_row(span: Mapping[str, Any], trace_id: str, experiment_id: str) -> Row:
    """Return the row of a span."""
    with IMPORTING:
        from google.protobuf.json_format import ParseDict
        from mlflow.entities.span import Span
        from mlflow.store.tracking.utils.trace_analytics import (
            bounded_model_dimension,
            finite_float_or_none,
        )
        from mlflow.tracing.constant import SpanAttributeKey
        from mlflow.tracing.otel.translation import translate_span_when_storing
        from mlflow.tracing.utils import TraceJSONEncoder
        from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

    try:
        message = ParseDict(dict(span), Message())
        made = Span.from_otel_proto(message, preserve_request_id=True)
        stored = translate_span_when_storing(made)
        content = json.dumps(stored, cls=TraceJSONEncoder, ensure_ascii=False)
    except Exception as problem:
        raise Malformed(f"a span is not of OpenTelemetry's form: {problem}") from None
    attributes = stored.get("attributes") or {}
    costs = _parsed(attributes.get(SpanAttributeKey.LLM_COST))
    model, provider = (
        bounded_model_dimension(_parsed(attributes.get(key)))
        for key in (SpanAttributeKey.MODEL, SpanAttributeKey.MODEL_PROVIDER)
    )
    return {
        "trace_id": trace_id,
        "experiment_id": int(experiment_id),
        "span_id": made.span_id,
        "parent_span_id": made.parent_id,
        "name": made.name,
        "type": made.span_type,
        "status": str(getattr(made.status.status_code, "value", made.status.status_code)),
        "start_time_unix_nano": made.start_time_ns,
        "end_time_unix_nano": made.end_time_ns,
        "content": content,
        **{
            name: finite_float_or_none(costs.get(name) if isinstance(costs, dict) else None)
            for name in ("input_cost", "output_cost", "total_cost")
        },
        "model_name": model,
        "model_provider": provider,
    }


def _parsed(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
