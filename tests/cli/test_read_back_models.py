"""A target that answers 200 and does not do what it was asked: for all kinds but runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.origins import ORIGIN
from tests.cli.conftest import Migrate
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, Match, always, answer_with, change_request, change_response
from tests.seed_models import ModelSource

SILENT = answer_with("{}")
#: Every call that makes something, and every one that changes what is there.
CREATES: Match = ("POST", "/(experiments|registered-models|model-versions)/create$|/logged-models$")
CHANGES: Match = (
    "*",
    "/set-experiment-tag$|/logged-models/m-[^/]+(/tags)?$"
    "|/(registered-models|model-versions)/(set-tag|update|transition-stage)$"
    "|/registered-models/alias$",
)


@pytest.fixture
def args(
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    unique_name: str,
) -> tuple[Any, ...]:
    """The proxy and what to call: one object of each kind, a version with all that can be set."""
    with ModelSource(source_server.uri) as source:
        experiment = source.experiment(unique_name, tags={"team": "risk"})
        source.logged_model("m", experiment, tags={"team": "risk"})
        name = source.registered(unique_name, description="as it was", tags={"team": "risk"})
        number = source.version(name, "s3://bucket/x", description="as it was")
        source.stage(name, number, "Production")
        source.alias(name, "champion", number)
    proxy = proxy_factory(target_server.uri)
    chosen = ("--experiments", unique_name, "--models", unique_name)
    return proxy, ("run", source_server.uri, proxy.uri, *chosen)


def counts(uri: str, name: str) -> dict[str, int]:
    """How many of each kind a server holds, whosever copies they are."""
    with ModelSource(uri) as server:
        search = {"max_results": 9, "filter": f"name = '{name}'"}
        experiments = server.post("experiments/search", search).get("experiments", [])
        ids = [item["experiment_id"] for item in experiments]
        found = server.post("logged-models/search", {"experiment_ids": ids}) if ids else {}
        named = {"filter": f"name = '{name}'", "max_results": 9}
        models = server.send("GET", "registered-models/search", named)
        versions = server.send("GET", "model-versions/search", named)
    return {
        "experiment": len(experiments),
        "logged model": len(found.get("models", [])),
        "registered model": len(models.get("registered_models", [])),
        "model version": len(versions.get("model_versions", [])),
    }


def without_tags(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "tags": []}).encode()


def tagless(body: bytes) -> bytes:
    """An answer that shows no tags of what was made."""
    answer = json.loads(body)
    for item in answer.values():
        if isinstance(item, dict):
            item.pop("tags", None)
            item.get("info", {}).pop("tags", None)
    return json.dumps(answer).encode()
