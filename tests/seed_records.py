"""Each kind that is a record: how one fills a server with it, and what a server shows of it.

What is shown is read over the raw REST API and shares no code with the tool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

Json = dict[str, Any]


class Api:
    """The REST API of one server, and what was seeded in it by readable labels."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.ids: dict[str, str] = {}

    def __call__(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, api: str = "3.0"
    ) -> Json:
        """Send one request below ``/api/3.0/mlflow/``; a refusal is an error."""
        sent = {"params": body} if method == "GET" else {"json": body or {}}
        answer = requests.request(
            method, f"{self._uri}/api/{api}/mlflow/{path}", timeout=60, **sent
        )
        assert answer.ok, (path, answer.text)
        found: Json = answer.json()
        return found

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is made where there is none."""
        searched = {"max_results": 1000, "view_type": "ALL"}
        found = self("POST", "experiments/search", searched, api="2.0")
        ids = {it["name"]: it["experiment_id"] for it in found.get("experiments", [])}
        if name not in ids:
            ids[name] = self("POST", "experiments/create", {"name": name}, api="2.0")[
                "experiment_id"
            ]
        return str(ids[name])

    def run(self, experiment_id: str, name: str) -> str:
        """Return the id of a run, which is made where there is none."""
        searched = {"experiment_ids": [experiment_id], "run_view_type": "ALL"}
        found = self("POST", "runs/search", searched, api="2.0").get("runs", [])
        ids = {it["info"]["run_name"]: it["info"]["run_id"] for it in found}
        if name not in ids:
            body = {"experiment_id": experiment_id, "run_name": name, "start_time": 1}
            made = self("POST", "runs/create", body, api="2.0")
            ids[name] = made["run"]["info"]["run_id"]
            ended = {"run_id": ids[name], "status": "FINISHED", "end_time": 2}
            self("POST", "runs/update", ended, api="2.0")
        return str(ids[name])


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """A kind: ``seed`` fills a server with ``count`` objects, ``change`` changes one of them, and
    ``own`` makes one that differs and has the name of one of these; ``shown`` is all of them but
    what each server gives out itself. ``create`` is the route that makes one.
    """

    kind: str
    count: int
    seed: Callable[[Api], None]
    change: Callable[[Api], None]
    own: Callable[[Api], None] | None
    shown: Callable[[Api], list[Json]]
    create: str
    #: What is lost of each, by the names of losses.
    losses: frozenset[str] = frozenset()


def seed_issues(api: Api) -> None:
    first, second = api.experiment("support"), api.experiment("search")
    found_by = api.run(first, "looked for")
    full = {
        "severity": "high",
        "status": "resolved",
        "root_causes": ["the prompt", "Ünïcödé ☃"],
        "categories": ["tone", "safety"],
        "source_run_id": found_by,
        "created_by": "ada",
    }
    same = {"experiment_id": first, "name": "same", "description": "twice"}
    for body in (
        {"experiment_id": first, "name": "rude", "description": "It is rude.", **full},
        {"experiment_id": first, "name": "rude", "description": "It is rude again.\n" * 200},
        {**same, "severity": "low"},
        {**same, "severity": "medium", "status": "rejected"},
        {"experiment_id": second, "name": "same", "description": "twice"},
    ):
        api("POST", "issues", body)


def _issues(api: Api) -> list[Json]:
    found: list[Json] = api("POST", "issues/search", {"max_results": 1000}).get("issues", [])
    return found


def change_issue(api: Api) -> None:
    wanted = next(it for it in _issues(api) if it.get("severity") == "medium")
    changed = {"status": "resolved", "name": "renamed"}
    api("PATCH", f"issues/{wanted['issue_id']}", {"issue_id": wanted["issue_id"], **changed})


def own_issue(api: Api) -> None:
    body = {"experiment_id": api.experiment("support"), "name": "rude"}
    api("POST", "issues", {**body, "description": "It is rude.", "severity": "low"})


def issues_shown(api: Api) -> list[Json]:
    names = {
        it["experiment_id"]: it["name"]
        for it in api("POST", "experiments/search", {"max_results": 1000}, api="2.0")["experiments"]
    }
    shown = []
    for issue in _issues(api):
        kept = {
            key: value
            for key, value in issue.items()
            if key not in ("issue_id", "created_timestamp", "last_updated_timestamp")
        }
        kept["experiment_id"] = names[issue["experiment_id"]]
        if run_id := issue.get("source_run_id"):
            run = api("GET", "runs/get", {"run_id": run_id}, api="2.0")["run"]
            kept["source_run_id"] = run["info"]["run_name"]
        shown.append(kept)
    return shown


ISSUES = Seeded(
    kind="issue",
    count=5,
    seed=seed_issues,
    change=change_issue,
    own=own_issue,
    shown=issues_shown,
    create="/issues$",
)

SEEDED = (ISSUES,)
