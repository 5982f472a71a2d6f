"""Experiments and runs as JSON: ours, and what tools have written in years before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from migrate.endpoints.run_members import dataset_input_from, links_from, point_from
from migrate.endpoints.shapes import (
    Object,
    integer,
    member,
    objects,
    pairs,
    required,
    required_text,
    stored_id,
    text,
    word,
)
from migrate.objects import (
    LIFECYCLE_STAGES,
    RUN_NAME_TAG,
    Experiment,
    Loss,
    Metric,
    Run,
    readable_time,
    run_info,
)


def experiment_to_json(experiment: Experiment) -> dict[str, Any]:
    """Return the ``mlflow.experiment`` member of experiment.json."""
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": experiment.lifecycle_stage,
        "tags": dict(sorted(experiment.tags.items())),
        "creation_time": experiment.creation_time,
        "last_update_time": experiment.last_update_time,
        "_creation_time": readable_time(experiment.creation_time),
        "_last_update_time": readable_time(experiment.last_update_time),
    }


def experiment_from_json(value: Object, directory: str) -> Experiment:
    """Read ``mlflow.experiment``. Raises ``Malformed``."""
    return Experiment(
        experiment_id=stored_id(value, "experiment_id", default=directory),
        name=required_text(value, "name"),
        tags=pairs(value, "tags"),
        lifecycle_stage=word(value, "lifecycle_stage", LIFECYCLE_STAGES),
        artifact_location=text(value, "artifact_location"),
        creation_time=integer(value, "creation_time"),
        last_update_time=integer(value, "last_update_time"),
    )


def run_to_json(
    run: Run, params: Mapping[str, str], inputs: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the ``mlflow`` member of run.json without its metrics, in our order."""
    return {
        "info": run_info(run),
        "params": dict(params),
        "tags": dict(sorted(run.tags.items())),
        "inputs": {
            "dataset_inputs": list(inputs),
            "model_inputs": [{"model_id": model_id} for model_id in run.links.inputs],
        },
        "outputs": {"model_outputs": [output._asdict() for output in run.links.outputs]},
    }


def run_from_json(
    value: Object,
    *,
    directory: str,
    experiment_id: str,
    latest: Sequence[Metric],
) -> Run:
    """Read the ``mlflow`` member of run.json. Raises ``Malformed``."""
    if isinstance(value.get("inputs"), list):  # as older tools wrote them
        value = {**value, "inputs": {"dataset_inputs": value["inputs"]}}
    info = required(value, "info")
    tags = pairs(value, "tags")
    return Run(
        run_id=run_id_of(value, directory),
        experiment_id=experiment_id,
        name=text(info, "run_name", default=tags.get(RUN_NAME_TAG, "")),
        user_id=text(info, "user_id"),
        status=required_text(info, "status"),
        start_time=integer(info, "start_time") or 0,
        end_time=integer(info, "end_time"),
        lifecycle_stage=word(info, "lifecycle_stage", LIFECYCLE_STAGES),
        artifact_uri=text(info, "artifact_uri"),
        params=pairs(value, "params"),
        tags=tags,
        latest_metrics=tuple(latest),
        inputs=tuple(map(dataset_input_from, objects(member(value, "inputs"), "dataset_inputs"))),
        links=links_from(value),
    )


def run_id_of(value: Object, directory: str) -> str:
    """Return the id in run.json; very old files call it ``run_uuid`` or leave it out.

    Raises ``Malformed``.
    """
    return stored_id(required(value, "info"), "run_id", "run_uuid", default=directory)


def metrics_from_json(value: Object) -> tuple[dict[str, list[Metric]], tuple[Loss, ...]]:
    """Read ``mlflow.metrics``: every point of every key, and what is lost of them.

    A point whose time or step lies between two whole numbers has no place on any server: it is
    left out, not rounded to one that nobody logged. Raises ``Malformed``.
    """
    metrics = member(value, "metrics")
    found: dict[str, list[Metric]] = {}
    losses = []
    for key in metrics:
        points = objects(metrics, key)
        whole = [point for point in points if not _is_between(point)]
        found[key] = [point_from(key, point) for point in whole]
        if left := len(points) - len(whole):
            reason = f"{left} of its points: the time or step is no whole number"
            losses.append(Loss(f"metric {key[:60]}", reason))
    return found, tuple(losses)


def _is_between(point: Object) -> bool:
    return any(
        isinstance(number := point.get(name), float)
        and math.isfinite(number)
        and not number.is_integer()
        for name in ("timestamp", "step")
    )


def latest_rank(point: Metric) -> tuple[int, int, float]:
    """Return by what MLflow decides which point is the latest; it stores NaN as 0."""
    value = 0.0 if point.value != point.value else point.value
    return point.step, point.timestamp, value
