"""MLflow's REST JSON turned into records and back. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from migrate.endpoints.answers import Copy
from migrate.endpoints.run_members import dataset_input_from, links_from, point_from
from migrate.endpoints.shapes import (
    Object,
    ident,
    integer,
    key_of,
    member,
    objects,
    pairs,
    required,
    required_text,
    text,
    told_id,
    word,
)
from migrate.endpoints.tracking.entries import Told
from migrate.errors import Malformed
from migrate.kinds import Ref
from migrate.objects import LIFECYCLE_STAGES, RUN_NAME_TAG, Experiment, Metric, Run
from migrate.origins import MARK, ORIGIN, losses_from_tags


def experiment_from(body: Object) -> Experiment:
    """Read an experiment of ``experiments/search`` or ``experiments/get``. Raises ``Malformed``."""
    return Experiment(
        experiment_id=ident(body, "experiment_id"),
        name=required_text(body, "name"),
        tags=pairs(body, "tags"),
        lifecycle_stage=word(body, "lifecycle_stage", LIFECYCLE_STAGES),
        artifact_location=text(body, "artifact_location"),
        creation_time=integer(body, "creation_time"),
        last_update_time=integer(body, "last_update_time"),
    )


def run_from(body: Object) -> Run:
    """Read a run of ``runs/search``, ``runs/get`` or ``runs/create``. Raises ``Malformed``."""
    info, data = required(body, "info"), member(body, "data")
    tags = pairs(data, "tags")
    return Run(
        run_id=ident(info, "run_id", "run_uuid"),
        experiment_id=ident(info, "experiment_id"),
        # Servers before 2.0 keep the name in the tag alone.
        name=text(info, "run_name") or tags.get(RUN_NAME_TAG, ""),
        user_id=text(info, "user_id"),
        status=text(info, "status") or "RUNNING",
        start_time=integer(info, "start_time") or 0,
        end_time=integer(info, "end_time"),
        lifecycle_stage=word(info, "lifecycle_stage", LIFECYCLE_STAGES),
        artifact_uri=text(info, "artifact_uri"),
        params=pairs(data, "params"),
        tags=tags,
        latest_metrics=tuple(metric_from(metric) for metric in objects(data, "metrics")),
        inputs=tuple(map(dataset_input_from, objects(member(body, "inputs"), "dataset_inputs"))),
        links=links_from(body),
    )


def told_in_info(entry: Any, *names: str) -> Told:
    """Return what the entry of a run or logged model says of itself, its id by one of ``names``."""
    info = entry.get("info") if isinstance(entry, dict) else None
    return Told(told_id(info, *names), told_id(info, "experiment_id"))


def metric_from(body: Object) -> Metric:
    """Read a metric point; what is 0 may be absent. Raises ``Malformed``."""
    return point_from(key_of(body, "metrics"), with_value(body))


def with_value(body: Object) -> Object:
    """Return a metric point with its value, which a server may leave out when it is 0."""
    return body if "value" in body else {**body, "value": 0.0}


def metric_to(point: Metric) -> dict[str, Any]:
    """Write a metric point; NaN and infinities as text, since bare tokens corrupt a batch."""
    value: float | str = point.value
    if not math.isfinite(point.value):
        value = "NaN" if math.isnan(point.value) else _infinity(point.value)
    return {"key": point.key, "value": value, "timestamp": point.timestamp, "step": point.step}


def _infinity(value: float) -> str:
    return "Infinity" if value > 0 else "-Infinity"


def tags_to(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Write a mapping as a list of ``{key, value}``."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def copy_from(ref: Ref, tags: Mapping[str, str], lifecycle_stage: str, where: str) -> Copy:
    """Return the copy that was found by its origin on the server at ``where``.

    Raises ``Malformed`` where it tells of no origin: it may be a copy all the same.
    """
    if ORIGIN not in tags:
        raise Malformed(
            f"{where} was asked for what has the tag {ORIGIN}, and answered with {ref.kind} "
            f"{ref.id}: it tells no such tag of it",
            "is a gateway before the server that lets only a part of requests pass?",
        )
    return Copy(
        origin=tags[ORIGIN],
        target_id=ref.id,
        mark=tags.get(MARK, ""),
        lifecycle_stage=lifecycle_stage,
        losses=losses_from_tags(tags),
    )
