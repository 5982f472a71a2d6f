"""From one workspace to an export directory, and from there to another workspace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.objects import NOTEBOOK_FORMATS
from tests.databricks.answers import Asked, Refusal
from tests.databricks.conftest import Migrate
from tests.databricks.notebooks import rendered
from tests.databricks.workspace import OWNER, Workspace
from tests.seed import START, Source

NOTEBOOK = "/Users/ada@example.com/train"
RAN_AT = "1700000000001"
NOTEBOOK_TAGS = {
    "mlflow.databricks.notebookPath": NOTEBOOK,
    "mlflow.databricks.notebookRevisionID": RAN_AT,
}
ALL_FORMATS = ",".join(NOTEBOOK_FORMATS)


@dataclass(frozen=True)
class Seeded:
    name: str
    experiment: str
    run: str


@pytest.fixture
def seeded(workspace: Workspace, other: Workspace, unique_name: str) -> Seeded:
    """An experiment with a run of a notebook, in a folder of its own with people around."""
    name = f"/Shared/{unique_name}/fraud"
    with Source(workspace.upstream) as source:
        experiment = source.experiment(
            name, tags={"team": "risk", "mlflow.experiment.sourceType": "REPO_NOTEBOOK"}
        )
        run = source.run(
            "train",
            experiment,
            tags={**NOTEBOOK_TAGS, "mlflow.user": "ada", "mlflow.log-model.history": "[]"},
        )
        source.tags(run, {"mlflow.rootRunId": run})
        source.metrics(run, [("loss", 0.5, START, 0)])
        source.artifact(run, "model/weights", b"abc")
    workspace.notebooks.texts[NOTEBOOK] = {RAN_AT: "print('then')", "1700000000002": "print('now')"}
    for made in (workspace, other):
        made.accounts.users |= {"ada@example.com", "eve@example.com"}
        made.accounts.groups |= {"admins": set(), "risk": set(), "folks": set()}
        made.accounts.service_principals |= {"8d6e-app"}
        made.grants.inherited[("experiments", "/Shared")] = {("group_name", "admins"): "CAN_MANAGE"}
    # Known there, and with nothing from the folder there.
    workspace.grants.inherited[("experiments", "/Shared")][("group_name", "folks")] = "CAN_EDIT"
    workspace.grants.direct[("experiments", experiment)] = {
        ("user_name", "ada@example.com"): "CAN_EDIT",
        ("group_name", "risk"): "CAN_READ",
        ("service_principal_name", "8d6e-app"): "CAN_MANAGE",
    }
    return Seeded(name, experiment, run)


def experiment_in(workspace: Workspace, name: str) -> dict[str, Any]:
    """An experiment as the server behind a workspace has it."""
    path, params = "/api/2.0/mlflow/experiments/get-by-name", {"experiment_name": name}
    found: dict[str, Any] = workspace.call("GET", path, params=params)["experiment"]
    return found


def only_run(workspace: Workspace, name: str) -> dict[str, Any]:
    """The only run of an experiment, likewise."""
    body = {"experiment_ids": [experiment_in(workspace, name)["experiment_id"]]}
    [run] = workspace.call("POST", "/api/2.0/mlflow/runs/search", json=body)["runs"]
    return dict(run)


def granted(workspace: Workspace, name: str) -> dict[tuple[str, str], str]:
    """What is granted directly on an experiment, but for what its creator has."""
    ident = experiment_in(workspace, name)["experiment_id"]
    held = dict(workspace.grants.direct[("experiments", ident)])
    assert held.pop(("user_name", OWNER)) == "CAN_MANAGE"
    return held


@pytest.mark.thorough
def test_permissions_go_through_a_directory_to_another_workspace_and_inherited_ones_stay_inherited(
    migrate: Migrate, workspace: Workspace, other: Workspace, seeded: Seeded, tmp_path: Path
) -> None:
    chosen = ("--experiments", seeded.name, "--output-dir", "out", "--source", "databricks://one")
    migrate("export-experiments", *chosen, "--export-permissions", "True")
    record = json.loads((tmp_path / "out" / seeded.experiment / "experiment.json").read_text())
    document = record["mlflow"]["permissions"]
    assert document["permissions"]["object_id"] == f"/experiments/{seeded.experiment}"
    assert [it["permission_level"] for it in document["permission_levels"]] == [
        "CAN_READ",
        "CAN_EDIT",
        "CAN_MANAGE",
    ]
    back = ("import-experiments", "--input-dir", "out", "--target", "databricks://two")
    migrate(*back, "--state", "second.db")
    assert granted(other, seeded.name) == {}
    migrate(*back, "--state", "second.db", "--import-permissions", "True")
    assert granted(other, seeded.name) == {
        ("user_name", "ada@example.com"): "CAN_EDIT",
        ("group_name", "risk"): "CAN_READ",
        ("service_principal_name", "8d6e-app"): "CAN_MANAGE",
    }
    changes = other.grants.changes
    other.log.clear()
    migrate(*back, "--state", "third.db", "--import-permissions", "True")
    assert other.grants.changes == changes
    assert {method for method, _ in other.log} <= {"GET", "POST"}
    migrate("verify", "out", "databricks://two")
    assert workspace.grants.changes == 0


@pytest.mark.thorough
def test_a_principal_that_is_not_there_is_a_loss_by_name_and_the_others_are_granted(
    migrate: Migrate, other: Workspace, seeded: Seeded
) -> None:
    other.accounts.users.remove("ada@example.com")
    result = migrate(
        "run",
        "databricks://one",
        "databricks://two",
        *("--experiments", seeded.name, "--permissions"),
        code=3,
    )
    assert "CAN_EDIT" in result.stdout
    assert "UserName(ada@example.com) does not exist" in result.stdout
    assert ("group_name", "risk") in granted(other, seeded.name)


@pytest.mark.thorough
def test_permissions_that_the_source_does_not_show_are_a_loss_and_runs_are_copied(
    migrate: Migrate, workspace: Workspace, seeded: Seeded, tmp_path: Path
) -> None:
    workspace.accounts.admins.clear()
    chosen = ("--experiments", seeded.name, "--permissions")
    result = migrate("run", "databricks://one", "out", *chosen, code=3)
    assert "does not have Manage permissions" in result.stdout
    assert (tmp_path / "out" / seeded.experiment / "runs" / seeded.run / "run.json").exists()


@pytest.mark.thorough
def test_notebooks_are_exported_in_all_forms_as_they_were_when_the_run_began(
    migrate: Migrate, workspace: Workspace, other: Workspace, seeded: Seeded, tmp_path: Path
) -> None:
    chosen = ("--experiments", seeded.name)
    export = ("export-experiments", *chosen, "--output-dir", "out", "--source", "databricks://one")
    migrate(*export)
    folder = tmp_path / "out" / seeded.experiment / "runs" / seeded.run / "artifacts" / "notebooks"
    assert not folder.exists()
    # An export made without them is completed.
    migrate(*export, "--notebook-formats", ALL_FORMATS)
    for form in NOTEBOOK_FORMATS:
        assert (folder / f"train.{form.lower()}").read_bytes() == rendered("print('then')", form)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == {**NOTEBOOK_TAGS, "formats": list(NOTEBOOK_FORMATS)}
    migrate("verify", "databricks://one", "out", *chosen)
    workspace.log.clear()
    migrate("run", "databricks://one", "out", *chosen, "--notebook-formats", ALL_FORMATS)
    assert ("GET", "/api/2.0/workspace/export") not in workspace.log
    # In another workspace they are files of the run.
    migrate("run", "out", "databricks://two", "--state", "second.db")
    migrate("verify", "out", "databricks://two", "--contents")
    run = only_run(other, seeded.name)["info"]["run_id"]
    params = {"run_id": run, "path": "notebooks"}
    found = other.call("GET", "/api/2.0/mlflow/artifacts/list", params=params)["files"]
    assert "notebooks/train.source" in [file["path"] for file in found]


@pytest.mark.parametrize("why", ["gone", pytest.param("hidden", marks=pytest.mark.thorough)])
def test_a_notebook_that_is_not_to_be_had_is_a_loss_by_name_and_the_run_is_exported(
    why: str, migrate: Migrate, workspace: Workspace, seeded: Seeded, tmp_path: Path
) -> None:
    if why == "gone":
        del workspace.notebooks.texts[NOTEBOOK]
    else:
        workspace.notebooks.hidden.add(NOTEBOOK)
    chosen = ("--experiments", seeded.name, "--notebook-formats", "SOURCE")
    result = migrate("run", "databricks://one", "out", *chosen, code=3)
    assert f"notebook {NOTEBOOK} as SOURCE" in result.stdout
    run = tmp_path / "out" / seeded.experiment / "runs" / seeded.run
    assert (run / "artifacts/model/weights").read_bytes() == b"abc"
    assert not (run / "artifacts/notebooks").exists()


@pytest.mark.thorough
def test_a_notebook_that_is_busy_for_good_is_a_loss_and_one_that_was_busy_is_read(
    migrate: Migrate, workspace: Workspace, seeded: Seeded, tmp_path: Path
) -> None:
    asked_for: list[str] = []

    def busy(asked: Asked) -> None:
        if asked.path == "/api/2.0/workspace/export":
            asked_for.append(asked.params["format"])
            if asked.params["format"] == "HTML" or len(asked_for) == 1:
                raise Refusal(503, "TEMPORARILY_UNAVAILABLE", "busy", {"Retry-After": "0"})

    workspace.refuse = busy
    chosen = ("--experiments", seeded.name, "--notebook-formats", "SOURCE,HTML")
    result = migrate("run", "databricks://one", "out", *chosen, code=3)
    assert f"notebook {NOTEBOOK} as HTML" in result.stdout
    folder = tmp_path / "out" / seeded.experiment / "runs" / seeded.run / "artifacts" / "notebooks"
    assert (folder / "train.source").read_bytes() == b"print('then')"
    assert json.loads((folder / "manifest.json").read_text())["formats"] == ["SOURCE"]
    workspace.refuse = lambda asked: None
    migrate("run", "databricks://one", "out", *chosen)
    assert (folder / "train.html").exists()
    assert json.loads((folder / "manifest.json").read_text())["formats"] == ["SOURCE", "HTML"]


def test_a_run_that_names_no_revision_gets_no_notebook_and_the_report_says_so(
    migrate: Migrate, workspace: Workspace, unique_name: str, tmp_path: Path
) -> None:
    name = f"/Shared/{unique_name}"
    with Source(workspace.upstream) as source:
        tags = {"mlflow.databricks.notebookPath": NOTEBOOK}
        source.run("train", source.experiment(name), tags=tags)
    workspace.notebooks.texts[NOTEBOOK] = {RAN_AT: "print('now')"}
    chosen = ("--experiments", name, "--notebook-formats", "SOURCE")
    result = migrate("run", "databricks://one", "out", *chosen)
    assert f"notebook {NOTEBOOK}: the run does not say at which revision" in result.stdout
    assert not list((tmp_path / "out").rglob("train.source"))


@pytest.mark.thorough
def test_a_file_of_the_run_with_the_name_of_a_notebook_stays(
    migrate: Migrate, workspace: Workspace, seeded: Seeded, tmp_path: Path
) -> None:
    with Source(workspace.upstream) as source:
        root = {seeded.run: artifact_uri(workspace, seeded.run)}
        source.seeded.artifact_uris.update(root)
        source.artifact(seeded.run, "notebooks/train.source", b"the run's own")
    chosen = ("--experiments", seeded.name, "--notebook-formats", "SOURCE,HTML")
    result = migrate("run", "databricks://one", "out", *chosen, code=3)
    assert "the run has a file notebooks/train.source" in result.stdout
    folder = tmp_path / "out" / seeded.experiment / "runs" / seeded.run / "artifacts" / "notebooks"
    assert (folder / "train.source").read_bytes() == b"the run's own"
    assert (folder / "train.html").exists()


def artifact_uri(workspace: Workspace, run_id: str) -> str:
    run = workspace.call("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run_id})["run"]
    return str(run["info"]["artifact_uri"])
