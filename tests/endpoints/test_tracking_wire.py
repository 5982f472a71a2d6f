"""MLflow's JSON to records and back, and what each server version takes."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.shapes import pairs
from migrate.endpoints.tracking.capabilities import ALWAYS, capabilities_of
from migrate.endpoints.tracking.parts import UNKNOWN_RELEASE
from migrate.endpoints.tracking.versions import release_of
from migrate.endpoints.tracking.wire import (
    experiment_from,
    metric_from,
    metric_to,
    run_from,
    tags_to,
)
from migrate.objects import Metric

INT64 = st.integers(-(2**63), 2**63 - 1)


class TestMetrics:
    @given(st.text(), st.floats(), st.integers(0, 2**63 - 1), INT64)
    def test_a_point_survives_the_way_there_and_back(
        self, key: str, value: float, timestamp: int, step: int
    ) -> None:
        point = Metric(key, value, timestamp, step)
        # As strict JSON: a bare NaN makes a server drop the rest of a batch.
        sent = json.loads(json.dumps(metric_to(point), allow_nan=False))
        again = metric_from(sent)
        assert again._replace(value=0) == point._replace(value=0)
        assert math.isnan(value) == math.isnan(again.value)
        assert math.isnan(value) or again.value == value

    @pytest.mark.parametrize(
        ("value", "text"),
        [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")],
        ids=str,
    )
    def test_what_json_has_no_number_for_is_sent_as_text(self, value: float, text: str) -> None:
        assert metric_to(Metric("loss", value, 1, 2))["value"] == text

    def test_answers_hold_numbers_as_text_and_leave_out_zeros(self) -> None:
        row = {"key": "loss", "value": "NaN", "timestamp": "12", "step": "-3"}
        assert repr(metric_from(row)) == repr(Metric("loss", math.nan, 12, -3))
        assert metric_from({"key": "loss"}) == Metric("loss", 0.0, 0, 0)


@given(st.dictionaries(st.text(), st.text()))
def test_tags_survive_the_way_there_and_back(tags: dict[str, str]) -> None:
    assert pairs({"tags": tags_to(tags)}, "tags") == tags


def test_an_empty_value_may_be_absent() -> None:
    assert pairs({"tags": [{"key": "empty"}]}, "tags") == {"empty": ""}


class TestRuns:
    def test_a_full_answer(self) -> None:
        run = run_from(
            {
                "info": {
                    "run_id": "r1",
                    "experiment_id": "7",
                    "run_name": "train",
                    "user_id": "ada",
                    "status": "FINISHED",
                    "start_time": "1614834367089",
                    "end_time": 1614834428089,
                    "lifecycle_stage": "deleted",
                    "artifact_uri": "mlflow-artifacts:/7/r1/artifacts",
                },
                "data": {
                    "params": [{"key": "depth", "value": "3"}, {"key": "empty"}],
                    "tags": [{"key": "team", "value": "risk"}],
                    "metrics": [{"key": "loss", "value": 0.5, "timestamp": 1, "step": 2}],
                },
                "inputs": {
                    "dataset_inputs": [{"dataset": {"name": "train"}}],
                    "model_inputs": [{"model_id": "m-1"}],
                },
                "outputs": {"model_outputs": [{"model_id": "m-2", "step": 0}]},
            }
        )
        assert (run.start_time, run.end_time) == (1614834367089, 1614834428089)
        assert run.params == {"depth": "3", "empty": ""}
        assert run.latest_metrics == (Metric("loss", 0.5, 1, 2),)
        assert run.inputs == ({"dataset": {"name": "train"}, "tags": []},)
        assert run.links.model_ids == {"m-1", "m-2"}

    def test_a_bare_answer_of_an_old_server(self) -> None:
        tags = [{"key": "mlflow.runName", "value": "kept in the tag"}]
        run = run_from({"info": {"run_uuid": "r1", "experiment_id": 7}, "data": {"tags": tags}})
        assert (run.run_id, run.experiment_id, run.name) == ("r1", "7", "kept in the tag")
        assert (run.status, run.start_time, run.end_time) == ("RUNNING", 0, None)


def test_an_experiment_of_an_old_server_has_no_times() -> None:
    bare = experiment_from({"experiment_id": 3, "name": "x"})
    assert (bare.experiment_id, bare.creation_time, bare.last_update_time) == ("3", None, None)
    assert (bare.lifecycle_stage, bare.tags) == ("active", {})
    timed = experiment_from({"experiment_id": "3", "name": "x", "creation_time": "12"})
    assert timed.creation_time == 12


class TestVersions:
    @pytest.mark.parametrize(
        ("text", "least", "below"),
        [
            ("3.17.2", (3, 17), (3, 18)),
            ("2.9.2.dev0", (2, 9), (2, 10)),
            ("10.0", (10, 0), (10, 1)),
        ],
    )
    def test_a_version_that_is_told_leaves_nothing_open(
        self, text: str, least: tuple[int, int], below: tuple[int, int]
    ) -> None:
        release = release_of(text)
        assert release is not None
        assert (release, str(release)) == ((least, below, text), text)
        assert (release.reaches(least), release.reaches(below)) == (True, False)
        assert (release.is_before(least), release.is_before(below)) == (False, True)

    @pytest.mark.parametrize(
        "text", ["", "<!DOCTYPE html>", "{}", "3", "3.17 of a gateway", "1.0<html>", "nginx/1.25.3"]
    )
    def test_what_is_no_version_tells_none(self, text: str) -> None:
        assert release_of(text) is None

    @pytest.mark.parametrize(
        ("version", "limits"),
        [
            # param, run tag, experiment tag, dataset inputs, colons in keys, can be a target
            ("", (500, 5000, 5000, False, False, False)),
            ("2.2.2", (500, 5000, 5000, False, False, False)),
            ("2.3.2", (500, 5000, 5000, False, False, True)),
            ("2.9.2", (6000, 5000, 5000, True, False, True)),
            ("2.22.5", (6000, 8000, 5000, True, True, True)),
            ("3.8.1", (6000, 8000, 5000, True, True, True)),
            ("3.17.2", (6000, 8000, 20000, True, True, True)),
        ],
    )
    def test_each_version_declares_what_it_takes(
        self, version: str, limits: tuple[int, int, int, bool, bool, bool]
    ) -> None:
        release = release_of(version) or UNKNOWN_RELEASE
        can = capabilities_of(release, description="d", identity="i", notes=("n",))
        assert (
            can.param_length,
            can.run_tag_length,
            can.experiment_tag_length,
            can.dataset_inputs,
            can.colon_in_keys,
            can.writable >= ALWAYS,
        ) == limits
        assert (can.readable >= ALWAYS, can.metric_key_length, can.archive) == (True, 250, False)
        assert (can.description, can.identity, can.notes) == ("d", "i", ("n",))
