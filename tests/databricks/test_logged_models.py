"""Logged models of a workspace, whose files are not where those of runs are."""

from __future__ import annotations

from tests.databricks.conftest import Migrate
from tests.databricks.workspace import Workspace
from tests.seed_models import ModelSource


def test_a_logged_model_and_its_files_go_to_another_workspace(
    migrate: Migrate, workspace: Workspace, other: Workspace, unique_name: str
) -> None:
    name = f"/Shared/{unique_name}"
    with ModelSource(workspace.upstream) as source:
        experiment = source.experiment(name)
        run = source.run("train", experiment)
        model = source.logged_model("model", experiment, run_id=run, tags={"a": "b"})
        source.artifact(model, "data/weights", b"abc")
        source.post("runs/outputs", {"run_id": run, "models": [{"model_id": model, "step": 0}]})
    migrate("run", "databricks://one", "databricks://two", "--experiments", name)
    migrate("verify", "databricks://one", "databricks://two", "--experiments", name, "--contents")
