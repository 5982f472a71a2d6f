"""Users and roles arrive where they are asked for: between servers with MLflow's basic-auth app."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate, everything_in
from tests.cli.test_workspaces import WITH_WORKSPACES
from tests.conftest import ProxyFactory, ServerFactory, StartMigrate
from tests.faults import Faults, drop_request, lose_response, on_nth
from tests.guarded import Guarded, Thing, start_guarded
from tests.processes import MigrateProcess

CREATE = ("POST", "/users/create$")
ODD = 'odd "name",\n\u2603'
EVERYONE = {"admin", "ana", "bob", "carol", ODD}


def roles(server: Guarded, workspace: str = "default") -> dict[str, dict[str, Any]]:
    """What each role permits, and whom, but for those that hold the grants of one user."""
    found = {
        it["name"]: {
            "description": it["description"],
            "permissions": {
                (row["resource_type"], row["resource_pattern"]): row["permission"]
                for row in it["permissions"]
            },
            "members": set(),
        }
        for it in server.call("GET", "roles/list", {"workspace": workspace})["roles"]
        if not it["name"].startswith("__user_")
    }
    for user in server.call("GET", "users/list")["users"]:
        for role in user["roles"]:
            if role["workspace"] == workspace and role["name"] in found:
                found[role["name"]]["members"].add(user["username"])
    return found


def admins(server: Guarded) -> dict[str, bool]:
    return {
        user["username"]: user["is_admin"] for user in server.call("GET", "users/list")["users"]
    }


def add_role(
    server: Guarded,
    name: str,
    members: tuple[str, ...],
    *grants: tuple[Thing, str],
    workspace: str = "default",
) -> None:
    body = {"name": name, "workspace": workspace, "description": f"The {name}."}
    ident = server.call("POST", "roles/create", body)["role"]["id"]
    for (resource_type, pattern), permission in grants:
        row = {"resource_type": resource_type, "resource_pattern": pattern}
        body = {"role_id": ident, **row, "permission": permission}
        server.call("POST", "roles/permissions/add", body)
    for member in members:
        server.call("POST", "roles/assign", {"username": member, "role_id": ident})


def passwords(path: Path) -> dict[str, str]:
    """The passwords in a file; no user may be there twice."""
    first, *lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    assert list(first) == ["mlflow-migrate"]
    names = [it["username"] for it in lines]
    assert len(names) == len(set(names))
    return {it["username"]: it["password"] for it in lines}


def log_in(server: Guarded, user: str, password: str) -> bool:
    """Whether the server knows a user by this password."""
    login = (user.encode(), password.encode())
    url = f"{server.server.uri}/api/2.0/mlflow/users/get"
    answer = requests.get(url, params={"username": user}, auth=login, timeout=60)
    assert answer.status_code in (200, 401), answer.text
    return answer.ok


@dataclass(frozen=True)
class Starts:
    """Starts servers with passwords, each once under its name."""

    factory: ServerFactory
    folder: Path

    def __call__(self, name: str, **options: Any) -> Guarded:
        return Guarded(start_guarded(self.factory, directory=self.folder / name, **options))


@pytest.fixture(scope="module")
def starts(server_factory: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Starts:
    return Starts(server_factory, tmp_path_factory.mktemp("guarded"))


@pytest.fixture(scope="module")
def source(starts: Starts) -> Guarded:
    """Two experiments and a model, four users and two roles."""
    server = starts("source")
    server.add_users("ana", "bob", "carol", ODD)
    server.call("PATCH", "users/update-admin", {"username": "ana", "is_admin": True})
    for name in ("padding", "also padding"):
        server.experiment(name)
    private, public = server.experiment("private"), server.experiment("public")
    model = server.model("churn")
    server.grant("bob", private, "EDIT")
    add_role(
        server,
        "analysts",
        ("bob", "carol"),
        (private, "READ"),
        (model, "EDIT"),
        (("experiment", "*"), "READ"),
        (("workspace", "*"), "USE"),
    )
    add_role(server, "nobody's", (), (public, "MANAGE"), (("experiment", "4711"), "MANAGE"))
    return server


@pytest.fixture(scope="module")
def target(starts: Starts) -> Guarded:
    return starts("target")


@pytest.fixture
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where passwords go: not to where all the rest of a migration is kept."""
    return tmp_path_factory.mktemp("passwords") / "of users"


