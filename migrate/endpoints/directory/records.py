"""Experiments and runs as JSON: ours, and what tools have written in years before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from migrate.objects import (
    ACTIVE,
    RUN_NAME_TAG,
    Experiment,
    Metric,
    ModelLinks,
    ModelOutput,
    Run,
    readable_time,
    run_info,
)

#: What reading JSON that is not of the expected form raises.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


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


def experiment_from_json(value: Mapping[str, Any], directory: str) -> Experiment:
    """Read ``mlflow.experiment``. Raises KeyError, TypeError, ValueError on anything else."""
    return Experiment(
        experiment_id=first_of(value.get("experiment_id"), directory),
        name=str(value["name"]),
        tags=pairs(value.get("tags")),
        lifecycle_stage=str(value.get("lifecycle_stage") or ACTIVE),
        artifact_location=str(value.get("artifact_location") or ""),
        creation_time=time_or_none(value.get("creation_time")),
        last_update_time=time_or_none(value.get("last_update_time")),
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
    value: Mapping[str, Any],
    *,
    directory: str,
    experiment_id: str,
    latest: Sequence[Metric],
) -> Run:
    """Read the ``mlflow`` member of run.json.

    Raises KeyError, TypeError, ValueError or AttributeError on anything else.
    """
    info = value["info"]
    tags = pairs(value.get("tags"))
    name = info.get("run_name")
    return Run(
        run_id=run_id_of(value, directory),
        experiment_id=experiment_id,
        name=tags.get(RUN_NAME_TAG, "") if name is None else str(name),
        user_id=str(info.get("user_id") or ""),
        status=str(info["status"]),
        start_time=time_or_none(info.get("start_time")) or 0,
        end_time=time_or_none(info.get("end_time")),
        lifecycle_stage=str(info.get("lifecycle_stage") or ACTIVE),
        artifact_uri=str(info.get("artifact_uri") or ""),
        params=pairs(value.get("params")),
        tags=tags,
        latest_metrics=tuple(latest),
        inputs=_dataset_inputs(value.get("inputs")),
        links=links_from_json(value),
    )


def run_id_of(value: Mapping[str, Any], directory: str) -> str:
    """Return the id in run.json; very old files call it ``run_uuid`` or leave it out."""
    info = value["info"]
    return first_of(info.get("run_id"), info.get("run_uuid"), directory)


def links_from_json(value: Mapping[str, Any]) -> ModelLinks:
    """Read which logged models a run.json names, each once."""
    inputs = {str(entry["model_id"]): None for entry in _entries(value, "inputs", "model_inputs")}
    outputs = {
        str(entry["model_id"]): int(entry.get("step") or 0)
        for entry in _entries(value, "outputs", "model_outputs")
    }
    return ModelLinks(tuple(inputs), tuple(ModelOutput(*output) for output in outputs.items()))


def metrics_from_json(value: Mapping[str, Any]) -> dict[str, list[Metric]]:
    """Read ``mlflow.metrics``: every point of every key."""
    return {
        key: [metric_from_json(key, point) for point in points]
        for key, points in (value.get("metrics") or {}).items()
    }


def metric_from_json(key: str, point: Mapping[str, Any]) -> Metric:
    """Read one point of a metric's history."""
    return Metric(
        key, float(point["value"]), int(point.get("timestamp") or 0), int(point.get("step") or 0)
    )


def latest_rank(point: Metric) -> tuple[int, int, float]:
    """Return by what MLflow decides which point is the latest; it stores NaN as 0."""
    value = 0.0 if point.value != point.value else point.value
    return point.step, point.timestamp, value


def first_of(*values: object) -> str:
    """Return the first that is not None, as text."""
    return str(next(value for value in values if value is not None))


def time_or_none(value: Any) -> int | None:
    """Read a time, which may be missing."""
    return None if value is None else int(value)


def pairs(value: Any) -> dict[str, str]:
    """Read a mapping of texts, or the list of key and value that some tools wrote in its place."""
    if not value:
        return {}
    if isinstance(value, list):
        return {str(pair["key"]): str(pair.get("value", "")) for pair in value}
    return {str(key): str(text) for key, text in value.items()}


def _entries(value: Mapping[str, Any], member: str, name: str) -> Iterable[Mapping[str, Any]]:
    holder = value.get(member)
    return (holder.get(name) if isinstance(holder, dict) else None) or ()


def _dataset_inputs(value: Any) -> tuple[Mapping[str, Any], ...]:
    entries = value.get("dataset_inputs") if isinstance(value, dict) else value
    return tuple(_dataset_input(entry) for entry in entries or ())


def _dataset_input(entry: Mapping[str, Any]) -> dict[str, Any]:
    dataset = {key: text for key, text in entry["dataset"].items() if text is not None}
    tags = [{"key": key, "value": text} for key, text in pairs(entry.get("tags")).items()]
    return {"dataset": dataset, "tags": tags}
