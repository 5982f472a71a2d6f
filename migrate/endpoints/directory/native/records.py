"""Experiments and runs as JSON: ours, and what tools have written in years before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from migrate.endpoints.directory.foreign.members import Members, named
from migrate.endpoints.run_members import dataset_input_from, links_from, point_from
from migrate.endpoints.shapes import (
    Object,
    integer,
    member,
    objects,
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
    ModelLinks,
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


def experiment_from_json(value: Object, directory: str, *, ours: bool = True) -> Experiment:
    """Read ``mlflow.experiment``; ``ours`` as in ``Members``. Raises ``Malformed``."""
    members = Members(ours=ours)
    tags = members.pairs(value, "tags", "tag")
    return Experiment(
        experiment_id=stored_id(value, "experiment_id", default=directory),
        name=required_text(value, "name"),
        tags=tags,
        lifecycle_stage=word(value, "lifecycle_stage", LIFECYCLE_STAGES),
        artifact_location=text(value, "artifact_location"),
        creation_time=integer(value, "creation_time"),
        last_update_time=integer(value, "last_update_time"),
        losses=members.losses,
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
    ours: bool = True,
) -> Run:
    """Read the ``mlflow`` member of run.json; ``ours`` as in ``Members``. Raises ``Malformed``."""
    if isinstance(value.get("inputs"), list):  # as older tools wrote them
        value = {**value, "inputs": {"dataset_inputs": value["inputs"]}}
    info = required(value, "info")
    members = Members(ours=ours)
    tags = members.pairs(value, "tags", "tag")
    params = members.pairs(value, "params", "param")
    inputs = objects(member(value, "inputs"), "dataset_inputs")
    datasets = members.each(inputs, dataset_input_from, _dataset_name)
    links = _links_from(value, members)
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
        params=params,
        tags=tags,
        latest_metrics=tuple(latest),
        inputs=tuple(datasets),
        links=links,
        losses=members.losses,
    )


def _dataset_name(entry: Object) -> str:
    dataset = entry.get("dataset")
    return named("dataset input", dataset.get("name") if isinstance(dataset, dict) else None)


def _links_from(value: Object, members: Members) -> ModelLinks:
    """Read which logged models a run names, each by itself."""
    readable: dict[str, dict[str, list[Object]]] = {}
    for side, name, called_so in (
        ("inputs", "model_inputs", "model input"),
        ("outputs", "model_outputs", "model output"),
    ):

        def alone(entry: Object, side: str = side, name: str = name) -> Object:
            links_from({side: {name: [entry]}})
            return entry

        def called(entry: Object, called_so: str = called_so) -> str:
            return named(called_so, entry.get("model_id"))

        readable[side] = {name: members.each(objects(member(value, side), name), alone, called)}
    return links_from(readable)


def run_id_of(value: Object, directory: str) -> str:
    """Return the id in run.json; very old files call it ``run_uuid`` or leave it out.

    Raises ``Malformed``.
    """
    return stored_id(required(value, "info"), "run_id", "run_uuid", default=directory)


def metrics_from_json(value: Object) -> tuple[dict[str, list[Metric]], tuple[Loss, ...]]:
    """Read ``mlflow.metrics``: every point of every key, and what is lost of them.

    A point whose time or step lies between two whole numbers has no place on any server: it is
    left out, not rounded to one that nobody logged. So is one without a value. Raises
    ``Malformed`` where a key has no list.
    """
    metrics = member(value, "metrics")
    members = Members()
    found: dict[str, list[Metric]] = {}
    for key in metrics:

        def called(_: Object, key: str = key) -> str:
            return named("metric", key)

        found[key] = members.each(objects(metrics, key), partial(point_from, key), called)
    return found, members.losses


def latest_rank(point: Metric) -> tuple[int, int, float]:
    """Return by what MLflow decides which point is the latest; it stores NaN as 0."""
    value = 0.0 if point.value != point.value else point.value
    return point.step, point.timestamp, value
