"""MLflow's REST JSON turned into records and back. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from migrate.objects import ACTIVE, RUN_NAME_TAG, Experiment, Metric, ModelLinks, ModelOutput, Run


def experiment_from(body: Mapping[str, Any]) -> Experiment:
    """Read an experiment of ``experiments/search`` or ``experiments/get``."""
    return Experiment(
        experiment_id=str(body["experiment_id"]),
        name=body["name"],
        tags=tags_from(body.get("tags", ())),
        lifecycle_stage=body.get("lifecycle_stage", ACTIVE),
        artifact_location=body.get("artifact_location", ""),
        creation_time=integer(body.get("creation_time")),
        last_update_time=integer(body.get("last_update_time")),
    )


def run_from(body: Mapping[str, Any]) -> Run:
    """Read a run of ``runs/search``, ``runs/get`` or ``runs/create``."""
    info = body["info"]
    data = body.get("data", {})
    tags = tags_from(data.get("tags", ()))
    return Run(
        run_id=info.get("run_id") or info["run_uuid"],
        experiment_id=str(info["experiment_id"]),
        # Servers before 2.0 keep the name in the tag alone.
        name=info.get("run_name") or tags.get(RUN_NAME_TAG, ""),
        user_id=info.get("user_id", ""),
        status=info.get("status", "RUNNING"),
        start_time=integer(info.get("start_time")) or 0,
        end_time=integer(info.get("end_time")),
        lifecycle_stage=info.get("lifecycle_stage", ACTIVE),
        artifact_uri=info.get("artifact_uri", ""),
        params={param["key"]: param.get("value", "") for param in data.get("params", ())},
        tags=tags,
        latest_metrics=tuple(metric_from(metric) for metric in data.get("metrics", ())),
        inputs=tuple(
            {"dataset": dict(item["dataset"]), "tags": list(item.get("tags", ()))}
            for item in body.get("inputs", {}).get("dataset_inputs", ())
        ),
        links=links_from(body),
    )


def links_from(body: Mapping[str, Any]) -> ModelLinks:
    """Read which logged models a run names; a search shows no inputs, servers before 3.6 none."""
    inputs = body.get("inputs", {}).get("model_inputs", ())
    outputs = body.get("outputs", {}).get("model_outputs", ())
    return ModelLinks(
        inputs=tuple(dict.fromkeys(item["model_id"] for item in inputs)),
        outputs=tuple(
            dict.fromkeys(
                ModelOutput(item["model_id"], integer(item.get("step")) or 0) for item in outputs
            )
        ),
    )


def metric_from(body: Mapping[str, Any]) -> Metric:
    """Read a metric point; values that JSON cannot hold come as text, 64-bit integers too."""
    return Metric(
        body["key"],
        float(body.get("value", 0.0)),
        int(body.get("timestamp", 0)),
        int(body.get("step", 0)),
    )


def metric_to(point: Metric) -> dict[str, Any]:
    """Write a metric point; NaN and infinities as text, since bare tokens corrupt a batch."""
    value: float | str = point.value
    if not math.isfinite(point.value):
        value = "NaN" if math.isnan(point.value) else _infinity(point.value)
    return {"key": point.key, "value": value, "timestamp": point.timestamp, "step": point.step}


def _infinity(value: float) -> str:
    return "Infinity" if value > 0 else "-Infinity"


def tags_from(tags: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Read a list of ``{key, value}``; an empty value may be absent."""
    return {tag["key"]: tag.get("value", "") for tag in tags}


def tags_to(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Write a mapping as a list of ``{key, value}``."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def integer(value: Any) -> int | None:
    """Read a 64-bit integer, which JSON may carry as text."""
    return None if value is None else int(value)
