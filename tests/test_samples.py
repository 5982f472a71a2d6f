"""``migrate demo`` shows a history with something of every kind in it, and always the same."""

from __future__ import annotations

import pytest

from migrate.demo.samples import FIRST_START, write_samples
from migrate.demo.server import TrackingServerProcess
from tests.comparison import Server
from tests.seed_models import ModelSource


def test_samples_hold_one_of_each_kind_and_the_same_numbers_every_time(
    fresh_target: TrackingServerProcess,
) -> None:
    write_samples(fresh_target.uri)
    with Server(fresh_target.uri) as server:
        experiments = server.experiments()
        runs = server.runs(*(e["experiment_id"] for e in experiments.values()))
        named = {run["info"]["run_name"]: run for run in runs}
        final = named["gbm-final"]["info"]["run_id"]
        files = server.files(final)
        curve = server.history(final, "rmse")

    stages = {name: e["lifecycle_stage"] for name, e in experiments.items()}
    with ModelSource(fresh_target.uri) as registry:
        found = registry.send("GET", "model-versions/search?max_results=100", {})["model_versions"]
    assert sorted(int(it["version"]) for it in found) == [1, 2, 4, 5, 6]
    assert {it["name"] for it in found} == {"churn"}
    assert stages == {
        "Default": "active",
        "wine-quality": "active",
        "customer-churn": "active",
        "vision/flowers-102": "active",
        "scratch": "deleted",
    }
    assert len(named) == len(runs) == 25
    deleted = {name for name, r in named.items() if r["info"]["lifecycle_stage"] == "deleted"}
    assert deleted == {"hello", "weekly-16-wrong-data"}
    assert {run["info"]["status"] for run in runs} == {"FINISHED", "FAILED", "KILLED", "RUNNING"}

    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in runs]
    sweep = named["elasticnet-sweep"]["info"]["run_id"]
    assert [t.get("mlflow.parentRunId") for t in tags].count(sweep) == 8
    assert sum("inputs" in run and "dataset_inputs" in run["inputs"] for run in runs) == 21
    assert files.keys() == {
        "MODEL_CARD.md",
        "plots/importance/features.json",
        "plots/residuals.csv",
    }

    assert len(curve) == 200
    last = max(curve, key=lambda point: point[2])
    assert float(last[0]) == pytest.approx(0.588782003898559)
    assert named["baseline-mean"]["info"]["start_time"] == FIRST_START
