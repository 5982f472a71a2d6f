"""Logged models as JSON: ours, and what mlflow-export-import writes since late 2025."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrate.endpoints.directory.records import first_of, pairs, time_or_none
from migrate.objects import ACTIVE, LoggedModel, ModelMetric, readable_time


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


def logged_model_from_json(
    value: Mapping[str, Any], *, directory: str, experiment_id: str
) -> LoggedModel:
    """Read the ``mlflow`` member of logged_model.json.

    Raises KeyError, TypeError, ValueError or AttributeError on anything else.
    """
    return LoggedModel(
        model_id=logged_model_id(value, directory),
        experiment_id=experiment_id,
        name=str(value["name"]),
        model_type=_text(value, "model_type"),
        status=_text(value, "status") or "READY",
        status_message=_text(value, "status_message"),
        source_run_id=_text(value, "source_run_id"),
        lifecycle_stage=_text(value, "lifecycle_stage") or ACTIVE,
        artifact_uri=_text(value, "artifact_location"),
        creation_time=time_or_none(
            value.get("creation_time", value.get("creation_timestamp")),
        ),
        last_update_time=time_or_none(value.get("last_updated_timestamp")),
        params=pairs(value.get("params")),
        tags=pairs(value.get("tags")),
        metrics=tuple(_metric_from_json(metric) for metric in value.get("metrics") or ()),
    )


def logged_model_id(value: Mapping[str, Any], directory: str) -> str:
    """Return the id in logged_model.json, else the name of its directory."""
    return first_of(value.get("model_id"), directory)


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


def _metric_from_json(value: Mapping[str, Any]) -> ModelMetric:
    return ModelMetric(
        key=str(value["key"]),
        value=float(value["value"]),
        timestamp=int(value.get("timestamp") or 0),
        step=int(value.get("step") or 0),
        run_id=_text(value, "run_id"),
        dataset_name=_text(value, "dataset_name"),
        dataset_digest=_text(value, "dataset_digest"),
    )


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    return "" if text is None else str(text)
