"""Each kind that is a record: how one fills a server with it, and what a server shows of it.

What is shown is read over the raw REST API and shares no code with the tool.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

Json = dict[str, Any]


class Api:
    """The REST API of one server."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        #: Whether something that it holds is lost by every migration.
        self.lossy = False

    def __call__(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, api: str = "3.0"
    ) -> Json:
        """Send one request below ``/api/3.0/mlflow/``; a refusal is an error."""
        sent = {"params": body} if method == "GET" else {"json": body or {}}
        answer = requests.request(method, f"{self.uri}/api/{api}/mlflow/{path}", timeout=60, **sent)
        assert answer.ok, (path, answer.text)
        found: Json = answer.json()
        return found

    def maybe(self, method: str, path: str, body: Mapping[str, Any]) -> Json | None:
        """GET something that may not be there: None then."""
        url = f"{self.uri}/api/3.0/mlflow/{path}"
        answer = requests.request(method, url, params=body, timeout=60)
        return answer.json() if answer.ok else None

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
        # Servers from MLflow 3.18 on keep these, older ones leave them out of account.
        "last_seen_timestamp": 1_700_000_000_000,
        "metadata": {"team": "Ünïcödé ☃", "a/b": "c\nd"},
    }
    same = {"experiment_id": first, "name": "same", "description": "twice"}
    for body in (
        {"experiment_id": first, "name": "rude", "description": "It is rude.", **full},
        {"experiment_id": first, "name": "rude", "description": "It is rude again.\n" * 200},
        {**same, "severity": "low"},
        {**same, "severity": "medium", "status": "rejected"},
        {"experiment_id": second, "name": "same", "description": "twice"},
    ):
        made = api("POST", "issues", body)["issue"]
        if body.get("severity") == "low":
            touched = {"issue_id": made["issue_id"], "status": "pending", "last_updated_by": "bob"}
            api("PATCH", f"issues/{made['issue_id']}", touched)


def experiment_names(api: Api) -> dict[str, str]:
    found = api("POST", "experiments/search", {"max_results": 1000}, api="2.0")["experiments"]
    return {it["experiment_id"]: it["name"] for it in found}


def _issues(api: Api) -> list[Json]:
    found: list[Json] = api("POST", "issues/search", {"max_results": 1000}).get("issues", [])
    return found


def change_issue(api: Api) -> None:
    wanted = next(it for it in _issues(api) if it.get("severity") == "medium")
    changed = {"status": "resolved", "name": "renamed", "metadata": {"by": "the team"}}
    changed |= {"categories": ["cost"], "last_updated_by": "eve"}
    api("PATCH", f"issues/{wanted['issue_id']}", {"issue_id": wanted["issue_id"], **changed})


def own_issue(api: Api) -> None:
    body = {"experiment_id": api.experiment("support"), "name": "rude"}
    api("POST", "issues", {**body, "description": "It is rude.", "severity": "low"})


def issues_shown(api: Api) -> list[Json]:
    names = experiment_names(api)
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

#: More than one request has room for, in number and in bytes.
MANY_RECORDS = 450


def seed_datasets(api: Api) -> None:
    first, second = api.experiment("support"), api.experiment("search")
    golden = {
        "name": "golden",
        "experiment_ids": [first, second],
        "tags": json.dumps({"mlflow.user": "ada", "team/of.it": "Ünïcödé", "empty": ""}),
    }
    ident = api("POST", "datasets/create", golden)["dataset"]["dataset_id"]
    source = {"source_type": "TRACE", "source_data": {"trace_id": "tr-" + "1" * 32}}
    put_records(
        api,
        ident,
        {
            "inputs": {"question": "Why?", "deep": {"a": [1, None, 1.5, "☃"]}},
            "outputs": {"answer": "So."},
            "expectations": {"facts": ["one", "two"], "score": 0.5},
            "tags": {"mlflow.user": "grace", "kind": "hard"},
            "source": source,
        },
        {"inputs": {"n": 2**60}, "outputs": "a text", "expectations": {}},
        {"inputs": {}, "outputs": None, "source": {"source_type": "HUMAN", "source_data": {}}},
        {"inputs": {"long": "x" * 400_000}, "outputs": {}},
        {"inputs": {"long": "y" * 400_000}, "outputs": [1, 2]},
    )
    same = {"name": "golden", "experiment_ids": [second], "tags": "{}"}
    many = api("POST", "datasets/create", same)["dataset"]["dataset_id"]
    records = [{"inputs": {"number": n}, "outputs": n % 3} for n in range(MANY_RECORDS)]
    put_records(api, many, *records)
    api("POST", "datasets/create", {"name": "in none", "experiment_ids": [], "tags": "{}"})


