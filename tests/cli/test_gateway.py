"""What belongs to the gateway arrives with all but the values of its secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory, ServerFactory
from tests.faults import Faults, always, answer_with, lose_response, on_nth
from tests.seed_records import Api, Json, experiment_names, register

KINDS = {
    "gateway secret": 2,
    "gateway model definition": 2,
    "gateway endpoint": 2,
    "gateway budget": 2,
    "gateway guardrail": 1,
}
GIVEN_OUT = ("created_at", "last_updated_at", "created_by", "last_updated_by")


def make(api: Api, noun: str, word: str, **said: Any) -> str:
    made = api("POST", f"gateway/{noun}/create", said)[word]
    return str(next(value for key, value in made.items() if key == f"{word}_id"))


class Gateway:
    """A server with a gateway of two models, two endpoints, budgets and a guardrail."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.api = api = Api(uri)
        self.key = make(
            api,
            "secrets",
            "secret",
            secret_name="openai key",
            secret_value={"api_key": "sk-hush-hush-hush"},
            provider="openai",
            auth_config={"api_base": "https://93.184.216.34/v1"},
        )
        keys = {"aws_access_key_id": "hush-hush-hush", "aws_secret_access_key": "hush-hush-hush"}
        aws = make(
            api, "secrets", "secret", secret_name="aws", secret_value=keys, provider="bedrock"
        )
        models = [
            make(
                api,
                "model-definitions",
                "model_definition",
                name=name,
                secret_id=secret,
                provider=provider,
                model_name=model,
            )
            for name, secret, provider, model in (
                ("gpt", self.key, "openai", "gpt-5"),
                ("claude", aws, "bedrock", "claude"),
            )
        ]
        first = {"model_definition_id": models[0], "linkage_type": "PRIMARY", "weight": 0.7}
        then = {"model_definition_id": models[1], "linkage_type": "FALLBACK", "weight": 1.0}
        self.endpoint = make(
            api,
            "endpoints",
            "endpoint",
            name="chat",
            model_configs=[first, {**then, "fallback_order": 1}],
            routing_strategy="REQUEST_BASED_TRAFFIC_SPLIT",
            fallback_config={"strategy": "SEQUENTIAL", "max_attempts": 2},
            usage_tracking=False,
        )
        self.tag("team", "Ünïcödé")
        make(api, "endpoints", "endpoint", name="traced", model_configs=[first])
        budget = {"budget_unit": "USD", "budget_amount": 1.5, "budget_action": "ALERT"}
        budget["duration"] = {"unit": "DAYS", "value": 2}
        api("POST", "gateway/budgets/create", {**budget, "target_scope": "GLOBAL"})
        scope = {"target_scope": "ENDPOINT", "target_value": self.endpoint}
        api("POST", "gateway/budgets/create", {**budget, **scope})
        experiment = api.experiment("support")
        builtin = {"builtin_scorer_class": "Safety", "builtin_scorer_pydantic_data": {"name": "s"}}
        register(api, experiment, "safety", **builtin)
        asked = {"experiment_id": experiment, "name": "safety"}
        [scorer] = api("GET", "scorers/versions", asked)["scorers"]
        said = {"name": "no harm", "scorer_version": 1, "stage": "BEFORE", "action": "VALIDATION"}
        guardrail = make(api, "guardrails", "guardrail", scorer_id=scorer["scorer_id"], **said)
        placed = {"endpoint_id": self.endpoint, "guardrail_id": guardrail, "execution_order": 3}
        api("POST", "gateway/guardrails/add-to-endpoint", placed)

    def tag(self, key: str, value: str) -> None:
        tag = {"endpoint_id": self.endpoint, "key": key, "value": value}
        self.api("POST", "gateway/endpoints/set-tag", tag)


@pytest.fixture
def gateway(server_factory: ServerFactory) -> Gateway:
    return Gateway(server_factory().uri)


def shown(api: Api) -> Json:
    """Return all of a gateway, with names in the place of ids."""

    def listed(noun: str, word: str) -> list[Json]:
        found = api("GET", f"gateway/{noun}/list").get(word, [])
        return [{k: v for k, v in it.items() if k not in GIVEN_OUT} for it in found]

    experiments = experiment_names(api)
    secrets = listed("secrets", "secrets")
    models = listed("model-definitions", "model_definitions")
    endpoints = listed("endpoints", "endpoints")
    budgets = listed("budgets", "budget_policies")
    guardrails = listed("guardrails", "guardrails")
    names = {it["endpoint_id"]: it["name"] for it in endpoints}
    for secret in secrets:
        secret["masked_values"] = sorted(secret["masked_values"])
        del secret["secret_id"]
    for model in models:
        del model["secret_id"], model["model_definition_id"]
    for endpoint in endpoints:
        asked = {"endpoint_id": endpoint.pop("endpoint_id")}
        endpoint["guarded by"] = [
            (it["guardrail"]["name"], it.get("execution_order"))
            for it in api("GET", "gateway/guardrails/list-for-endpoint", asked).get("configs", [])
        ]
        if "experiment_id" in endpoint:
            endpoint["experiment_id"] = experiments[endpoint["experiment_id"]]
        endpoint["model_mappings"] = sorted(
            [
                it["model_definition"]["name"],
                it["linkage_type"],
                it["weight"],
                it.get("fallback_order"),
            ]
            for it in endpoint["model_mappings"]
        )
    for budget in budgets:
        del budget["budget_policy_id"]
        if budget["target_scope"] == "ENDPOINT":
            budget["target_value"] = names[budget["target_value"]]
    for guardrail in guardrails:
        scorer = guardrail.pop("scorer")
        where = experiments[str(scorer["experiment_id"])]
        guardrail["scorer"] = [where, scorer["scorer_name"], scorer["scorer_version"]]
        del guardrail["guardrail_id"]
    found = {"secrets": secrets, "models": models, "endpoints": endpoints}
    found |= {"budgets": budgets, "guardrails": guardrails}
    return {
        key: sorted(value, key=lambda it: json.dumps(it, sort_keys=True))
        for key, value in found.items()
    }


def losses(report: str) -> set[tuple[str, str]]:
    return {(it["kind"], it["what"]) for it in json.loads(report)["losses"]}


def test_it_arrives_but_for_the_values_of_secrets_and_changes_follow(
    typed: Typed,
    gateway: Gateway,
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
