"""Logged models as JSON."""

from __future__ import annotations

from typing import Any

from migrate.endpoints.run_members import model_metric_from
from migrate.endpoints.shapes import (
    Object,
    integer,
    objects,
    pairs,
    required_text,
    stored_id,
    text,
    word,
)
from migrate.objects import LIFECYCLE_STAGES, LoggedModel, ModelMetric, readable_time


def logged_model_to_json(model: LoggedModel) -> dict[str, Any]:
    """Return the ``mlflow`` member of logged_model.json."""
    return {
        "experiment_id": model.experiment_id,
        "model_id": model.model_id,
        "name": model.name,
        "artifact_location": model.artifact_uri,
        "creation_time": model.creation_time,
        "last_updated_timestamp": model.last_update_time,
        "model_type": model.model_type,
        "source_run_id": model.source_run_id,
        "status": model.status,
        "status_message": model.status_message,
        "lifecycle_stage": model.lifecycle_stage,
        "tags": dict(sorted(model.tags.items())),
        "params": dict(model.params),
        "metrics": [_metric_to_json(model.model_id, metric) for metric in model.metrics],
        "model_uri": f"models:/{model.model_id}",
        "dataset_inputs": [],
        "_creation_time": readable_time(model.creation_time),
        "_last_updated_timestamp": readable_time(model.last_update_time),
    }


def logged_model_from_json(value: Object, *, directory: str, experiment_id: str) -> LoggedModel:
    """Read the ``mlflow`` member of logged_model.json. Raises ``Malformed``."""
    return LoggedModel(
        model_id=logged_model_id(value, directory),
        experiment_id=experiment_id,
        name=required_text(value, "name"),
        model_type=text(value, "model_type"),
        status=text(value, "status") or "READY",
        status_message=text(value, "status_message"),
        source_run_id=text(value, "source_run_id"),
        lifecycle_stage=word(value, "lifecycle_stage", LIFECYCLE_STAGES),
        artifact_uri=text(value, "artifact_location"),
        creation_time=integer(value, "creation_time"),
        last_update_time=integer(value, "last_updated_timestamp"),
        params=pairs(value, "params"),
        tags=pairs(value, "tags"),
        metrics=tuple(map(model_metric_from, objects(value, "metrics"))),
    )


def logged_model_id(value: Object, directory: str) -> str:
    """Return the id in logged_model.json, else the name of its directory. Raises ``Malformed``."""
    return stored_id(value, "model_id", default=directory)


def _metric_to_json(model_id: str, metric: ModelMetric) -> dict[str, Any]:
    return {
        "key": metric.key,
        "value": float(metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
        "model_id": model_id,
        "dataset_name": metric.dataset_name or None,
        "dataset_digest": metric.dataset_digest or None,
        "run_id": metric.run_id,
    }