def empty(server: Guarded) -> Guarded:
    """The same server without the users and roles of an earlier test."""
    for user in admins(server):
        if user != "admin":
            server.call("DELETE", "users/delete", {"username": user})
    for role in server.call("GET", "roles/list")["roles"]:
        if not role["name"].startswith("__user_"):
            server.call("DELETE", "roles/delete", {"role_id": role["id"]})
    return server


def assert_arrived(source: Guarded, target: Guarded, *members: str) -> None:
    """What the source has is on the target; of the roles, these users are made there."""
    assert admins(target) == admins(source)
    _, private = target.experiment_named("private")
    _, public = target.experiment_named("public")
    assert roles(target) == {
        "analysts": {
            "description": "The analysts.",
            "permissions": {
                ("experiment", private): "READ",
                ("experiment", "*"): "READ",
                ("registered_model", "churn"): "EDIT",
                ("workspace", "*"): "USE",
            },
            "members": set(members),
        },
        "nobody's": {
            "description": "The nobody's.",
            "permissions": {("experiment", public): "MANAGE"},
            "members": set(),
        },
    }


def losses(report: Mapping[str, Any]) -> set[str]:
    return {loss["what"] for loss in report["losses"]}


#: A permission on an experiment that the source does not have any more.
DANGLING = "permission on experiment 4711"


def test_users_and_roles_arrive_once_and_who_was_there_is_left_alone(
    source: Guarded,
    target: Guarded,
    migrate: Migrate,
    tmp_path: Path,
    file: Path,
    proxy_factory: ProxyFactory,
) -> None:
    empty(target).add_users("carol")
    proxy = proxy_factory(target.server.uri)
    ends = (source.as_admin, target.uri_as("admin", at=proxy.uri), "--users", file, "--permissions")
    plan = json.loads(migrate("plan", *ends, "--json").stdout)
    assert {it["id"] for it in plan["tasks"] if it["kind"] == "user"} == EVERYONE
    assert not file.exists()

    report = json.loads(migrate("run", *ends, "--json", code=3).stdout)
    assert report["failures"] == []
    assert losses(report) == {"member carol", DANGLING}
    assert_arrived(source, target, "bob")
    # Whom a permission is for is made before it is granted.
    assert target.grants(target.experiment_named("private"), "bob") == {"bob": "EDIT"}

    made = passwords(file)
    assert set(made) == {"ana", "bob", ODD}
    assert all(log_in(target, *it) for it in made.items())
    assert log_in(target, "carol", "the password of carol")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_bytes()
    elsewhere = everything_in(tmp_path)
    assert not any(it.encode() in elsewhere for it in made.values())

    for state in ("state.db", "another.db"):
        proxy.clear()
        migrate("run", *ends, "--state", tmp_path / state, code=3)
        migrate("run", *ends, "--state", tmp_path / state, code=3)
        assert [it.path for it in proxy.writes() if "experiment-tag" not in it.path] == []
        assert file.read_bytes() == text
    verified = json.loads(migrate("verify", *ends, "--json").stdout)
    assert (verified["compared"]["user"], verified["compared"]["role"]) == (5, 2)


def databases(server: Guarded, side: str) -> tuple[str, ...]:
    """Name the database of a server, its files and that of its users."""
    folder = server.server.directory
    (folder / "artifacts").mkdir(exist_ok=True)
    files = (f"--{side}-artifacts", str(folder / "artifacts"))
    return f"sqlite:///{folder / 'mlflow.db'}", *files, *auth(server, side)


def auth(server: Guarded, side: str) -> tuple[str, ...]:
    return f"--{side}-auth-database", f"sqlite:///{server.server.directory / 'auth.db'}"


def test_from_their_database_they_go_to_a_server_with_new_passwords(
    source: Guarded, target: Guarded, migrate: Migrate, file: Path
) -> None:
    empty(target)
    origin, *places = databases(source, "source")
    ends = (origin, target.as_admin, *places, "--users", file)
    report = json.loads(migrate("run", *ends, "--json", code=3).stdout)
    assert report["failures"] == []
    assert losses(report) == {DANGLING}
    assert_arrived(source, target, "bob", "carol")
    assert all(log_in(target, *it) for it in passwords(file).items())
    assert not log_in(target, "bob", "the password of bob")


