"""What was added to copies on the target stays there, whatever the source does; a repair alone
takes it off."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ServerFactory
from tests.seed_gateway import Gateway
from tests.seed_mcp import make_version
from tests.seed_records import JUDGE, Api, put_records, register
from tests.seed_reviews import add, make_queue, make_traces, open_questions, set_status

SERVER = "com.example/weather"


def judge(api: Api, experiment: str, words: str) -> None:
    said = {**JUDGE, "instructions": f"{{{{ outputs }}}}? {words}"}
    register(api, experiment, "polite", instructions_judge_pydantic_data=said)


def judges(api: Api) -> Any:
    asked = {"experiment_id": api.experiment("support"), "name": "polite"}
    found = api("GET", "scorers/versions", asked)["scorers"]
    return {
        it["scorer_version"]: json.loads(it["serialized_scorer"])[
            "instructions_judge_pydantic_data"
        ]["instructions"].partition("? ")[2]
        for it in found
    }


def server(api: Api) -> Any:
    versions = api("GET", f"mcp-servers/{SERVER}/versions")["mcp_server_versions"]
    found = api("GET", f"mcp-servers/{SERVER}")
    tags = {f"tag {key}": value for key, value in found.get("tags", {}).items()}
    aliases = {f"alias {it['alias']}": it["version"] for it in found.get("aliases", [])}
    addresses = sorted(it["url"] for it in found.get("access_endpoints", []))
    return {
        "versions": sorted(it["version"] for it in versions),
        "title": found.get("display_name"),
        "addresses": addresses,
        **tags,
        **aliases,
    }


def dataset_of(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api("POST", "datasets/search", {"max_results": 10})["datasets"][0]
    return found


def tag_dataset(api: Api, **tags: str) -> None:
    ident = dataset_of(api)["dataset_id"]
    body = {"dataset_id": ident, "tags": json.dumps(tags)}
    api("PATCH", f"datasets/{ident}/tags", body)


def record(api: Api, question: str) -> None:
    put_records(api, dataset_of(api)["dataset_id"], {"inputs": {"q": question}})


def dataset(api: Api) -> Any:
    found = dataset_of(api)
    records = json.loads(api("GET", f"datasets/{found['dataset_id']}/records")["records"])
    tags = {k: v for k, v in json.loads(found["tags"]).items() if "mlflow" not in k}
    return {"records": sorted(it["inputs"]["q"] for it in records), **tags}


def queue_of(api: Api) -> dict[str, Any]:
    asked = {"experiment_id": api.experiment("support")}
    found = api("GET", "review-queues/list", asked)["review_queues"]
    one: dict[str, Any] = next(it for it in found if it["name"] == "Weekly")
    return one


def traces_of(api: Api) -> list[str]:
    asked = {"locations": [place(api)], "max_results": 100, "order_by": ["timestamp_ms ASC"]}
    return sorted(it["trace_id"] for it in api("POST", "traces/search", asked)["traces"])


def place(api: Api) -> dict[str, Any]:
    where = {"experiment_id": api.experiment("support")}
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": where}


def queue(api: Api) -> Any:
    found = queue_of(api)
    items = api("GET", "review-queues/items/list", {"queue_id": found["queue_id"]})["items"]
    known = traces_of(api)
    return {
        "users": sorted(found.get("users", [])),
        "items": {known.index(it["item_id"]): it["status"] for it in items},
    }


def tag_trace(api: Api, key: str, value: str) -> None:
    api("PATCH", f"traces/{traces_of(api)[0]}/tags", {"key": key, "value": value})


def rate_trace(api: Api, name: str) -> None:
    ident = traces_of(api)[0]
    said = {"assessment_name": name, "feedback": {"value": True}, "trace_id": ident}
    source = {"source_type": "HUMAN", "source_id": "ada"}
    api("POST", f"traces/{ident}/assessments", {"assessment": {**said, "source": source}})


def trace(api: Api) -> Any:
    found = api("GET", f"traces/{traces_of(api)[0]}")["trace"]["trace_info"]
    tags = {key: it for key, it in found.get("tags", {}).items() if "mlflow" not in key}
    return {**tags, "said": sorted(it["assessment_name"] for it in found.get("assessments", ()))}


def issue_of(api: Api) -> dict[str, Any]:
    asked = {"experiment_id": api.experiment("support"), "max_results": 10}
    found: dict[str, Any] = api("POST", "issues/search", asked)["issues"][0]
    return found


def change_issue(api: Api, **changed: Any) -> None:
    ident = issue_of(api)["issue_id"]
    api("PATCH", f"issues/{ident}", {"issue_id": ident, **changed})


def issue(api: Api) -> Any:
    return {key: issue_of(api).get(key) for key in ("status", "severity")}


def guard(api: Api, name: str) -> None:
    """Put the guardrail before another endpoint too."""
    endpoints = api("GET", "gateway/endpoints/list")["endpoints"]
    [guardrail] = api("GET", "gateway/guardrails/list")["guardrails"]
    ident = next(it["endpoint_id"] for it in endpoints if it["name"] == name)
    body = {"endpoint_id": ident, "guardrail_id": guardrail["guardrail_id"]}
    api("POST", "gateway/guardrails/add-to-endpoint", body)


def tag_endpoint(api: Api, key: str) -> None:
    endpoints = api("GET", "gateway/endpoints/list")["endpoints"]
    ident = next(it["endpoint_id"] for it in endpoints if it["name"] == "chat")
    api("POST", "gateway/endpoints/set-tag", {"endpoint_id": ident, "key": key, "value": key})


def gateway(api: Api) -> Any:
    found: dict[str, Any] = {}
    for endpoint in api("GET", "gateway/endpoints/list")["endpoints"]:
        asked = {"endpoint_id": endpoint["endpoint_id"]}
        configs = api("GET", "gateway/guardrails/list-for-endpoint", asked).get("configs", [])
        tags = sorted(it["key"] for it in endpoint.get("tags", []))
        found[endpoint["name"]] = (len(configs), tags)
    return found


@dataclass(frozen=True)
class Case:
    """A kind: what was ``added`` to its copy, what ``changed`` at the source, what is ``shown``.

    Then what it shows after both, and after a repair.
    """

    name: str
    add: Callable[[Api], object]
    change: Callable[[Api], object]
    shown: Callable[[Api], Any]
    both: Any
    repaired: Any


def add_to_server(api: Api) -> None:
    make_version(api, SERVER, "9.0.0", status="active")
    api("POST", f"mcp-servers/{SERVER}/tags", {"key": "mine", "value": "1"})
    api("POST", f"mcp-servers/{SERVER}/aliases", {"alias": "mine", "version": "9.0.0"})
    api("PATCH", f"mcp-servers/{SERVER}", {"display_name": "said here"})
    where = {"url": "https://93.184.216.34/mine", "server_version": "9.0.0"}
    api("POST", f"mcp-servers/{SERVER}/endpoints", where)


def add_to_queue(api: Api) -> None:
    found = queue_of(api)
    users = {"update_users": True, "users": [*found.get("users", []), "mine"]}
    api("POST", "review-queues/update", {"queue_id": found["queue_id"], **users})
    add(api, found["queue_id"], traces_of(api)[2])
    set_status(api, found["queue_id"], traces_of(api)[0], "COMPLETE", "mine")


CASES = (
    Case(
        "scorer",
        lambda api: judge(api, api.experiment("support"), "mine"),
        lambda api: [judge(api, api.experiment("support"), it) for it in ("three", "four")],
        judges,
        {1: "one", 2: "two", 3: "mine", 4: "four"},
        {1: "one", 2: "two", 3: "three", 4: "four"},
    ),
    Case(
        "MCP server",
        add_to_server,
        lambda api: make_version(api, SERVER, "2.0.0", status="active"),
        server,
        {
            "versions": ["1.0.0", "2.0.0", "9.0.0"],
            "title": "said here",
            "addresses": ["https://93.184.216.34/mine"],
            "tag mine": "1",
            "alias mine": "9.0.0",
        },
        {"versions": ["1.0.0", "2.0.0"], "title": None, "addresses": []},
    ),
    Case(
        "evaluation dataset",
        lambda api: [record(api, "mine"), tag_dataset(api, mine="1")],
        lambda api: [record(api, "second"), tag_dataset(api, b="2")],
        dataset,
        {"records": ["first", "mine", "second"], "a": "1", "b": "2", "mine": "1"},
        {"records": ["first", "second"], "a": "1", "b": "2"},
    ),
    Case(
        "review queue",
        add_to_queue,
        lambda api: add(api, queue_of(api)["queue_id"], traces_of(api)[1]),
        queue,
        {"users": ["ada", "mine"], "items": {0: "COMPLETE", 1: "PENDING", 2: "PENDING"}},
        {"users": ["ada"], "items": {0: "PENDING", 1: "PENDING"}},
    ),
    Case(
        "trace",
        lambda api: [tag_trace(api, "mine", "1"), rate_trace(api, "mine")],
        lambda api: [tag_trace(api, "b", "2"), rate_trace(api, "second")],
        trace,
        {"b": "2", "mine": "1", "said": ["mine", "second"]},
        {"b": "2", "said": ["mine", "second"]},
    ),
    Case(
        "issue",
        lambda api: change_issue(api, status="resolved"),
        lambda api: change_issue(api, severity="high"),
        issue,
        {"status": "resolved", "severity": "high"},
        {"status": "pending", "severity": "high"},
    ),
    Case(
        "gateway",
        lambda api: [guard(api, "traced"), tag_endpoint(api, "mine")],
        lambda api: tag_endpoint(api, "second"),
        gateway,
        {"chat": (1, ["mine", "second", "team"]), "traced": (1, [])},
        {"chat": (1, ["second", "team"]), "traced": (0, [])},
    ),
)


def seed(uri: str) -> Api:
    api = Gateway(uri).api
    support = api.experiment("support")
    for words in ("one", "two"):
        judge(api, support, words)
    api("POST", "mcp-servers", {"name": SERVER, "description": "It rains."})
    make_version(api, SERVER, "1.0.0", status="active")
    body = {"name": "golden", "experiment_ids": [support], "tags": json.dumps({"a": "1"})}
    api("POST", "datasets/create", body)
    record(api, "first")
    open_questions(api, support)
    traces = sorted(make_traces(api, support, 3))
    queued = make_queue(api, support, "Weekly", users=["ada"])
    add(api, queued, traces[0])
    api("POST", "issues", {"experiment_id": support, "name": "rude", "description": "It is."})
    return api


def test_what_was_added_on_the_target_stays_until_it_is_repaired(
    typed: Typed, own_source: TrackingServerProcess, fresh_target: TrackingServerProcess
) -> None:
    assert_that_it_stays(typed, own_source, (fresh_target.uri,), Api(fresh_target.uri))


@pytest.mark.thorough
def test_it_stays_in_a_database_too(
    typed: Typed,
    own_source: TrackingServerProcess,
    server_factory: ServerFactory,
    tmp_path: Path,
) -> None:
    (files := tmp_path / "files").mkdir()
    database = f"sqlite:///{tmp_path / 'new.db'}"
    to = (database, "--target-artifacts", str(files))
    typed("run", own_source.uri, *to)  # makes it
    with server_factory(backend_store_uri=database, artifacts_destination=str(files)) as target:
        assert_that_it_stays(typed, own_source, to, Api(target.uri))


def assert_that_it_stays(
    typed: Typed, own_source: TrackingServerProcess, to: Sequence[str], target: Api
) -> None:
    source = seed(own_source.uri)
    ends = (own_source.uri, *to)
    typed("run", *ends, code=3)  # values of secrets are lost by all
    for case in CASES:
        assert case.shown(target) == case.shown(source), case.name
        case.add(target)
    there = {case.name: case.shown(target) for case in CASES}
    report = json.loads(typed("run", *ends, "--json", code=3).stdout)
    assert {kind: it["wrote"] for kind, it in report["totals"].items() if it["wrote"]} == {}
    assert {case.name: case.shown(target) for case in CASES} == there

    for case in CASES:
        case.change(source)
    report = json.loads(typed("run", *ends, "--json", code=3).stdout)
    for case in CASES:
        assert case.shown(target) == case.both, case.name
    assert [it["what"] for it in report["losses"] if it["kind"] == "scorer"] == ["version 3"]
    assert "Wrote nothing" in typed("run", *ends, code=3).stdout

    told = typed("verify", *ends, code=3).stdout
    for what in ("version 9.0.0", "alias mine", "tag mine", "users", "version 3"):
        assert what in told
    typed("run", *ends, "--repair", code=3)
    for case in CASES:
        assert case.shown(target) == case.repaired, case.name
