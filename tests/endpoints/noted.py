"""What was noted of samples when they were filled, against what is read or arrives of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlflow import MlflowClient

from migrate.objects import Experiment, Run


def assert_experiments(found: Iterable[Experiment], noted: Mapping[str, Any]) -> None:
    """Compare the experiments of a sample."""
    told = {
        it.name: {
            "id": it.experiment_id,
            "location": it.artifact_location,
            "lifecycle": it.lifecycle_stage,
        }
        for it in found
    }
    assert told.pop("Default")["id"] == "0"
    assert told == noted["experiments"]


def assert_runs(runs: Mapping[str, Run], noted: Mapping[str, Any]) -> None:
    """Compare the runs of a sample, by their ids, but for their params, tags and metrics."""
    gone = {it["id"] for it in noted["experiments"].values() if it["lifecycle"] == "deleted"}
    assert runs.keys() == {it["id"] for it in noted["runs"].values()}
    for name, wanted in noted["runs"].items():
        run = runs[wanted["id"]]
        assert run.name == name
        assert run.experiment_id == wanted["experiment"]
        assert run.artifact_uri == wanted["artifact_uri"]
        assert (run.start_time, run.user_id) == (wanted["start"], wanted["user"])
        stage = "deleted" if run.experiment_id in gone else wanted.get("lifecycle", "active")
        assert run.lifecycle_stage == stage
        assert [
            [it["dataset"]["name"], it["dataset"]["digest"], it["tags"][0]["value"]]
            for it in run.inputs
        ] == wanted.get("inputs", [])


def points_of(noted: Mapping[str, Any], run: Mapping[str, Any]) -> list[list[Any]]:
    """Return the points of a run, those of logged models too: they are kept with it as well."""
    models = noted.get("logged_models", {}).values()
    own = [it["metric"][:4] for it in models if "metric" in it and it["run"] == run["id"]]
    return [*run["metrics"], *own]


def assert_shown(client: MlflowClient, noted: Mapping[str, Any]) -> None:
    """Compare what a server shows of a sample: its registry, one run, and the files of that."""
    names = {it.name for it in client.search_registered_models()}
    assert names == {*noted["models"]}
    for name in names & {"modelA"}:  # the oldest file stores have no registry
        versions = client.search_model_versions(f"name = '{name}'")
        assert {str(it.version) for it in versions} == {*noted["models"][name]["versions"]}
    alpha = client.get_experiment_by_name("alpha")
    [run] = client.search_runs([alpha.experiment_id], "run_name = 'full'")
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 6
    files = {it.path for it in client.list_artifacts(run.info.run_id)}
    assert files == {"a.txt", "model", "sub"}
