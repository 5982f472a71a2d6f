"""What a workspace refuses as a target, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RunMigrate
from tests.databricks.answers import Asked, Refusal
from tests.databricks.conftest import Migrate
from tests.databricks.test_experiments import experiment_in, only_run
from tests.databricks.workspace import OWNER, Workspace
from tests.seed import START, Source
from tests.seed_models import ModelSource

OWN = "mlflow-migrate.source."


def tags_of(workspace: Workspace, name: str) -> dict[str, str]:
    tags = only_run(workspace, name)["data"]["tags"]
    return {tag["key"]: tag["value"] for tag in tags}


@pytest.mark.thorough
def test_an_ordinary_server_moves_into_a_workspace_and_reserved_tags_are_kept_aside(
    migrate: Migrate, other: Workspace, workspace: Workspace, unique_name: str, tmp_path: Path
) -> None:
    with Source(workspace.upstream) as source:
        reserved = {"mlflow.experiment.sourceType": "REPO_NOTEBOOK", "team": "risk"}
        experiment = source.experiment(unique_name, tags=reserved)
        run = source.run("train", experiment, tags={"mlflow.user": "ada", "a": "b"})
        source.tags(run, {"mlflow.rootRunId": run, "mlflow.log-model.history": "[]"})
        source.metrics(run, [("loss", 0.5, START, 0), ("loss", 0.25, START, 1)])
        source.artifact(run, "notes/a b.txt", b"abc")
    new = f"/Shared/from elsewhere/{unique_name}"
    rename = tmp_path / "renames.csv"
    rename.write_text(f"{unique_name},{new}\n")
    chosen = ("--experiments", unique_name, "--experiment-rename-file", rename)
    # One side is an ordinary server, so the workspace may come from the environment.
    env = other.environment()
    result = migrate("run", workspace.upstream, "databricks", *chosen, "--use-src-user-id", env=env)
    assert (
        "--use-src-user-id has no effect"
        in migrate(
            "plan", workspace.upstream, "databricks", *chosen, "--use-src-user-id", env=env
        ).stdout
    ), result.stdout
    assert "/Shared/from elsewhere" in other.notebooks.folders
    found = experiment_in(other, new)
    kept = {tag["key"]: tag["value"] for tag in found["tags"]}
    assert kept[f"{OWN}tag.mlflow.experiment.sourceType"] == "REPO_NOTEBOOK"
    assert kept["mlflow.experimentType"] == "MLFLOW_EXPERIMENT"
    tags = tags_of(other, new)
    assert tags[f"{OWN}tag.mlflow.user"] == "ada"
    assert tags[f"{OWN}tag.mlflow.rootRunId"] == run
    assert tags[f"{OWN}tag.mlflow.log-model.history"] == "[]"
    assert tags[f"{OWN}user_id"] == "ada"
    assert (tags["mlflow.user"], tags["a"]) == (OWNER, "b")
    migrate("verify", workspace.upstream, "databricks", *chosen, "--contents", env=env)


@pytest.mark.thorough
def test_more_than_a_request_may_hold_goes_in_several(
    migrate: Migrate, workspace: Workspace, other: Workspace, unique_name: str
) -> None:
    name = f"/Shared/{unique_name}"
    params = {f"param {n}": "ä" * 6000 for n in range(60)}
    tags = {f"tag {n}": "x" for n in range(30)}
    with Source(workspace.upstream) as source:
        run = source.run("train", source.experiment(name, tags=tags))
        source.params(run, params)
    migrate("run", "databricks://one", "databricks://two", "--experiments", name)
    data = only_run(other, name)["data"]
    assert {param["key"]: param["value"] for param in data["params"]} == params
    kept = {tag["key"]: tag["value"] for tag in experiment_in(other, name)["tags"]}
    assert kept.items() >= tags.items()
    migrate("verify", "databricks://one", "databricks://two", "--experiments", name)


def test_names_that_are_no_paths_are_all_named_before_anything_is_written(
    migrate: Migrate, workspace: Workspace, other: Workspace, unique_name: str
) -> None:
    with Source(workspace.upstream) as source:
        source.experiment(f"{unique_name}-a")
        source.experiment(f"{unique_name}-b")
        source.experiment(f"/Shared/{unique_name}-c")
    prefixes = ("--experiments", f"{unique_name}*", "--experiments", f"/Shared/{unique_name}*")
    result = migrate("run", "databricks://one", "databricks://two", *prefixes, code=2)
    assert f"{unique_name}-a" in result.stderr
    assert f"{unique_name}-b" in result.stderr
    assert f"{unique_name}-c" not in result.stderr
    assert "--experiment-rename-file" in result.stderr
    assert ("POST", "/api/2.0/mlflow/experiments/create") not in other.log


@pytest.mark.thorough
def test_permissions_of_the_workspace_registry_are_granted_again(
    migrate: Migrate, workspace: Workspace, other: Workspace, unique_name: str
) -> None:
    name = f"churn-{unique_name[-8:]}"
    with ModelSource(workspace.upstream) as source:
        source.registered(name)
    ident = name.encode().hex()
    for made in (workspace, other):
        made.accounts.users.add("ada@example.com")
        made.grants.inherited[("registered-models", "")] = {("user_name", OWNER): "CAN_MANAGE"}
    level = "CAN_MANAGE_STAGING_VERSIONS"
    granted = {("user_name", "ada@example.com"): level}
    workspace.grants.direct[("registered-models", ident)] = granted
    chosen = ("--models", name, "--permissions")
    migrate("run", "databricks://one", "databricks://two", *chosen)
    assert other.grants.direct[("registered-models", ident)] == granted
    migrate("verify", "databricks://one", "databricks://two", *chosen)


def test_a_workspace_that_is_busy_is_asked_again_and_creates_are_sent_once(
    migrate: Migrate, workspace: Workspace, other: Workspace, unique_name: str
) -> None:
    name = f"/Shared/{unique_name}"
    with Source(workspace.upstream) as source:
        source.run("train", source.experiment(name))
    busy: dict[str, int] = {}

    def throttle(asked: Asked) -> None:
        busy[asked.path] = busy.get(asked.path, 0) + 1
        if busy[asked.path] == 1:
            text = "Too many requests"
            raise Refusal(429, "REQUEST_LIMIT_EXCEEDED", text, {"Retry-After": "0"})

    workspace.refuse = other.refuse = throttle
    migrate("run", "databricks://one", "databricks://two", "--experiments", name, "--permissions")
    assert only_run(other, name)["info"]["run_name"] == "train"
    assert max(busy.values()) > 1


def test_a_create_whose_answer_is_lost_is_not_sent_again(
    migrate: Migrate, workspace: Workspace, other: Workspace, unique_name: str
) -> None:
    name = f"/Shared/{unique_name}"
    with Source(workspace.upstream) as source:
        source.run("train", source.experiment(name))
    lost: list[str] = []

    def loses(method: str, path: str) -> bool:
        if path.endswith("/create") and path not in lost:
            lost.append(path)
            return True
        return False

    other.loses = loses
    migrate("run", "databricks://one", "databricks://two", "--experiments", name)
    assert len(lost) == 2
    assert only_run(other, name)["info"]["run_name"] == "train"
    assert [it for it in other.log if it[1].endswith("runs/create")] == [("POST", lost[1])]


@pytest.mark.parametrize("token", ["", "dapi-wrong"])
def test_a_token_that_is_not_accepted_stops_with_a_hint_and_is_not_shown(
    token: str, run_migrate: RunMigrate, workspace: Workspace, tmp_path: Path
) -> None:
    env = {"HOME": str(tmp_path), "DATABRICKS_HOST": workspace.host, "DATABRICKS_TOKEN": token}
    result = run_migrate("plan", "databricks", "out", env=env)
    assert result.returncode == (1 if token else 2), result.stderr
    assert "DATABRICKS_TOKEN" in result.stderr
    assert not token or token not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.thorough
def test_variables_that_would_take_the_place_of_a_profile_are_refused(
    migrate: Migrate, workspace: Workspace, other: Workspace
) -> None:
    result = migrate("plan", "databricks", "databricks://two", code=2, env=workspace.environment())
    assert "DATABRICKS_HOST and DATABRICKS_TOKEN" in result.stderr
    # Those of the same workspace change nothing.
    migrate("plan", "databricks://two", "out", "--experiments", "Default", env=other.environment())


def test_a_profile_that_is_not_there_is_named(migrate: Migrate) -> None:
    result = migrate("plan", "databricks://nobody", "out", code=2)
    assert "databricks://nobody" in result.stderr
    assert ".databrickscfg" in result.stderr


@pytest.mark.thorough
def test_another_registry_than_the_catalog_is_refused(migrate: Migrate) -> None:
    result = migrate(
        "plan", "databricks://one", "out", "--source-registry-uri", "http://127.0.0.1:1", code=2
    )
    assert "databricks-uc" in result.stderr


def test_notebook_formats_on_a_server_without_notebooks_are_a_note(
    migrate: Migrate, workspace: Workspace, unique_name: str
) -> None:
    with Source(workspace.upstream) as source:
        source.experiment(unique_name)
    chosen = ("--experiments", unique_name, "--notebook-formats", "SOURCE")
    result = migrate("plan", workspace.upstream, "out", *chosen)
    assert "--notebook-formats has no effect" in result.stdout
