"""Experiments and runs as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from migrate.endpoints.run_members import dataset_input_from, links_from
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
    """Read ``mlflow.experiment``; ``directory`` is its id where it says none.

    Raises ``Malformed``.
    """
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
    value: Object, *, directory: str, experiment_id: str, latest: Sequence[Metric]
) -> Run:
    """Read the ``mlflow`` member of run.json; ``directory`` is its id where it says none.

    Raises ``Malformed``.
    """
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
    """Return the id in run.json, else the name of its directory. Raises ``Malformed``."""
    return stored_id(required(value, "info"), "run_id", default=directory)


def latest_rank(point: Metric) -> tuple[int, int, float]:
    """Return by what MLflow decides which point is the latest; it stores NaN as 0."""
    value = 0.0 if point.value != point.value else point.value
    return point.step, point.timestamp, value
