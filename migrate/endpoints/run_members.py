"""What a run or logged model holds, in the JSON that servers and exports have in common. Pure.

All functions raise ``Malformed``.
"""

from __future__ import annotations

import re
from typing import Any

from migrate.endpoints.shapes import (
    Object,
    any_integer,
    ident,
    integer,
    key_of,
    member,
    number,
    objects,
    pairs,
    required,
    text,
)
from migrate.errors import Malformed
from migrate.objects import MODEL_STATUSES, Metric, ModelLinks, ModelMetric, ModelOutput

#: With a number or an alias it is a version of a registered model, whatever its name.
_MODEL_SOURCE = re.compile(r"models:/+(m-[^/@]+)(?!/\d+/?\Z)(?:/|\Z)")


def model_named_by(source: str) -> str:
    """Return the id of the logged model that a version's source names, empty where it is none."""
    named = _MODEL_SOURCE.match(source)
    return named[1] if named else ""


def links_from(body: Object) -> ModelLinks:
    """Read which logged models a run names; a search shows no inputs, servers before 3.6 none."""
    inputs = objects(member(body, "inputs"), "model_inputs")
    outputs = objects(member(body, "outputs"), "model_outputs")
    # Of a step said twice, the last.
    steps = {ident(item, "model_id"): integer(item, "step") or 0 for item in outputs}
    return ModelLinks(
        inputs=tuple(dict.fromkeys(ident(item, "model_id") for item in inputs)),
        outputs=tuple(ModelOutput(*output) for output in steps.items()),
    )


def dataset_input_from(body: Object) -> dict[str, Any]:
    """Read a dataset that a run names as its input."""
    dataset = required(body, "dataset")
    tags = pairs(body, "tags").items()
    return {
        "dataset": {key: text(dataset, key) for key in dataset if dataset[key] is not None},
        "tags": [{"key": key, "value": value} for key, value in tags],
    }


def point_from(key: str, body: Object) -> Metric:
    """Read a point of a metric's history.

    Its time and step are as large as they are told: what is copied of them is for the tasks to say.
    """
    if plain := plain_point(key, body):
        return plain
    try:
        return Metric(
            key,
            number(body, "value"),
            any_integer(body, "timestamp") or 0,
            any_integer(body, "step") or 0,
        )
    except Malformed as problem:
        raise problem.within(f"metric {key!r}") from None


def plain_point(key: str, body: Object) -> Metric | None:
    """Return a point where nothing of it needs a second look, which is so with most."""
    value, timestamp, step = body.get("value"), body.get("timestamp"), body.get("step")
    if type(value) is float and type(timestamp) is int and type(step) is int:
        return Metric(key, value, timestamp, step)
    return None


def model_status_from(body: Object) -> str:
    """Return MLflow's word for the status of a logged model, which stores keep as a number."""
    number = integer(body, "status") or 0
    if not 0 < number <= len(MODEL_STATUSES):
        raise Malformed(f"status {number} of a logged model is none of MLflow's")
    return MODEL_STATUSES[number - 1]


def model_metric_from(body: Object) -> ModelMetric:
    """Read a point of a logged model's metrics."""
    return ModelMetric(
        *point_from(key_of(body, "metrics"), body),
        run_id=text(body, "run_id"),
        dataset_name=text(body, "dataset_name"),
        dataset_digest=text(body, "dataset_digest"),
    )
