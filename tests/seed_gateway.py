"""The gateway: how a server is filled with what belongs to it, and what it shows of that."""

from __future__ import annotations

import json
from typing import Any

from tests.seed_records import Api, Json, experiment_names, register

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
