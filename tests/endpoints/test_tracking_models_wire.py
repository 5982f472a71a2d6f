"""Logged models, registered models and versions as JSON, and conditions of a search."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.tracking.models_wire import (
    equals_filter,
    in_batches,
    logged_model_from,
    model_metric_to,
    model_version_from,
    model_version_to,
    registered_model_from,
)
from migrate.kinds import Kind
from migrate.objects import DELETED, ModelMetric, ModelVersion, RegisteredModel


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        ("churn", "name = 'churn'"),
        ("it's", 'name = "it\'s"'),
        ('the "best"', "name = 'the \"best\"'"),
        ("100% %41", "name = '100% %41'"),
        ("Größe 🧪", "name = 'Größe 🧪'"),
        ("both ' and \"", None),
        ("back\\slash", None),
        ("two\nlines", None),
        ("tab\t", None),
    ],
)
def test_a_condition_quotes_what_can_be_quoted(value: str, condition: str | None) -> None:
    assert equals_filter("name", value) == condition


@given(st.text())
def test_what_a_condition_holds_is_what_was_asked_for(value: str) -> None:
    condition = equals_filter("name", value)
    if condition is not None:
        quote = condition[len("name = ")]
        assert condition == f"name = {quote}{value}{quote}"
        assert quote not in value


NAMES = st.text(min_size=1, max_size=8)
MODEL = RegisteredModel(name="churn", aliases={"b": 3, "a": 3, "other": 4})


@given(
    st.builds(
        ModelVersion,
        name=NAMES,
        version=st.just(3),
        source=st.sampled_from(["", "s3://x", "runs:/r/x"]),
        run_id=st.sampled_from(["", "r"]),
        run_link=st.sampled_from(["", "https://x"]),
        model_id=st.sampled_from(["", "m-1"]),
        description=st.text(max_size=9),
        tags=st.dictionaries(NAMES, st.text(max_size=9)),
        aliases=st.just(("a", "b")),
    )
)
def test_a_version_that_is_sent_comes_back(version: ModelVersion) -> None:
    body = model_version_to(version)
    assert "" not in body.values()
    assert model_version_from({**body, "version": "3"}, MODEL) == version


@pytest.mark.parametrize(
    ("source", "model_id"),
    [
        ("models:/m-12", "m-12"),
        ("models:/m-12/a/b", "m-12"),
        ("models:///m-12", "m-12"),
        ("models:/m-churn/3", ""),
        ("models:/m-churn/3/", ""),
        ("models:/m-churn@champion", ""),
        ("models:/churn/3", ""),
        ("s3://models:/m-12", ""),
    ],
)
def test_the_logged_model_of_a_version_is_read_from_its_source(source: str, model_id: str) -> None:
    version = model_version_from({"name": "churn", "version": 1, "source": source}, MODEL)
    assert version.model_id == model_id


def test_what_an_older_server_leaves_out_is_empty() -> None:
    version = model_version_from({"name": "churn", "version": "4"}, MODEL)
    assert version == ModelVersion(name="churn", version=4, aliases=("other",))
    assert registered_model_from({"name": "churn"}) == RegisteredModel(name="churn")
    info = {"model_id": "m-1", "experiment_id": 7}
    model = logged_model_from({"info": info}, DELETED)
    assert (model.experiment_id, model.status, model.lifecycle_stage) == ("7", "READY", DELETED)


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_a_prompt_is_told_by_its_tag(text: str) -> None:
    body = {"name": "hi", "tags": [{"key": "mlflow.prompt.is_prompt", "value": text}]}
    prompt = registered_model_from(body)
    assert prompt.kind is Kind.PROMPT
    assert model_version_from({"name": "hi", "version": 1}, prompt).kind is Kind.PROMPT_VERSION


def test_points_are_sent_with_their_data_set_and_odd_values() -> None:
    plain = model_metric_to(ModelMetric("a", 0.5, 7, -1, "r"), "m-1")
    assert plain == {"key": "a", "value": 0.5, "timestamp": 7, "step": -1, "model_id": "m-1"}
    full = model_metric_to(ModelMetric("a", math.nan, 7, 0, "r", "wine", "e5"), "m-1")
    assert (full["dataset_name"], full["dataset_digest"]) == ("wine", "e5")
    assert full["value"] == "NaN"


@given(
    st.lists(st.builds(ModelMetric, NAMES, st.just(1.0), st.just(0), st.just(0), NAMES)),
    st.integers(1, 3),
)
def test_batches_are_of_one_run_and_not_too_long(metrics: list[ModelMetric], size: int) -> None:
    batches = list(in_batches(metrics, size))
    assert sorted(metric for batch in batches for metric in batch) == sorted(metrics)
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert len({metric.run_id for metric in batch}) == 1


def test_a_logged_model_is_read_with_everything() -> None:
    body: dict[str, Any] = {
        "info": {
            "model_id": "m-1",
            "experiment_id": "7",
            "name": "n",
            "model_type": "agent",
            "status": "LOGGED_MODEL_UPLOAD_FAILED",
            "status_message": "why",
            "source_run_id": "r",
            "artifact_uri": "mlflow-artifacts:/7/models/m-1/artifacts",
            "creation_timestamp_ms": "5",
            "last_updated_timestamp_ms": 6,
            "tags": [{"key": "k", "value": "v"}, {"key": "empty"}],
        },
        "data": {
            "params": [{"key": "p", "value": "1"}, {"key": "empty"}],
            "metrics": [
                {"key": "b", "value": "Infinity", "timestamp": "3", "step": "1", "run_id": "r"},
                {"key": "a", "value": 0.5, "timestamp": 3, "run_id": "r", "dataset_name": "w"},
            ],
        },
    }
    model = logged_model_from(body)
    assert (model.status, model.status_message) == ("UPLOAD_FAILED", "why")
    assert (model.creation_time, model.last_update_time) == (5, 6)
    assert (model.params, model.tags) == ({"p": "1", "empty": ""}, {"k": "v", "empty": ""})
    assert model.metrics == (
        ModelMetric("a", 0.5, 3, 0, "r", "w"),
        ModelMetric("b", math.inf, 3, 1, "r"),
    )
