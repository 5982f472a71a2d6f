"""Runs whose input is an evaluation dataset: its id is good at its server only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.data.evaluation_dataset_source import EvaluationDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.cli.test_unstorable import found_in
from tests.seed import Source
from tests.seed_records import Api

NAME = "evaluated"
KEPT = "mlflow-migrate.source.dataset_id"


@pytest.fixture(scope="module")
def dataset_id(fresh_source: TrackingServerProcess) -> str:
    """The evaluation dataset that a run has as its input, as MLflow itself writes it."""
    client = MlflowClient(fresh_source.uri)
    experiment = client.create_experiment(NAME)
    with Source(fresh_source.uri) as source:
        wanted = {"name": "golden", "experiment_ids": [experiment], "tags": "{}"}
        made = source.post("../../3.0/mlflow/datasets/create", wanted)["dataset"]
    named = EvaluationDatasetSource(made["dataset_id"])
    source_type = EvaluationDatasetSource._get_source_type()
    dataset = Dataset("golden", made["digest"], source_type, named.to_json())
    run = client.create_run(experiment)
    context = InputTag("mlflow.data.context", "eval")
    client.log_inputs(run.info.run_id, [DatasetInput(dataset, [context])])
    client.set_terminated(run.info.run_id)
    return str(made["dataset_id"])


def input_of_copy(uri: str) -> dict[str, Any]:
    [run] = found_in(uri, NAME)
    [item] = run["inputs"]["dataset_inputs"]
    return dict(item)


@pytest.mark.parametrize("through", ["", "a directory"])
def test_it_names_the_copy_and_its_id_is_in_a_tag_which_verify_knows(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    dataset_id: str,
    through: str,
    tmp_path: Path,
) -> None:
    source: str | Path = fresh_source.uri
    [original] = found_in(fresh_source.uri, NAME)
    assert dataset_id in original["inputs"]["dataset_inputs"][0]["dataset"]["source"]
    if through:
        export = tmp_path / "export"
        typed("run", source, export)
        source = export
    report = json.loads(typed("run", source, fresh_target.uri, "--json").stdout)
    assert (report["failures"], report["losses"]) == ([], [])
    assert dataset_id not in json.dumps(report["warnings"])

    copied = input_of_copy(fresh_target.uri)
    [dataset] = Api(fresh_target.uri)("POST", "datasets/search", {"max_results": 10})["datasets"]
    assert json.loads(copied["dataset"]["source"]) == {"dataset_id": dataset["dataset_id"]}
    assert {"key": KEPT, "value": dataset_id} in copied["tags"]
    verified = json.loads(typed("verify", source, fresh_target.uri, "--json").stdout)
    assert (verified["equal"], verified["differences"]) == (True, [])
    again = json.loads(typed("run", source, fresh_target.uri, "--json").stdout)
    assert again["totals"]["run"]["wrote"] == 0
    assert input_of_copy(fresh_target.uri) == copied


def test_without_a_copy_its_id_is_in_a_tag_of_the_input_for_ever(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    dataset_id: str,
) -> None:
    ends = (fresh_source.uri, fresh_target.uri)
    chosen = (*ends, "--without", "evaluation-datasets", "--json")
    report = json.loads(typed("run", *chosen).stdout)
    assert (report["failures"], report["losses"]) == ([], [])
    assert dataset_id in json.dumps(report["warnings"])
    copied = input_of_copy(fresh_target.uri)
    assert json.loads(copied["dataset"]["source"]) == {"dataset_id": ""}
    assert {"key": KEPT, "value": dataset_id} in copied["tags"]
    assert json.loads(typed("verify", *chosen).stdout)["differences"] == []

    # MLflow changes no dataset that is there: it is known, and no difference.
    typed("run", *ends)
    assert input_of_copy(fresh_target.uri) == copied
    assert json.loads(typed("verify", *ends, "--json").stdout)["differences"] == []


@pytest.mark.thorough
def test_a_copy_of_the_copy_names_the_dataset_of_the_first_source(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    dataset_id: str,
    tmp_path: Path,
) -> None:
    typed("run", fresh_source.uri, fresh_target.uri)
    copied = input_of_copy(fresh_target.uri)
    typed("run", fresh_target.uri, tmp_path / "again", "--experiments", NAME)
    [file] = (tmp_path / "again").rglob("run.json")
    assert dataset_id in file.read_text()
    assert json.loads(copied["dataset"]["source"])["dataset_id"] in file.read_text()
    typed("verify", fresh_target.uri, tmp_path / "again", "--experiments", NAME)
