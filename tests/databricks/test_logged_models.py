"""Logged models of a workspace, whose files are not where those of runs are."""

from __future__ import annotations

import pytest

from tests.databricks.answers import Asked, Refusal
from tests.databricks.conftest import Migrate
from tests.databricks.workspace import Workspace
from tests.seed_models import ModelSource


def no_filters(asked: Asked) -> None:
    if asked.path.endswith("/logged-models/search") and asked.json().get("filter"):
        raise Refusal(400, "INVALID_PARAMETER_VALUE", "no such filter")


@pytest.mark.parametrize(
    "filters",
    [
        pytest.param(True, id="filters", marks=pytest.mark.thorough),
        pytest.param(False, id="no-filters"),
    ],
)
def test_a_logged_model_and_its_files_go_to_another_workspace(
    filters: bool, migrate: Migrate, workspace: Workspace, other: Workspace, unique_name: str
) -> None:
    if not filters:
        other.refuse = no_filters
    name = f"/Shared/{unique_name}"
    with ModelSource(workspace.upstream) as source:
        experiment = source.experiment(name)
        run = source.run("train", experiment)
        model = source.logged_model("model", experiment, run_id=run, tags={"a": "b"})
        source.artifact(model, "data/weights", b"abc")
        source.outputs(run, (model, 0))
    migrate("run", "databricks://one", "databricks://two", "--experiments", name)
    migrate("verify", "databricks://one", "databricks://two", "--experiments", name, "--contents")
    made = [it for it in other.log if it == ("POST", "/api/2.0/mlflow/logged-models")]
    assert len(made) == 1
    migrate("run", "databricks://one", "databricks://two", "--experiments", name)
    assert [it for it in other.log if it == ("POST", "/api/2.0/mlflow/logged-models")] == made
