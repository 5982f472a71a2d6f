"""The door by which JSON comes in: what passes, what is malformed, and nothing else happens."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.endpoints import shapes
from migrate.endpoints.tracking.models_wire import (
    logged_model_from,
    model_version_from,
    registered_model_from,
)
from migrate.endpoints.tracking.wire import experiment_from, metric_from, run_from
from migrate.errors import Malformed
from migrate.objects import RegisteredModel
from tests.mutations import mutated

TAGS = [{"key": "team", "value": "risk"}, {"key": "empty", "value": ""}]
METRIC = {"key": "loss", "value": 0.5, "timestamp": 1614834367089, "step": 2}
EXPERIMENT = {
    "experiment_id": "7",
    "name": "churn",
    "tags": TAGS,
    "lifecycle_stage": "active",
    "artifact_location": "mlflow-artifacts:/7",
    "creation_time": 1614834367089,
    "last_update_time": "1614834367089",
}
RUN = {
    "info": {
        "run_id": "r1",
        "run_uuid": "r1",
        "experiment_id": "7",
        "run_name": "train",
        "user_id": "ada",
        "status": "FINISHED",
        "start_time": 1614834367089,
        "end_time": 1614834428089,
        "lifecycle_stage": "deleted",
        "artifact_uri": "mlflow-artifacts:/7/r1/artifacts",
    },
    "data": {"params": [{"key": "depth", "value": "3"}], "tags": TAGS, "metrics": [METRIC]},
    "inputs": {
        "dataset_inputs": [
            {
                "dataset": {"name": "d", "digest": "1", "source_type": "s3", "source": "{}"},
                "tags": [{"key": "mlflow.data.context", "value": "training"}],
            }
        ],
        "model_inputs": [{"model_id": "m-1"}],
    },
    "outputs": {"model_outputs": [{"model_id": "m-2", "step": 3}]},
}
LOGGED_MODEL = {
    "info": {
        "model_id": "m-1",
        "experiment_id": "7",
        "name": "tree",
        "status": "LOGGED_MODEL_READY",
        "source_run_id": "r1",
        "creation_timestamp_ms": 1614834367089,
        "last_updated_timestamp_ms": 1614834367089,
        "tags": TAGS,
    },
    "data": {"params": TAGS, "metrics": [{**METRIC, "run_id": "r1", "dataset_name": "d"}]},
}
MODEL = {
    "name": "churn",
    "creation_timestamp": 1614834367089,
    "description": "trees",
    "tags": TAGS,
    "aliases": [{"alias": "champion", "version": "2"}],
}
VERSION = {
    "name": "churn",
    "version": "2",
    "creation_timestamp": 1614834367089,
    "current_stage": "Production",
    "source": "models:/m-1",
    "run_id": "r1",
    "tags": TAGS,
}


def _version_from(body: Any) -> object:
    return model_version_from(body, RegisteredModel(name="churn", aliases={"champion": 2}))


READERS: list[tuple[Any, Callable[[Any], object]]] = [
    (EXPERIMENT, experiment_from),
    (RUN, run_from),
    (METRIC, metric_from),
    (LOGGED_MODEL, logged_model_from),
    (MODEL, registered_model_from),
    (VERSION, _version_from),
]


@pytest.mark.parametrize(("body", "read"), READERS, ids=lambda it: getattr(it, "__name__", ""))
class TestWhateverAServerSends:
    @settings(max_examples=150)
    @given(data=st.data())
    def test_it_is_a_record_or_malformed(
        self, body: Any, read: Callable[[Any], object], data: st.DataObject
    ) -> None:
        _record_or_malformed(body, read, data)

    @pytest.mark.thorough
    @settings(max_examples=3000)
    @given(data=st.data())
    def test_ten_thousand_times(
        self, body: Any, read: Callable[[Any], object], data: st.DataObject
    ) -> None:
        _record_or_malformed(body, read, data)

    def test_null_is_absent_wherever_a_list_or_object_is(
        self, body: Any, read: Callable[[Any], object]
    ) -> None:
        sparse = {key: None if isinstance(value, list) else value for key, value in body.items()}
        absent = {key: value for key, value in body.items() if not isinstance(value, list)}
        assert read(sparse) == read(absent)


def _record_or_malformed(body: Any, read: Callable[[Any], object], data: st.DataObject) -> None:
    wrong = data.draw(mutated(body))
    said = "a record"
    try:
        read(shapes.as_object(wrong, "the answer"))
    except Malformed as problem:
        said = problem.message
    assert 0 < len(said) < 500


class TestWhatPasses:
    def test_lists_and_objects_that_are_null(self) -> None:
        run = run_from({"info": RUN["info"], "data": None, "inputs": None, "outputs": None})
        assert (run.params, run.tags, run.inputs) == ({}, {}, ())
        assert run_from({**RUN, "data": {"params": None, "tags": None, "metrics": None}}).tags == {}

    @pytest.mark.parametrize("told", [5, "5", 5.0])
    def test_a_whole_number_in_any_spelling(self, told: Any) -> None:
        assert shapes.integer({"step": told}, "step") == 5

    @pytest.mark.parametrize("told", ["NaN", math.nan])
    def test_a_float_that_json_has_no_number_for(self, told: Any) -> None:
        assert math.isnan(shapes.number({"value": told}, "value"))

    def test_numbers_where_texts_belong(self) -> None:
        assert experiment_from({**EXPERIMENT, "experiment_id": 7}).experiment_id == "7"
        assert shapes.pairs({"params": {"depth": 3}}, "params") == {"depth": "3"}

    def test_a_tag_twice_with_one_value(self) -> None:
        assert shapes.pairs({"tags": [*TAGS, TAGS[0]]}, "tags")["team"] == "risk"


class TestWhatIsMalformed:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"start_time": "soon"}, "start_time is 'soon', no whole number"),
            ({"start_time": math.nan}, "start_time is nan, no whole number"),
            ({"start_time": 2**70}, "outside 64 bits"),
            ({"end_time": True}, "end_time is True, no whole number"),
            ({"run_id": "x" * 100_000}, "run_id is 'xxx"),
            ({"run_id": ["r1"]}, "run_id is a list, no text"),
            ({"run_id": None, "run_uuid": None}, "run_id is missing"),
            ({"run_id": "", "run_uuid": ""}, "run_id is '', no id"),
            ({"experiment_id": "\ud800"}, "characters that are none"),
            ({"lifecycle_stage": "archived"}, "none of active, deleted"),
        ],
    )
    def test_a_run_says_which_member_and_what_it_holds(
        self, change: dict[str, Any], words: str
    ) -> None:
        info = {**RUN["info"], **change}  # type: ignore[dict-item]
        with pytest.raises(Malformed, match=words) as caught:
            run_from({**RUN, "info": info})
        assert len(caught.value.message) < 200

    def test_a_metric_is_named(self) -> None:
        data = {"metrics": [{**METRIC, "value": "much"}]}
        with pytest.raises(Malformed, match="metric 'loss': value is 'much', no number"):
            run_from({**RUN, "data": data})

    def test_null_is_no_value_of_a_metric(self) -> None:
        # Some servers write NaN so; others what they have lost.
        with pytest.raises(Malformed, match="value"):
            metric_from({**METRIC, "value": None})

    def test_a_param_twice_with_two_values(self) -> None:
        with pytest.raises(Malformed, match="params is 'lr', there twice"):
            shapes.pairs({"params": [{"key": "lr", "value": v} for v in "12"]}, "params")

    def test_lists_for_objects_and_objects_for_lists(self) -> None:
        with pytest.raises(Malformed, match="data is a list, no object"):
            run_from({**RUN, "data": []})
        with pytest.raises(Malformed, match="inputs is a list, no object"):
            run_from({**RUN, "inputs": []})

    def test_an_answer_says_where_it_is_from(self) -> None:
        answer = shapes.Named({"run": 5}, "the answer of source http://s/runs/get")
        with pytest.raises(Malformed, match="answer of source http://s/runs/get: run is 5, no"):
            shapes.required(answer, "run")


class TestText:
    def test_a_member_twice_is_no_json(self) -> None:
        with pytest.raises(ValueError, match="a member twice: 'runs'"):
            shapes.parse_json('{"runs": [{}], "runs": []}')

    def test_what_is_nested_without_end_is_no_json(self) -> None:
        with pytest.raises(ValueError, match="nested too deeply"):
            shapes.parse_json("[" * 100_000)

    @given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=20))
    def test_what_json_writes_is_read(self, value: Any) -> None:
        assert shapes.parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5, True, False, -(2**63) - 1, 17])
def test_what_is_no_text_is_no_id_but_the_number_of_an_experiment(value: object) -> None:
    for read in (shapes.ident, shapes.stored_id):
        for name in ("modelId", "run_id"):
            with pytest.raises(Malformed, match="id"):
                read({name: value}, name)
    assert shapes.told_id({"modelId": value}, "modelId") == ""
    for name in ("experiment_id", "id"):
        assert shapes.ident({name: 17}, name) == "17"