@pytest.mark.thorough
def test_from_their_database_into_another_they_keep_their_passwords(
    source: Guarded, starts: Starts, migrate: Migrate, file: Path
) -> None:
    copy = starts("of databases")
    origin, *places = databases(source, "source")
    new, *new_places = databases(copy, "target")
    ends = (origin, new, *places, *new_places, "--users", file)
    report = json.loads(migrate("run", *ends, "--json", code=3).stdout)
    assert report["failures"] == []
    assert losses(report) == {DANGLING}
    assert_arrived(source, copy, "bob", "carol")
    assert all(log_in(copy, it, f"the password of {it}") for it in ("ana", "bob", "carol", ODD))
    assert not log_in(copy, "bob", "another password")
    assert not file.exists()
    again = migrate("run", *ends, code=3).stdout
    assert "Wrote nothing" in again


@pytest.mark.thorough
@pytest.mark.parametrize("accident", [drop_request, lose_response])
def test_killed_between_a_password_and_its_user_the_next_run_makes_each_user_once(
    source: Guarded,
    target: Guarded,
    migrate: Migrate,
    file: Path,
    start_migrate: StartMigrate,
    proxy_factory: ProxyFactory,
    accident: Any,
) -> None:
    empty(target)
    proxy = proxy_factory(target.server.uri)
    ends = (source.as_admin, target.uri_as("admin", at=proxy.uri))
    running: list[MigrateProcess] = []
    kill = accident(lambda: running[0].signal_group(signal.SIGKILL))
    proxy.faults = Faults(on_nth(CREATE, 2, kill))
    running.append(start_migrate("run", *ends, "--users", file, "--kinds", "users,roles"))
    assert running[0].wait(120) == -signal.SIGKILL
    before = passwords(file)
    assert len(before) >= 2

    proxy.faults = Faults(on_nth(CREATE, 1, lose_response()))
    migrate("run", "--resume", *ends, code=3)
    assert admins(target) == admins(source)
    made = passwords(file)
    assert made.items() >= before.items()
    assert set(made) == EVERYONE - {"admin"}
    assert all(log_in(target, *it) for it in made.items())


@pytest.mark.thorough
def test_they_go_through_a_directory_without_passwords(
    source: Guarded, target: Guarded, migrate: Migrate, file: Path, tmp_path: Path
) -> None:
    empty(target)
    export = tmp_path / "export"
    to = ("--source", source.as_admin, "--output-dir", export)
    migrate("export-all", *to, "--export-users")
    assert b"assword" not in everything_in(export)
    ends = ("--input-dir", export, "--target", target.as_admin, "--users", file, "--json")
    report = json.loads(migrate("import-all", *ends, code=3).stdout)
    assert losses(report) == {DANGLING}
    assert_arrived(source, target, "bob", "carol")
    assert set(passwords(file)) == EVERYONE - {"admin"}


def test_what_a_server_cannot_give_or_take_is_said(
    source: Guarded,
    target: Guarded,
    migrate: Migrate,
    file: Path,
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
) -> None:
    chosen = ("--users", file, "--kinds", "users,roles")
    open_to_all = source_server.uri
    plan = migrate("plan", open_to_all, target.as_admin, *chosen).stdout
    assert "no users are copied: " in plan
    migrate("run", open_to_all, target.as_admin, *chosen)

    shown = migrate("run", source.as_admin, fresh_target.uri, *chosen, code=3).stdout
    assert "5 users, 2 roles not copied" in shown

    source.add_users("dora")
    report = json.loads(
        migrate("run", source.uri_as("dora"), target.as_admin, *chosen, "--json", code=3).stdout
    )
    assert any("users is not known" in it for it in report["unknown"])
    source.call("DELETE", "users/delete", {"username": "dora"})
    assert not file.exists()


@pytest.mark.thorough
def test_the_roles_of_every_workspace_arrive_in_it_and_each_user_once(
    starts: Starts, migrate: Migrate, file: Path
) -> None:
    source, target = (starts(name, environment=WITH_WORKSPACES) for name in ("teams", "of teams"))
    source.add_users("ana", "bob")
    every = (("experiment", "*"), "READ")
    add_role(source, "analysts", ("ana",), every)
    for team in ("red", "blue"):
        source.call("POST", "workspaces", {"name": team})
    add_role(source, "analysts", ("bob",), every, workspace="red")
    add_role(source, "analysts", ("ana", "bob"), every, workspace="blue")

    ends = (source.as_admin, target.as_admin, "--all-workspaces", "--users", file)
    for _ in range(2):
        migrate("run", *ends)
        assert admins(target) == admins(source)
        assert set(passwords(file)) == {"ana", "bob"}
        for workspace in ("default", "red", "blue"):
            assert roles(source, workspace)["analysts"]["members"]
            assert roles(target, workspace) == roles(source, workspace)
    migrate("verify", *ends)