def put_records(api: Api, ident: str, *records: Json) -> None:
    body = {"dataset_id": ident, "records": json.dumps(records)}
    api("POST", f"datasets/{ident}/records", body)


def _datasets(api: Api) -> list[Json]:
    found: list[Json] = api("POST", "datasets/search", {"max_results": 1000}).get("datasets", [])
    return found


def _records(api: Api, ident: str) -> list[Json]:
    shown = api("GET", f"datasets/{ident}/records", {"max_results": 50_000})["records"]
    found: list[Json] = json.loads(shown)
    return found


def _golden(api: Api) -> Json:
    return next(it for it in _datasets(api) if "team" in it["tags"])


def change_dataset(api: Api) -> None:
    """A record more, one less, one that has less, and a tag."""
    ident = _golden(api)["dataset_id"]
    hard = next(it for it in _records(api, ident) if "question" in it["inputs"])
    gone = next(it for it in _records(api, ident) if "n" in it["inputs"])
    body = {"dataset_record_ids": [hard["dataset_record_id"], gone["dataset_record_id"]]}
    api("DELETE", f"datasets/{ident}/records", body)
    less = {"inputs": hard["inputs"], "outputs": None, "expectations": {"score": 1}}
    put_records(api, ident, less, {"inputs": {"n": uuid.uuid4().hex}, "outputs": {"new": True}})
    tags = {"dataset_id": ident, "tags": json.dumps({"team/of.it": "other", "more": "1"})}
    api("PATCH", f"datasets/{ident}/tags", tags)


def datasets_shown(api: Api) -> list[Json]:
    names = experiment_names(api)
    given_out = ("dataset_record_id", "dataset_id", "created_time", "last_update_time")
    shown = []
    for dataset in _datasets(api):
        ident = dataset["dataset_id"]
        belongs = api("GET", f"datasets/{ident}/experiment-ids").get("experiment_ids", [])
        records = _records(api, ident)
        for record in records:
            for name in (*given_out, "last_updated_by"):
                record.pop(name, None)
        tags = json.loads(dataset["tags"])
        ours = {key for key in tags if key.startswith("mlflow-migrate.")}
        shown.append(
            {
                "name": dataset["name"],
                "tags": {key: value for key, value in tags.items() if key not in ours},
                "created_by": dataset.get("created_by"),
                "profile": json.loads(dataset.get("profile", "null")),
                "experiments": sorted(names[it] for it in belongs),
                "records": sorted(json.dumps(it, sort_keys=True) for it in records),
            }
        )
    return shown


DATASETS = Seeded(
    kind="evaluation dataset",
    count=3,
    seed=seed_datasets,
    change=change_dataset,
    own=None,
    shown=datasets_shown,
    create="/datasets/create$",
)

JUDGE = {"instructions": "Is {{ outputs }} polite?", "model": "openai:/gpt-4o"}


def _serialized(name: str, **data: Any) -> str:
    return json.dumps({"name": name, "serialization_version": 1, **data})


def register(api: Api, experiment_id: str, name: str, **data: Any) -> None:
    body = {"name": name, "serialized_scorer": _serialized(name, **data)}
    api("POST", "scorers/register", {"experiment_id": experiment_id, **body})


def _delete_version(api: Api, experiment_id: str, name: str, version: int) -> None:
    body = {"experiment_id": experiment_id, "name": name, "version": version}
    api("DELETE", "scorers/delete", body)


