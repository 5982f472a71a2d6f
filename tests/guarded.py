"""Tracking servers with MLflow's basic-auth app, of any version that has it, and their users."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from migrate.demo.server import TrackingServerProcess
from tests.conftest import ServerFactory

ADMIN = "admin"
#: With the characters that have to be written as %2F and so on in a URI.
ADMIN_PASSWORD = "t@rget:for/all#"
#: The names, on every version, of what grants are on.
OLD_PATHS = {
    "experiment": ("experiments/permissions", "experiment_id"),
    "registered_model": ("registered-models/permissions", "name"),
}
#: What is below the newer of both parts of the API.
NEWER = ("users/permissions", "roles", "workspaces", "scorers", "issues", "skills")
#: A thing that grants are on: a type and the id of one.
Thing = tuple[str, str]

CONFIG = """[mlflow]
default_permission = {default}
database_uri = sqlite:///{folder}/auth.db
admin_username = admin
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = false
auth_cache_ttl_seconds = 60
"""


def password_of(user: str) -> str:
    return ADMIN_PASSWORD if user == ADMIN else f"the password of {user}"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A running server with passwords; ``roles``: of a version in which grants are those of roles.

    Whoever has no grant on a thing may not even read it, unless the server was started otherwise.
    """

    server: TrackingServerProcess
    roles: bool = True

    @property
    def as_admin(self) -> str:
        return self.uri_as(ADMIN)

    def uri_as(self, user: str, *, at: str = "") -> str:
        """The URI with a user's name and password; ``at``: that of a proxy in front of it."""
        login = f"//{quote(user, safe='')}:{quote(password_of(user), safe='')}@"
        return (at or self.server.uri).replace("//", login)

    # -- what an administrator does ---------------------------------------------------------

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, user: str = ADMIN
    ) -> dict[str, Any]:
        """What the server answers; RuntimeError with its words when it refuses."""
        answer = self.ask(method, path, body, user)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, user: str = ADMIN
    ) -> requests.Response:
        sent: dict[str, Any] = {"params": body} if method == "GET" else {"json": body or {}}
        api = "3.0" if path.startswith(NEWER) else "2.0"
        address = f"{self.server.uri}/api/{api}/mlflow/{path}"
        login = (user, password_of(user))
        return requests.request(method, address, auth=login, timeout=60, **sent)

    def add_users(self, *names: str) -> None:
        for name in names:
            body = {"username": name, "password": password_of(name)}
            self.call("POST", "users/create", body)

    def experiment(self, name: str, **tags: str) -> Thing:
        body = {"name": name, "tags": [{"key": k, "value": v} for k, v in tags.items()]}
        return "experiment", str(self.call("POST", "experiments/create", body)["experiment_id"])

    def model(self, name: str) -> Thing:
        self.call("POST", "registered-models/create", {"name": name})
        return "registered_model", name

    def prompt(self, name: str) -> Thing:
        tag = {"key": "mlflow.prompt.is_prompt", "value": "true"}
        self.call("POST", "registered-models/create", {"name": name, "tags": [tag]})
        return "prompt" if self.roles else "registered_model", name

    def grant(self, user: str, thing: Thing, permission: str, *, again: bool = False) -> None:
        """Gives a user a permission; ``again``: in place of the one the user has."""
        said = {"username": user, "permission": permission}
        if self.roles:
            named = {"resource_type": thing[0], "resource_id": thing[1], "username": user}
            if again:
                self.call("POST", "users/permissions/revoke", named)
            self.call("POST", "users/permissions/grant", {**named, **said})
        else:
            path, key = OLD_PATHS[thing[0]]
            method, verb = ("PATCH", "update") if again else ("POST", "create")
            self.call(method, f"{path}/{verb}", {key: thing[1], **said})

    # -- what is there ----------------------------------------------------------------------

    def experiment_named(self, name: str) -> Thing:
        found = self.call("GET", "experiments/get-by-name", {"experiment_name": name})
        return "experiment", str(found["experiment"]["experiment_id"])

    def grants(self, thing: Thing, *users: str) -> dict[str, str]:
        """The permissions that users have on a thing by grants of their own."""
        return {user: held for user in users if (held := self._held(user, thing))}

    def _held(self, user: str, thing: Thing) -> str:
        if self.roles:
            told = self.ask("GET", "users/permissions/list", {"username": user})
            rows = told.json().get("permissions", ()) if told.ok else ()
            for row in rows:
                found = (row["resource_type"], row["resource_pattern"])
                if row["role_name"].startswith("__user_") and found == thing:
                    return str(row["permission"])
            return ""
        path, key = OLD_PATHS[thing[0]]
        answer = self.ask("GET", f"{path}/get", {key: thing[1], "username": user})
        word = {"experiment": "experiment_permission"}.get(thing[0], "registered_model_permission")
        return str(answer.json()[word]["permission"]) if answer.ok else ""

    def may_read(self, user: str, thing: Thing) -> bool:
        """Whether a user gets a thing, with the user's own password."""
        if thing[0] == "experiment":
            answer = self.ask("GET", "experiments/get", {"experiment_id": thing[1]}, user)
        else:
            answer = self.ask("GET", "registered-models/get", {"name": thing[1]}, user)
        assert answer.status_code in (200, 403), answer.text
        return answer.ok

    def may_tag(self, user: str, thing: Thing) -> bool:
        """Whether a user may set a tag on an experiment."""
        body = {"experiment_id": thing[1], "key": f"by {user}", "value": "x"}
        answer = self.ask("POST", "experiments/set-experiment-tag", body, user)
        assert answer.status_code in (200, 403), answer.text
        return answer.ok


def start_guarded(
    server_factory: ServerFactory,
    *,
    default: str = "NO_PERMISSIONS",
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> TrackingServerProcess:
    """A running server with the basic-auth app; ``options`` are those of the factory."""
    folder = options.pop("directory")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "auth.ini"
    config.write_text(CONFIG.format(folder=folder, default=default, password=ADMIN_PASSWORD))
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only for this test",
        **(environment or {}),
    }
    return server_factory(directory=folder, app_name="basic-auth", environment=variables, **options)


def start_both(start: Any, *names: Any) -> list[TrackingServerProcess]:
    """Starts servers at the same time, which takes no longer than one on an idle machine."""
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(start, names))
