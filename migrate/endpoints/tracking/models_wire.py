"""MLflow's REST JSON of logged models, registered models and versions, as records and back. Pure.

The fields are those that servers 1.30 to 3.17 send; what an older one lacks is left empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from migrate.endpoints.tracking.wire import integer, metric_to, tags_from, tags_to
from migrate.objects import (
    ACTIVE,
    IS_PROMPT_TAG,
    NO_STAGE,
    VERSION_OF,
    Kind,
    LoggedModel,
    Metric,
    ModelMetric,
    ModelVersion,
    RegisteredModel,
)

_STATUS = "LOGGED_MODEL_"
#: With a number or an alias it is a version of a registered model, whatever its name.
_MODEL_SOURCE = re.compile(r"models:/+(m-[^/@]+)(?!/\d+/?\Z)(?:/|\Z)")


def logged_model_from(body: Mapping[str, Any], lifecycle_stage: str = ACTIVE) -> LoggedModel:
    """Read a logged model of ``logged-models/search`` or of a GET."""
    info = body["info"]
    data = body.get("data", {})
    return LoggedModel(
        model_id=info["model_id"],
        experiment_id=str(info["experiment_id"]),
        name=info.get("name", ""),
        model_type=info.get("model_type", ""),
        status=info.get("status", "READY").removeprefix(_STATUS),
        status_message=info.get("status_message", ""),
        source_run_id=info.get("source_run_id", ""),
        lifecycle_stage=lifecycle_stage,
        artifact_uri=info.get("artifact_uri", ""),
        creation_time=integer(info.get("creation_timestamp_ms")),
        last_update_time=integer(info.get("last_updated_timestamp_ms")),
        params={param["key"]: param.get("value", "") for param in data.get("params", ())},
        tags=tags_from(info.get("tags", ())),
        metrics=tuple(sorted(map(_model_metric_from, data.get("metrics", ())))),
    )


def status_to(status: str) -> str:
    """Write the status of a logged model."""
    return _STATUS + status


def _model_metric_from(body: Mapping[str, Any]) -> ModelMetric:
    return ModelMetric(
        key=body["key"],
        value=float(body.get("value", 0.0)),
        timestamp=int(body.get("timestamp", 0)),
        step=int(body.get("step", 0)),
        run_id=body.get("run_id", ""),
        dataset_name=body.get("dataset_name", ""),
        dataset_digest=body.get("dataset_digest", ""),
    )


def model_metric_to(metric: ModelMetric, model_id: str) -> dict[str, Any]:
    """Write a point as ``runs/log-batch`` takes it for a logged model."""
    point = Metric(metric.key, metric.value, metric.timestamp, metric.step)
    body = {**metric_to(point), "model_id": model_id}
    if metric.dataset_name:
        body |= {"dataset_name": metric.dataset_name, "dataset_digest": metric.dataset_digest}
    return body


def registered_model_from(body: Mapping[str, Any]) -> RegisteredModel:
    """Read a registered model or prompt of ``registered-models/search`` or ``get``."""
    tags = tags_from(body.get("tags", ()))
    return RegisteredModel(
        name=body["name"],
        kind=Kind.PROMPT if is_prompt(tags) else Kind.REGISTERED_MODEL,
        description=body.get("description", ""),
        tags=tags,
        aliases={item["alias"]: int(item["version"]) for item in body.get("aliases", ())},
        creation_time=integer(body.get("creation_timestamp")),
        last_update_time=integer(body.get("last_updated_timestamp")),
    )


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Say whether tags are those of a prompt, which MLflow keeps among registered models."""
    return tags.get(IS_PROMPT_TAG, "").lower() == "true"


def model_version_from(body: Mapping[str, Any], model: RegisteredModel) -> ModelVersion:
    """Read a version of ``model-versions/search``, which tells no aliases: ``model`` does."""
    number = int(body["version"])
    source = body.get("source", "")
    named = _MODEL_SOURCE.match(source)
    return ModelVersion(
        name=body["name"],
        version=number,
        kind=VERSION_OF[model.kind],
        source=source,
        run_id=body.get("run_id", ""),
        run_link=body.get("run_link", ""),
        # MLflow's own servers do not store the id, they derive it from the source.
        model_id=body.get("model_id") or (named[1] if named else ""),
        description=body.get("description", ""),
        tags=tags_from(body.get("tags", ())),
        aliases=tuple(sorted(alias for alias, held in model.aliases.items() if held == number)),
        stage=body.get("current_stage") or NO_STAGE,
        status=body.get("status", "READY"),
        status_message=body.get("status_message", ""),
        user_id=body.get("user_id", ""),
        creation_time=integer(body.get("creation_timestamp")),
        last_update_time=integer(body.get("last_updated_timestamp")),
    )


def model_version_to(version: ModelVersion) -> dict[str, Any]:
    """Write what ``model-versions/create`` takes; empty fields are left out."""
    fields = {
        "name": version.name,
        "source": version.source,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "model_id": version.model_id,
        "description": version.description,
        "tags": tags_to(version.tags),
    }
    return {key: value for key, value in fields.items() if value}


def equals_filter(key: str, value: str) -> str | None:
    """Return the condition ``key = value`` of MLflow's search language, None if it has none.

    The language has two kinds of quotes and no way to escape one (read in
    ``mlflow.utils.search_utils`` of 3.17.2).
    """
    if re.search(r"[\\\x00-\x1f]", value) or ("'" in value and '"' in value):
        return None
    quote = '"' if "'" in value else "'"
    return f"{key} = {quote}{value}{quote}"


def in_batches(metrics: Iterable[ModelMetric], size: int) -> Iterable[list[ModelMetric]]:
    """Yield metrics in lists of one run, of at most ``size`` points."""
    batch: list[ModelMetric] = []
    for metric in sorted(metrics, key=lambda metric: metric.run_id):
        if batch and (len(batch) == size or batch[0].run_id != metric.run_id):
            yield batch
            batch = []
        batch.append(metric)
    if batch:
        yield batch
