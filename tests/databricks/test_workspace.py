"""The workspace of the tests enforces what it says, so that what passes there means something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from migrate.demo.server import TrackingServerProcess
from tests.databricks.workspace import OWNER, TOKEN, Workspace
from tests.seed import Source


class Asking:
    """Asks a workspace with a token."""

    def __init__(self, workspace: Workspace, token: str = TOKEN) -> None:
        self._workspace, self._token = workspace, token

    def __call__(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        url = self._workspace.host + path
        answer = requests.request(method, url, headers=headers, timeout=30, **options)
        return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def workspace(source_server: TrackingServerProcess) -> Iterator[Workspace]:
    with Workspace(source_server.uri) as made:
        made.accounts.users |= {"ada", "eve"}
        made.accounts.tokens["dapi-eve"] = "eve"
        yield made


@pytest.fixture
def experiment(workspace: Workspace, unique_name: str) -> str:
    with Source(workspace.upstream) as source:
        return source.experiment(f"/Shared/{unique_name}")


def entry(user: str, level: str) -> dict[str, Any]:
    return {"access_control_list": [{"user_name": user, "permission_level": level}]}


def held_by(document: dict[str, Any]) -> dict[str, str]:
    return {
        item["user_name"]: item["all_permissions"][0]["permission_level"]
        for item in document["access_control_list"]
    }


@pytest.mark.parametrize("token", ["", "dapi-nobody"])
def test_a_token_that_is_not_known_opens_nothing(workspace: Workspace, token: str) -> None:
    status, answer = Asking(workspace, token)("GET", "/api/2.0/mlflow/experiments/get")
    assert status in (401, 403)
    assert "experiment" not in answer


def test_patch_adds_and_put_replaces(workspace: Workspace, experiment: str) -> None:
    ask, path = Asking(workspace), f"/api/2.0/permissions/experiments/{experiment}"
    ask("PATCH", path, json=entry("ada", "CAN_READ"))
    _, both = ask("PATCH", path, json=entry("eve", "CAN_EDIT"))
    assert held_by(both) == {"ada": "CAN_READ", "eve": "CAN_EDIT"}
    _, one = ask("PUT", path, json=entry("eve", "CAN_READ"))
    assert held_by(one) == {"eve": "CAN_READ"}


def test_only_who_may_manage_sees_and_changes_permissions(
    workspace: Workspace, experiment: str
) -> None:
    path = f"/api/2.0/permissions/experiments/{experiment}"
    eve = Asking(workspace, "dapi-eve")
    assert eve("GET", path)[0] == 403
    assert eve("PATCH", path, json=entry("ada", "CAN_READ"))[0] == 403
    Asking(workspace)("PATCH", path, json=entry("eve", "CAN_MANAGE"))
    assert eve("PATCH", path, json=entry("ada", "CAN_READ"))[0] == 200


@pytest.mark.parametrize(
    ("user", "level", "status"), [("nobody", "CAN_READ", 404), ("ada", "CAN_FLY", 400)]
)
def test_unknown_principals_and_levels_are_refused(
    workspace: Workspace, experiment: str, user: str, level: str, status: int
) -> None:
    path = f"/api/2.0/permissions/experiments/{experiment}"
    assert Asking(workspace)("PATCH", path, json=entry(user, level))[0] == status


def test_permissions_of_what_is_not_there_are_not_found(workspace: Workspace) -> None:
    ask = Asking(workspace)
    assert ask("GET", "/api/2.0/permissions/experiments/999999")[0] == 404
    assert ask("GET", "/api/2.0/permissions/registered-models/beef")[0] == 404


def test_reserved_tags_and_names_that_are_no_paths_are_refused(
    workspace: Workspace, experiment: str
) -> None:
    ask = Asking(workspace)
    assert ask("POST", "/api/2.0/mlflow/experiments/create", json={"name": "fraud"})[0] == 400
    lost = {"name": "/nowhere/fraud"}
    assert ask("POST", "/api/2.0/mlflow/experiments/create", json=lost)[0] == 404
    tags = [{"key": "mlflow.rootRunId", "value": "x"}]
    run = {"experiment_id": experiment, "tags": tags}
    status, answer = ask("POST", "/api/2.0/mlflow/runs/create", json=run)
    assert (status, answer["message"]) == (400, "Cannot update tag 'mlflow.rootRunId'")


def test_a_run_belongs_to_whose_token_it_is(workspace: Workspace, experiment: str) -> None:
    body = {"experiment_id": experiment, "user_id": "somebody"}
    _, answer = Asking(workspace)("POST", "/api/2.0/mlflow/runs/create", json=body)
    assert answer["run"]["info"]["user_id"] == OWNER


def test_signed_urls_are_for_one_method_and_take_no_token(
    workspace: Workspace, experiment: str
) -> None:
    with Source(workspace.upstream) as source:
        run = source.run("train", experiment)
        source.artifact(run, "a.txt", b"abc")
    body = {"run_id": run, "path": ["a.txt"]}
    _, answer = Asking(workspace)(
        "POST", "/api/2.0/mlflow/artifacts/credentials-for-read", json=body
    )
    url = answer["credential_infos"][0]["signed_uri"]
    assert requests.get(url, timeout=30).content == b"abc"
    assert requests.put(url, data=b"x", timeout=30).status_code == 403
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(url, headers=headers, timeout=30).status_code == 400


def test_the_catalog_refuses_names_and_tags_by_its_rules(workspace: Workspace) -> None:
    ask, path = Asking(workspace), "/api/2.0/mlflow/unity-catalog/registered-models/create"
    assert ask("POST", path, json={"name": "churn"})[0] == 400
    assert ask("POST", path, json={"name": "main.nowhere.churn"})[0] == 404
    tags = [{"key": "mlflow.source.type", "value": "x"}]
    status, answer = ask("POST", path, json={"name": "main.ml.churn", "tags": tags})
    assert status == 400
    assert "reserved characters" in answer["message"]


def test_a_version_without_files_is_not_ready(workspace: Workspace) -> None:
    ask, path = Asking(workspace), "/api/2.0/mlflow/unity-catalog"
    ask("POST", f"{path}/registered-models/create", json={"name": "main.ml.empty"})
    version = {"name": "main.ml.empty", "source": "runs:/1/model"}
    _, answer = ask("POST", f"{path}/model-versions/create", json=version)
    assert answer["model_version"]["status"] == "PENDING_REGISTRATION"
    named = {"name": "main.ml.empty", "version": "1"}
    assert ask("POST", f"{path}/model-versions/finalize", json=named)[0] == 400
