"""The workspace's HTTP server: who asks is checked, then each part answers for its paths."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import requests

from tests.databricks.accounts import LEVELS, Accounts, Grants
from tests.databricks.answers import Answer, Asked, Refusal, as_json
from tests.databricks.catalog import Catalog
from tests.databricks.files import SignedFiles
from tests.databricks.mlflow_rules import (
    check_experiment_name,
    check_experiment_tags,
    check_limits,
    check_run_tags,
    own_tags,
    to_client,
    to_server,
)
from tests.databricks.notebooks import Notebooks

MLFLOW = "/api/2.0/mlflow"
TOKEN = "dapi-0123456789-secret"
OWNER = "owner@example.com"
PROXIED = "/api/2.0/mlflow-artifacts/artifacts"


class Workspace:
    """A workspace in front of the MLflow server at ``upstream``; a context manager.

    ``OWNER`` is an administrator and has ``TOKEN``. ``refuse`` is asked about every request first:
    what it raises is the answer. ``loses`` is asked when a request has been carried out: where it
    says so, no answer is sent. ``log`` has the method and path of each request.
    """

    def __init__(self, upstream: str, *, token: str = TOKEN) -> None:
        self.upstream = upstream.rstrip("/")
        self.token = token
        self.accounts = Accounts(tokens={token: OWNER}, admins={OWNER}, users={OWNER})
        self.grants = Grants(self.accounts)
        self.notebooks = Notebooks()
        self.catalog = Catalog(self.accounts)
        self.signed = SignedFiles()
        self.webhooks: list[str] = []
        self.refuse: Callable[[Asked], None] = lambda asked: None
        self.loses: Callable[[str, str], bool] = lambda method, path: False
        self.log: list[tuple[str, str]] = []
        self._session = requests.Session()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._session.close()

    @property
    def host(self) -> str:
        """What DATABRICKS_HOST is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """Variables by which ``databricks`` is this workspace."""
        return {"DATABRICKS_HOST": self.host, "DATABRICKS_TOKEN": self.token}

    def profile(self, name: str) -> str:
        """The same as a section of ``~/.databrickscfg``."""
        return f"[{name}]\nhost = {self.host}\ntoken = {self.token}\n"

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Asks the MLflow server behind the workspace, past its rules."""
        response = self._session.request(method, self.upstream + path, timeout=60, **options)
        if response.status_code >= 400:
            error = response.json()
            raise Refusal(response.status_code, error["error_code"], error["message"])
        return response.json()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answers one request. Raises ``Refusal``."""
        parts = urlsplit(target)
        self.log.append((method, parts.path))
        authorization = headers.get("authorization", "")
        if parts.path.startswith("/signed/"):
            key = parts.path.rpartition("/")[2]
            return self._signed_file(method, self.signed.place(method, key, authorization), body)
        if parts.path.startswith("/catalog-files/"):
            return self.catalog.signed_file(method, parts.path.rpartition("/")[2], body)
        if parts.path.startswith("/.well-known/"):
            raise Refusal(404, "ENDPOINT_NOT_FOUND", "not found")
        user = self.accounts.user_of(authorization)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Asked(method, unquote(parts.path), user, params, body, headers)
        self.refuse(asked)
        if asked.path.startswith(f"{MLFLOW}/") and body:
            check_limits(asked.path, len(body), asked.json())
        for pattern, answers in self._routes():
            if found := re.fullmatch(pattern, f"{method} {asked.path}"):
                return answers(asked, *found.groups())
        if not asked.path.startswith((f"{MLFLOW}/", "/api/3.0/mlflow/")):
            raise Refusal(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {asked.path}'")
        return self._forward(asked, parts.query)

    def _routes(self) -> tuple[tuple[str, Callable[..., Answer]], ...]:
        permissions = "/api/2.0/permissions/(experiments|registered-models)/([^/]+)"
        return (
            (f"GET {permissions}", self._permissions),
            (f"GET {permissions}/permissionLevels", self._levels),
            (f"(?:PATCH|PUT) {permissions}", self._change_permissions),
            (f"GET {MLFLOW}/databricks/registered-models/get", self._registered_model),
            ("GET /api/2.0/workspace/export", self.notebooks.export),
            ("POST /api/2.0/workspace/mkdirs", self.notebooks.make_folder),
            (f"POST {MLFLOW}/artifacts/credentials-for-(read|write)", self._run_files),
            (
                f"POST {MLFLOW}/logged-models/([^/]+)/artifacts/credentials-for-(download|upload)",
                self._model_files,
            ),
            (f"GET {MLFLOW}/registry-webhooks/list", self._webhooks),
            (f"POST {MLFLOW}/experiments/create", self._create_experiment),
            (f"POST {MLFLOW}/experiments/set-experiment-tag", self._tag_experiment),
            (f"POST {MLFLOW}/runs/create", self._create_run),
            (f"POST {MLFLOW}/runs/(?:log-batch|set-tag)", self._tag_run),
            *self.catalog.routes(self.host),
        )

    # -- permissions ------------------------------------------------------------------------

    def _folders(self, kind: str, ident: str) -> list[str]:
        """What an object inherits from. Refuses objects that are not there."""
        if kind == "registered-models":
            if ident not in map(_model_id, self._model_names()):
                raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"{kind} {ident} does not exist")
            return [""]
        found = self.call("GET", f"{MLFLOW}/experiments/get", params={"experiment_id": ident})
        parts = found["experiment"]["name"].split("/")[:-1]
        return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]

    def _model_names(self) -> list[str]:
        answer = self.call("GET", f"{MLFLOW}/registered-models/search", params={"max_results": 500})
        return [model["name"] for model in answer.get("registered_models", ())]

    def _permissions(self, asked: Asked, kind: str, ident: str) -> Answer:
        folders = self._folders(kind, ident)
        self.grants.check_manages(asked.user, kind, ident, folders)
        return as_json(self.grants.document(kind, ident, folders))

    def _levels(self, asked: Asked, kind: str, ident: str) -> Answer:
        self._folders(kind, ident)
        levels = [{"permission_level": it, "description": it.lower()} for it in LEVELS[kind]]
        return as_json({"permission_levels": levels})

    def _change_permissions(self, asked: Asked, kind: str, ident: str) -> Answer:
        folders = self._folders(kind, ident)
        self.grants.check_manages(asked.user, kind, ident, folders)
        self.grants.change(asked.method, kind, ident, asked.json())
        return as_json(self.grants.document(kind, ident, folders))

    def _registered_model(self, asked: Asked) -> Answer:
        name = asked.params["name"]
        self.call("GET", f"{MLFLOW}/registered-models/get", params={"name": name})
        found = {"id": _model_id(name), "name": name, "permission_level": "CAN_MANAGE"}
        return as_json({"registered_model_databricks": found})

    def _webhooks(self, asked: Asked) -> Answer:
        """A page of two at a time, as MLflow's searches have them."""
        first = int(asked.params.get("page_token", "0"))
        page = [{"id": name, "events": []} for name in self.webhooks[first : first + 2]]
        more = {"next_page_token": str(first + 2)} if first + 2 < len(self.webhooks) else {}
        return as_json({**({"webhooks": page} if page else {}), **more})

    # -- MLflow's own calls -----------------------------------------------------------------

    def _create_experiment(self, asked: Asked) -> Answer:
        body = asked.json()
        check_experiment_name(body["name"], self.notebooks.folders)
        check_experiment_tags(body.get("tags", ()))
        own = own_tags(body["name"], asked.user)
        given = [tag for tag in body.get("tags", ()) if tag["key"] not in {it["key"] for it in own}]
        answer = self._forward(asked, "", {**body, "tags": given + own})
        ident = json.loads(answer.content)["experiment_id"]
        self.grants.direct[("experiments", ident)] = {("user_name", asked.user): "CAN_MANAGE"}
        return answer

    def _tag_experiment(self, asked: Asked) -> Answer:
        check_experiment_tags([asked.json()])
        return self._forward(asked, "")

    def _create_run(self, asked: Asked) -> Answer:
        body = asked.json()
        check_run_tags(body.get("tags", ()))
        tags = [*body.get("tags", ()), {"key": "mlflow.user", "value": asked.user}]
        return self._forward(asked, "", {**body, "user_id": asked.user, "tags": tags})

    def _tag_run(self, asked: Asked) -> Answer:
        body = asked.json()
        check_run_tags([body] if "key" in body else body.get("tags", ()))
        return self._forward(asked, "")

    def _forward(self, asked: Asked, query: str, body: Mapping[str, Any] | None = None) -> Answer:
        content = asked.body if body is None else json.dumps(body).encode()
        path = asked.path + (f"?{query}" if query else "")
        response = self._session.request(
            asked.method,
            self.upstream + path,
            data=to_server(content.decode()).encode(),
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        text = to_client(response.text).encode()
        kind = response.headers.get("Content-Type", "")
        return Answer(text, kind, response.status_code)

    # -- files ------------------------------------------------------------------------------

    def _run_files(self, asked: Asked, verb: str) -> Answer:
        body = asked.json()
        params = {"run_id": body["run_id"]}
        run = self.call("GET", f"{MLFLOW}/runs/get", params=params)["run"]
        method = "GET" if verb == "read" else "PUT"
        infos = [
            self.signed.credentials(self.host, run["info"]["artifact_uri"], path, method) | params
            for path in body["path"]
        ]
        return as_json({"credential_infos": infos})

    def _model_files(self, asked: Asked, model_id: str, verb: str) -> Answer:
        model = self.call("GET", f"{MLFLOW}/logged-models/{model_id}")["model"]
        root, method = model["info"]["artifact_uri"], "GET" if verb == "download" else "PUT"
        infos = [
            {"credential_info": self.signed.credentials(self.host, root, path, method)}
            for path in asked.json()["paths"]
        ]
        return as_json({"credentials": infos})

    def _signed_file(self, method: str, place: str, body: bytes) -> Answer:
        url = f"{self.upstream}{PROXIED}/{quote(place)}"
        response = self._session.request(method, url, data=body, timeout=60)
        return Answer(response.content, "application/octet-stream", response.status_code)


def _model_id(name: str) -> str:
    return name.encode().hex()


def _handler_of(workspace: Workspace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {key.lower(): value for key, value in self.headers.items()}
            more: dict[str, str] = {}
            try:
                answer = workspace.answer(self.command, self.path, headers, body)
            except Refusal as refusal:
                error = {"error_code": refusal.code, "message": refusal.message}
                answer = Answer(json.dumps(error).encode(), status=refusal.status)
                more = refusal.headers
            if workspace.loses(self.command, urlsplit(self.path).path):
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.content)))
            for key, value in more.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the tests' output clean."""

    return Handler