def seed_scorers(api: Api) -> None:
    first, second = api.experiment("support"), api.experiment("search")
    for number in range(1, 7):
        judge = {**JUDGE, "instructions": f"{JUDGE['instructions']} {number} ☃"}
        register(api, first, "polite", instructions_judge_pydantic_data=judge)
    for gap in (1, 3, 4):
        _delete_version(api, first, "polite", gap)
    builtin = {"builtin_scorer_class": "Safety", "builtin_scorer_pydantic_data": {"name": "s"}}
    for experiment in (first, second):
        register(api, experiment, "safety", **builtin)
    register(api, second, "safety", **builtin)
    online = {"experiment_id": first, "name": "safety", "sample_rate": 0.0}
    api("PUT", "scorers/online-config", {**online, "filter_string": "status = 'OK'"})


def change_scorer(api: Api) -> None:
    """A version more, and one less."""
    first = api.experiment("support")
    judge = {**JUDGE, "instructions": f"{{{{ outputs }}}}? {uuid.uuid4().hex}"}
    register(api, first, "polite", instructions_judge_pydantic_data=judge)
    asked = {"experiment_id": first, "name": "polite"}
    found = api("GET", "scorers/versions", asked)["scorers"]
    _delete_version(api, first, "polite", min(it["scorer_version"] for it in found))


def own_scorer(api: Api) -> None:
    judge = {**JUDGE, "instructions": "Is {{ outputs }} something else?"}
    register(api, api.experiment("support"), "polite", instructions_judge_pydantic_data=judge)


def scorers_shown(api: Api) -> list[Json]:
    names = experiment_names(api)
    shown = []
    for scorer in api("GET", "scorers/list").get("scorers", []):
        name, ident = scorer["scorer_name"], str(scorer["experiment_id"])
        found = api("GET", "scorers/versions", {"experiment_id": ident, "name": name})["scorers"]
        asked = {"scorer_ids": [scorer["scorer_id"]]}
        configs = api("GET", "scorers/online-configs", asked)["configs"]
        shown.append(
            {
                "experiment": names[ident],
                "name": name,
                "versions": {
                    str(it["scorer_version"]): json.loads(it["serialized_scorer"]) for it in found
                },
                "online": [[it["sample_rate"], it.get("filter_string")] for it in configs],
            }
        )
    return shown


SCORERS = Seeded(
    kind="scorer",
    count=3,
    seed=seed_scorers,
    change=change_scorer,
    own=own_scorer,
    shown=scorers_shown,
    create="/scorers/register$",
)

#: An address that is public, and needs no name service.
HOOK = "https://93.184.216.34/hook"


def seed_webhooks(api: Api) -> None:
    events = [
        {"entity": "REGISTERED_MODEL", "action": "CREATED"},
        {"entity": "MODEL_VERSION_TAG", "action": "SET"},
    ]
    full = {"description": "Tells the team. ☃", "secret": "hush", "status": "DISABLED"}
    for body in (
        {"name": "team", "url": HOOK, "events": events, **full},
        {"name": "team", "url": f"{HOOK}/2", "events": events[:1]},
        {"name": "twice", "url": HOOK, "events": events[1:]},
        {"name": "twice", "url": HOOK, "events": events[:1]},
    ):
        api("POST", "webhooks", body, api="2.0")


def _webhooks(api: Api) -> list[Json]:
    found: list[Json] = api("GET", "webhooks", {"max_results": 100}, api="2.0").get("webhooks", [])
    return found


def change_webhook(api: Api) -> None:
    ident = next(it["webhook_id"] for it in _webhooks(api) if "description" in it)
    body = {"webhook_id": ident, "description": uuid.uuid4().hex, "name": "renamed"}
    api("PATCH", f"webhooks/{ident}", body, api="2.0")


def own_webhook(api: Api) -> None:
    events = [{"entity": "PROMPT", "action": "CREATED"}]
    api("POST", "webhooks", {"name": "team", "url": HOOK, "events": events}, api="2.0")


def webhooks_shown(api: Api) -> list[Json]:
    given_out = ("webhook_id", "status", "creation_timestamp", "last_updated_timestamp")
    shown = [{k: v for k, v in it.items() if k not in given_out} for it in _webhooks(api)]
    for webhook in shown:
        webhook["events"].sort(key=json.dumps)
    return shown


WEBHOOKS = Seeded(
    kind="webhook",
    count=4,
    seed=seed_webhooks,
    change=change_webhook,
    own=own_webhook,
    shown=webhooks_shown,
    create="/webhooks$",
    losses=frozenset({"secret"}),
)
