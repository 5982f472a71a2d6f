"""What belongs to the gateway arrives with all but the values of its secrets."""

from __future__ import annotations

import json

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.endpoints.databases import assert_the_same
from tests.faults import Faults, always, answer_with, lose_response, on_nth
from tests.seed_gateway import Gateway, shown
from tests.seed_records import Api

KINDS = {
    "gateway secret": 2,
    "gateway model definition": 2,
    "gateway endpoint": 2,
    "gateway budget": 2,
    "gateway guardrail": 1,
}


@pytest.fixture
def gateway(own_source: TrackingServerProcess) -> Gateway:
    return Gateway(own_source.uri)


def losses(report: str) -> set[tuple[str, str]]:
    return {(it["kind"], it["what"]) for it in json.loads(report)["losses"]}


def test_it_arrives_but_for_the_values_of_secrets_and_changes_follow(
    typed: Typed,
    gateway: Gateway,
    own_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    source, target = gateway.api, Api(fresh_target.uri)
    proxy = proxy_factory(fresh_target.uri)
    proxy.faults = Faults(
        on_nth(("POST", "/gateway/endpoints/create$"), 1, lose_response()),
        on_nth(("POST", "/gateway/secrets/create$"), 2, lose_response()),
    )
    ends = (gateway.uri, proxy.uri)
    plan = json.loads(typed("plan", *ends, "--json").stdout)
    kinds = [it["kind"] for it in plan["tasks"]]
    assert {kind: kinds.count(kind) for kind in KINDS} == KINDS
    assert plan["unsupported"] == {}
    assert_the_same(own_source, KINDS)
    report = typed("run", *ends, "--json", code=3).stdout
    assert losses(report) == {("gateway secret", "value")}
    assert shown(target) == shown(source)
    assert "no difference" in typed("verify", *ends).stdout
    proxy.clear()
    typed("run", *ends, code=3)
    assert [it for it in proxy.writes() if "experiment-tag" not in it.path] == []

    gateway.tag("team", "other")
    endpoint = {"endpoint_id": gateway.endpoint, "name": "renamed", "usage_tracking": True}
    source("POST", "gateway/endpoints/update", endpoint)
    model = source("GET", "gateway/model-definitions/list")["model_definitions"][0]
    changed = {"model_definition_id": model["model_definition_id"], "model_name": "another"}
    source("POST", "gateway/model-definitions/update", changed)
    typed("run", *ends, code=3)
    assert shown(target)["models"] == shown(source)["models"]
    assert [it["name"] for it in shown(target)["endpoints"]] == [
        it["name"] for it in shown(source)["endpoints"]
    ]


@pytest.mark.thorough
def test_what_no_list_shows_is_found_by_what_needs_it(
    typed: Typed, gateway: Gateway, fresh_target: TrackingServerProcess, proxy_factory: ProxyFactory
) -> None:
    proxy = proxy_factory(gateway.uri)
    hidden = always(("GET", "/gateway/(model-definitions|secrets)/list$"), answer_with("{}"))
    proxy.faults = Faults(hidden)
    typed("run", proxy.uri, fresh_target.uri, code=3)
    assert shown(Api(fresh_target.uri)) == shown(gateway.api)


@pytest.mark.thorough
def test_a_value_that_was_set_on_the_copy_stays(
    typed: Typed, gateway: Gateway, fresh_target: TrackingServerProcess
) -> None:
    target = Api(fresh_target.uri)
    ends = (gateway.uri, fresh_target.uri)
    typed("run", *ends, code=3)
    [copy] = [
        it
        for it in target("GET", "gateway/secrets/list")["secrets"]
        if it["secret_name"] == "openai key"
    ]
    value = {"secret_id": copy["secret_id"], "secret_value": {"api_key": "sk-real-real-real-1234"}}
    target("POST", "gateway/secrets/update", value)
    typed("run", *ends, code=3)
    typed("run", *ends, "--repair", code=3)
    masked = target("GET", "gateway/secrets/get", {"secret_id": copy["secret_id"]})["secret"]
    assert masked["masked_values"]["api_key"].endswith("1234")


@pytest.mark.thorough
def test_it_goes_through_a_directory(
    typed: Typed, gateway: Gateway, fresh_target: TrackingServerProcess
) -> None:
    typed("run", gateway.uri, "export", code=3)
    typed("verify", gateway.uri, "export")
    typed("run", "export", fresh_target.uri, code=3)
    assert shown(Api(fresh_target.uri)) == shown(gateway.api)


@pytest.mark.thorough
def test_what_is_the_targets_own_is_kept_and_named(
    typed: Typed, gateway: Gateway, fresh_target: TrackingServerProcess
) -> None:
    target = Api(fresh_target.uri)
    own = {"secret_name": "openai key", "secret_value": {"api_key": "sk-own-own-own-own"}}
    target("POST", "gateway/secrets/create", {**own, "provider": "anthropic"})
    said = typed("run", gateway.uri, fresh_target.uri, code=3).stdout
    assert "the target's own gateway secret 'openai key'" in said
    kept = [it for it in shown(target)["secrets"] if it["secret_name"] == "openai key"]
    assert [it["provider"] for it in kept] == ["anthropic"]
