"""Records as other tools write them, or wrote them years ago, turned into ours.

What is malformed in one costs itself, by name; what has another form or name gets ours. What is
wrong with all of a record is found by whoever reads it as one of ours. All functions may raise
``Malformed``, and return with a record what is lost of it.
"""

from __future__ import annotations

from collections.abc import Callable

from migrate.endpoints.directory.foreign.members import Members, named
from migrate.endpoints.run_members import dataset_input_from, links_from, model_metric_from
from migrate.endpoints.shapes import Object, member, objects
from migrate.objects import Loss

Tidied = tuple[Object, tuple[Loss, ...]]


def tidied_experiment(value: Object) -> Tidied:
    """Return ``mlflow.experiment`` of experiment.json as ours."""
    members = Members()
    return {**value, "tags": members.pairs(value, "tags", "tag")}, members.losses


def tidied_run(value: Object) -> Tidied:
    """Return the ``mlflow`` member of run.json as ours, without its metrics."""
    members = Members()
    value = with_run_id(value)
    inputs = value.get("inputs")
    if isinstance(inputs, list):  # as older tools wrote them
        value = {**value, "inputs": {"dataset_inputs": inputs}}
    run = {
        **value,
        "tags": members.pairs(value, "tags", "tag"),
        "params": members.pairs(value, "params", "param"),
    }
    for side, name, reads, called in (
        ("inputs", "dataset_inputs", dataset_input_from, _dataset_name),
        ("inputs", "model_inputs", _model_input, _named_by_id("model input")),
        ("outputs", "model_outputs", _model_output, _named_by_id("model output")),
    ):
        listed = member(run, side)
        readable = members.each(objects(listed, name), _if_readable(reads), called)
        run[side] = {**listed, name: readable}
    return run, members.losses


def tidied_logged_model(value: Object) -> Tidied:
    """Return the ``mlflow`` member of logged_model.json as ours."""
    members = Members()
    created = value.get("creation_time")
    model = {
        **value,
        "creation_time": value.get("creation_timestamp") if created is None else created,
        "params": members.pairs(value, "params", "param"),
        "tags": members.pairs(value, "tags", "tag"),
    }
    metrics = objects(value, "metrics")
    model["metrics"] = members.each(metrics, _if_readable(model_metric_from), _metric_name)
    return model, members.losses


def with_run_id(value: Object) -> Object:
    """Return the same with the run's id under its name; very old files call it ``run_uuid``."""
    info = value.get("info")
    if isinstance(info, dict) and info.get("run_id") is None and "run_uuid" in info:
        return {**value, "info": {**info, "run_id": info["run_uuid"]}}
    return value


def _if_readable(read: Callable[[Object], object]) -> Callable[[Object], Object]:
    def same(entry: Object) -> Object:
        read(entry)
        return entry

    return same


def _model_input(entry: Object) -> object:
    return links_from({"inputs": {"model_inputs": [entry]}})


def _model_output(entry: Object) -> object:
    return links_from({"outputs": {"model_outputs": [entry]}})


def _dataset_name(entry: Object) -> str:
    dataset = entry.get("dataset")
    return named("dataset input", dataset.get("name") if isinstance(dataset, dict) else None)


def _named_by_id(word: str) -> Callable[[Object], str]:
    return lambda entry: named(word, entry.get("model_id"))


def _metric_name(entry: Object) -> str:
    return named("metric", entry.get("key"))
