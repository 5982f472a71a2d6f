"""Workspaces: one is copied, or all, and what has one name in two of them never mixes."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest
import requests

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source
from migrate.kinds import Kind
from tests.cli.conftest import Migrate, Typed
from tests.conftest import ProxyFactory, ServerFactory
from tests.faults import Fault, Faults, always, answer, answer_with
from tests.seed import START
from tests.seed_models import ModelSource

HEADER = "X-MLFLOW-WORKSPACE"
WITH_WORKSPACES = {"MLFLOW_ENABLE_WORKSPACES": "true"}
TEAMS = ("default", "team-a", "team-b")


class InWorkspace(ModelSource):
    """Fills one workspace of a server."""

    def __init__(self, uri: str, name: str) -> None:
        super().__init__(uri)
        self.name = name
        self._session.headers[HEADER] = name


def call(server: TrackingServerProcess, method: str, path: str, body: Any = None) -> Any:
    """Call the server below ``/api/3.0/mlflow/``."""
    uri = f"{server.uri}/api/3.0/mlflow/{path}"
    answer = requests.request(method, uri, json=body, timeout=60)
    answer.raise_for_status()
    return answer.json()


def seed(server: TrackingServerProcess, name: str) -> None:
    """The same names in each workspace, and values that tell which it is."""
    with InWorkspace(server.uri, name) as source:
        experiment = source.experiment("churn", tags={"of": name})
        run = source.run("train", experiment, tags={"of": name})
        source.metrics(run, [("loss", float(len(name)), START, 0)])
        source.artifact(run, "plots/a.txt", name.encode())
        source.registered("trees", description=f"those of {name}")
        source.version("trees", f"runs:/{run}/plots", run_id=run)


def shown(server: TrackingServerProcess, name: str) -> dict[str, Any]:
    """What a workspace of a server shows, read without any code of the tool."""
    headers = {HEADER: name} if name else {}

    def get(path: str, **query: str) -> Any:
        uri = f"{server.uri}/api/2.0/{path}"
        answer = requests.get(uri, params=query, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer

    found = get("mlflow/experiments/get-by-name", experiment_name="churn").json()["experiment"]
    searched = requests.post(
        f"{server.uri}/api/2.0/mlflow/runs/search",
        json={"experiment_ids": [found["experiment_id"]]},
        headers=headers,
        timeout=60,
    ).json()
    (run,) = searched["runs"]
    run_id = run["info"]["run_id"]
    file = requests.get(
        f"{server.uri}/get-artifact",
        params={"run_uuid": run_id, "path": "plots/a.txt"},
        headers=headers,
        timeout=60,
    )
    model = get("mlflow/registered-models/get", name="trees").json()["registered_model"]
    version = get("mlflow/model-versions/get", name="trees", version="1").json()["model_version"]
    return {
        "experiment": {it["key"]: it["value"] for it in found["tags"]}["of"],
        "run": {it["key"]: it["value"] for it in run["data"]["tags"]}["of"],
        "loss": run["data"]["metrics"][0]["value"],
        "file": file.text,
        "model": model["description"],
        "version of its run": version["run_id"] == run_id,
    }


def expected(name: str) -> dict[str, Any]:
    return {
        "experiment": name,
        "run": name,
        "loss": float(len(name)),
        "file": name,
        "model": f"those of {name}",
        "version of its run": True,
    }


@pytest.fixture(scope="module")
def source(server_factory: ServerFactory) -> TrackingServerProcess:
    server = server_factory(environment=WITH_WORKSPACES)
    call(server, "POST", "workspaces", {"name": "team-a", "description": "the first"})
    call(server, "POST", "workspaces", {"name": "team-b"})
    for name in TEAMS:
        seed(server, name)
    return server


def test_all_are_copied_mapped_and_unmapped_and_a_second_run_writes_nothing(
    migrate: Migrate, source: TrackingServerProcess, server_factory: ServerFactory
) -> None:
    target = server_factory(environment=WITH_WORKSPACES)
    every = (source.uri, target.uri, "--all-workspaces", "--workspace-map", "team-b=moved")
    planned = json.loads(migrate("plan", *every, "--json").stdout)
    assert [(it["target"], it["exists"]) for it in planned] == [
        ("default", True),
        ("team-a", False),
        ("moved", False),
    ]
    for it in planned:
        actions = {task["kind"]: task["action"] for task in it["plan"]["tasks"]}
        assert actions["run"] == actions["registered model"] == "create"
    assert "workspace moved is not there: migrate run makes it" in str(planned[2]["plan"]["notes"])
    assert len(call(target, "GET", "workspaces")["workspaces"]) == 1
    migrate("verify", *every, code=3)
    said = migrate("run", *every).stdout
    assert "workspace team-b -> moved" in said
    made = {it["name"]: it for it in call(target, "GET", "workspaces")["workspaces"]}
    assert made.keys() == {"default", "team-a", "moved"}
    assert made["team-a"]["description"] == "the first"
    for old, new in (("default", "default"), ("team-a", "team-a"), ("team-b", "moved")):
        assert shown(target, new) == expected(old)
    migrate("verify", *every)

    again = json.loads(migrate("run", *every, "--json").stdout)
    wrote = [totals["wrote"] for it in again for totals in it["report"]["totals"].values()]
    assert len(wrote) > 3
    assert set(wrote) == {0}


@pytest.mark.thorough
def test_one_goes_into_a_server_without_and_back_into_another(
    migrate: Migrate,
    source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    server_factory: ServerFactory,
) -> None:
    migrate("run", source.uri, fresh_target.uri, "--source-workspace", "team-a")
    assert shown(fresh_target, "") == expected("team-a")
    migrate("verify", source.uri, fresh_target.uri, "--source-workspace", "team-a")
    back = server_factory(environment=WITH_WORKSPACES)
    call(back, "POST", "workspaces", {"name": "team-x"})
    migrate("run", fresh_target.uri, back.uri, "--target-workspace", "team-x")
    assert shown(back, "team-x") == expected("team-a")
    migrate("run", "--resume")


def test_those_that_no_call_sees_are_counted(
    typed: Typed, source: TrackingServerProcess, fresh_target: TrackingServerProcess
) -> None:
    planned = json.loads(typed("plan", source.uri, fresh_target.uri, "--json").stdout)
    assert planned["unsupported"]["workspace"] == 2
    chosen = typed("plan", source.uri, fresh_target.uri, "--source-workspace", "default", "--json")
    assert "workspace" not in json.loads(chosen.stdout)["unsupported"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--source-workspace", "nobody"], "has no workspace 'nobody'"),
        (["--target-workspace", "team-a"], "has no workspaces"),
        (["--all-workspaces"], "has no workspaces"),
        (["--workspace-map", "a=b"], "--workspace-map is about all"),
        (["--source-workspace", "a\nb"], "is no name of a workspace"),
        (["--target-workspace", "é"], "is no name of a workspace"),
        (["--all-workspaces", "--source-workspace", "team-a"], "one was named"),
    ],
)
def test_what_makes_no_sense_is_told(
    typed: Typed,
    source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    options: list[str],
    says: str,
) -> None:
    typed.fails("run", source.uri, fresh_target.uri, *options, code=2, says=says)


@pytest.mark.thorough
def test_two_into_one_and_names_that_are_not_there_are_refused(
    typed: Typed, source: TrackingServerProcess, server_factory: ServerFactory
) -> None:
    target = server_factory(environment=WITH_WORKSPACES)
    every = ("run", source.uri, target.uri, "--all-workspaces", "--workspace-map")
    typed.fails(*every, "team-a=team-b", code=2, says="would be mixed")
    typed.fails(*every, "nobody=team-b", code=2, says="no workspace 'nobody'")
    typed.fails(*every, "team-a", code=2, says="is not OLD=NEW")
    assert len(call(target, "GET", "workspaces")["workspaces"]) == 1


@pytest.mark.parametrize("route", ["server-info", "workspaces"])
@pytest.mark.parametrize(
    "fault",
    [
        answer(404),
        answer(403),
        answer_with("{}"),
        answer_with('{"workspaces": [{"name": "a\\nb"}], "store_type": "x"}'),
    ],
    ids=["404", "403", "empty", "odd"],
)
def test_what_hides_them_makes_it_not_known_whether_there_are_others(
    source: TrackingServerProcess, proxy_factory: ProxyFactory, route: str, fault: Fault
) -> None:
    proxy = proxy_factory(source.uri)
    proxy.faults = Faults(always(("GET", f"/mlflow/{route}$"), fault))
    with closing(open_source(Address(uri=proxy.uri, side="source"))) as opened:
        counted = opened.unsupported([], whole_server=True)
        said = [text for text in opened.unknown() if "workspaces" in text]
    assert not counted.get(Kind.WORKSPACE)
    assert len(said) == 1, said


def test_a_directory_has_none(typed: Typed, source: TrackingServerProcess, tmp_path: Any) -> None:
    into = (source.uri, tmp_path / "export")
    typed.fails("run", *into, "--target-workspace", "x", code=2, says="has no workspaces")
    typed("run", *into, "--source-workspace", "team-b")
    assert (tmp_path / "export").is_dir()


def test_one_goes_through_a_directory_by_the_six_commands(
    typed: Typed, source: TrackingServerProcess, server_factory: ServerFactory, tmp_path: Any
) -> None:
    export = ("--output-dir", tmp_path / "export")
    typed("export-all", "--source", source.uri, *export, "--source-workspace", "team-b")
    target = server_factory(environment=WITH_WORKSPACES)
    into = ("--input-dir", tmp_path / "export", "--target", target.uri)
    named = ("--target-workspace", "team-x")
    hint = "make it first"
    typed.fails("import-all", *into, *named, code=2, says="no workspace 'team-x'", hints=hint)
    call(target, "POST", "workspaces", {"name": "team-x"})
    typed("import-all", *into, *named)
    assert shown(target, "team-x") == expected("team-b")
