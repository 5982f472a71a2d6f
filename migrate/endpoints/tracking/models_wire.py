"""MLflow's REST JSON of logged models, registered models and versions, as records and back. Pure.

The fields are those that servers 1.30 to 3.17 send; what an older one lacks is left empty.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from migrate.endpoints.registry_members import model_version_of, registered_model_of
from migrate.endpoints.run_members import model_metric_from
from migrate.endpoints.shapes import (
    Object,
    ident,
    integer,
    member,
    objects,
    pairs,
    required,
    required_text,
    text,
    told_id,
    version_number,
)
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.wire import metric_to, tags_to, with_value
from migrate.kinds import Kind
from migrate.objects import (
    ACTIVE,
    LoggedModel,
    Metric,
    ModelMetric,
    ModelVersion,
    RegisteredModel,
)

_STATUS = "LOGGED_MODEL_"


def logged_model_from(body: Object, lifecycle_stage: str = ACTIVE) -> LoggedModel:
    """Read a logged model of ``logged-models/search`` or of a GET. Raises ``Malformed``."""
    info, data = required(body, "info"), member(body, "data")
    return LoggedModel(
        model_id=ident(info, "model_id"),
        experiment_id=ident(info, "experiment_id"),
        name=text(info, "name"),
        model_type=text(info, "model_type"),
        status=(text(info, "status") or "READY").removeprefix(_STATUS),
        status_message=text(info, "status_message"),
        source_run_id=text(info, "source_run_id"),
        lifecycle_stage=lifecycle_stage,
        artifact_uri=text(info, "artifact_uri"),
        creation_time=integer(info, "creation_timestamp_ms"),
        last_update_time=integer(info, "last_updated_timestamp_ms"),
        params=pairs(data, "params"),
        tags=pairs(info, "tags"),
        metrics=tuple(sorted(map(model_metric_from, map(with_value, objects(data, "metrics"))))),
    )


def version_form(kind: Kind) -> Form:
    """Return how versions of registered models, or of prompts, say which they are."""

    def told(entry: Any) -> Told:
        name, number = told_id(entry, "name"), told_id(entry, "version")
        return Told(f"{name}/{number}" if name and number else "")

    return Form(kind, told)


def status_to(status: str) -> str:
    """Write the status of a logged model."""
    return _STATUS + status


def model_metric_to(metric: ModelMetric, model_id: str) -> dict[str, Any]:
    """Write a point as ``runs/log-batch`` takes it for a logged model."""
    point = Metric(metric.key, metric.value, metric.timestamp, metric.step)
    body = {**metric_to(point), "model_id": model_id}
    if metric.dataset_name:
        body |= {"dataset_name": metric.dataset_name, "dataset_digest": metric.dataset_digest}
    return body


def registered_model_from(body: Object) -> RegisteredModel:
    """Read a registered model or prompt of ``registered-models/search`` or ``get``.

    Raises ``Malformed``.
    """
    aliases = {
        required_text(item, "alias"): version_number(item) for item in objects(body, "aliases")
    }
    latest = tuple(map(version_number, objects(body, "latest_versions")))
    model = registered_model_of(body, pairs(body, "tags"), aliases)
    return dataclasses.replace(model, latest_versions=latest)


def model_version_from(body: Object, model: RegisteredModel) -> ModelVersion:
    """Read a version of ``model-versions/search``, which tells no aliases: ``model`` does.

    Raises ``Malformed``.
    """
    return model_version_of(body, model, pairs(body, "tags"))


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
