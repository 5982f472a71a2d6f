"""A target that answers 200 and does not do what it was asked: for all kinds but runs."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.origins import WRITING
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import (
    Faults,
    Match,
    always,
    answer_with,
    change_request,
    change_response,
)
from tests.proxy import Proxy
from tests.seed_models import ModelSource

SILENT = answer_with("{}")
#: Every call that makes something, and every one that changes what is there.
CREATES: Match = ("POST", "/(experiments|registered-models|model-versions)/create$|/logged-models$")
CHANGES: Match = (
    "*",
    "/logged-models/m-[^/]+/tags$"
    "|/(registered-models|model-versions)/(set-tag|update|transition-stage)$"
    "|/registered-models/alias$",
)
CHANGES_OF_EXPERIMENTS: Match = ("POST", "/set-experiment-tag$")
ONE_OF_EACH = {"experiment": 1, "logged model": 1, "registered model": 1, "model version": 1}


def done_elsewhere(body: bytes) -> bytes:
    """Another experiment gets the tag, unless it is the claim: that is looked for at once."""
    if json.loads(body)["key"].startswith(WRITING):
        return body
    return json.dumps({"experiment_id": "0", "key": "elsewhere", "value": "x"}).encode()


NO_CHANGES = (
    always(CHANGES, SILENT),
    always(CHANGES_OF_EXPERIMENTS, change_request(done_elsewhere)),
)


@dataclass(frozen=True)
class Kinds:
    """One object of each kind, all of ``name``; a version with all that can be set."""

    name: str
    source: str
    experiment: str
    proxy: Proxy

    @property
    def args(self) -> tuple[str, ...]:
        chosen = ("--experiments", self.name, "--models", self.name)
        return ("run", self.source, self.proxy.uri, *chosen)

    def change(self) -> None:
        """Change everything at the source that may change."""
        with ModelSource(self.source) as source:
            tag = {"key": "team", "value": "growth"}
            body = {"experiment_id": self.experiment, **tag}
            source.post("experiments/set-experiment-tag", body)
            source.post("registered-models/set-tag", {"name": self.name, **tag})
            described = {"name": self.name, "description": "as it is"}
            source.send("PATCH", "registered-models/update", described)
            source.send("PATCH", "model-versions/update", {**described, "version": "1"})
            source.version_tag(self.name, 1, "team", "growth")
            source.stage(self.name, 1, "Archived")
            source.alias(self.name, "challenger", 1)


@pytest.fixture
def kinds(
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    unique_name: str,
) -> Kinds:
    tags = {"team": "risk"}
    with ModelSource(source_server.uri) as source:
        experiment = source.experiment(unique_name, tags=tags)
        source.logged_model("m", experiment, tags=tags)
        source.registered(unique_name, description="as it was", tags=tags)
        source.version(unique_name, "s3://bucket/x", description="as it was", tags=tags)
        source.stage(unique_name, 1, "Production")
        source.alias(unique_name, "champion", 1)
    return Kinds(unique_name, source_server.uri, experiment, proxy_factory(target_server.uri))


def held(kinds: Kinds, target: TrackingServerProcess) -> dict[str, int]:
    """How many of each kind the target has of that name, whosever copies they are."""
    with ModelSource(target.uri) as server:
        named = {"filter": f"name = '{kinds.name}'", "max_results": 9}
        experiments = server.post("experiments/search", named).get("experiments", [])
        ids = [item["experiment_id"] for item in experiments]
        models = server.post("logged-models/search", {"experiment_ids": ids})
        registered = server.send("GET", "registered-models/search", named)
        versions = server.send("GET", "model-versions/search", named)
    return {
        "experiment": len(experiments),
        "logged model": len(models.get("models", ())),
        "registered model": len(registered.get("registered_models", ())),
        "model version": len(versions.get("model_versions", ())),
    }


def complete(typed: Typed, kinds: Kinds, target: TrackingServerProcess) -> None:
    """Check that all is there, once, and that nothing is left to do."""
    kinds.proxy.faults = Faults()
    assert held(kinds, target) == ONE_OF_EACH
    typed("verify", *kinds.args[1:])
    assert "Wrote nothing" in typed(*kinds.args).stdout


@pytest.mark.thorough
def test_what_was_made_is_found_though_no_create_is_answered(
    typed: Typed, target_server: TrackingServerProcess, kinds: Kinds
) -> None:
    kinds.proxy.faults = Faults(always(CREATES, change_response(lambda _: b"{}")))
    typed(*kinds.args)
    complete(typed, kinds, target_server)


@pytest.mark.thorough
def test_changes_that_are_never_carried_out_fail_by_name(
    typed: Typed, target_server: TrackingServerProcess, kinds: Kinds
) -> None:
    silent = Faults(*NO_CHANGES)
    kinds.proxy.faults = silent
    failed = failures(typed, kinds)
    assert "mlflow-migrate.copied" in failed["logged model"]
    assert "stage, alias champion" in failed["model version"]
    kinds.proxy.faults = Faults()
    typed(*kinds.args)

    kinds.change()
    kinds.proxy.faults = silent
    failed = failures(typed, kinds)
    assert failed.keys() == {"experiment", "registered model"}
    assert "tag team" in failed["experiment"]
    assert "tag team, description" in failed["registered model"]
    kinds.proxy.faults = Faults()
    typed(*kinds.args)
    complete(typed, kinds, target_server)


def failures(typed: Typed, kinds: Kinds) -> dict[str, str]:
    """What a run says that it failed at, by kind."""
    report = json.loads(typed(*kinds.args, "--json", code=3).stdout)
    return {failure["kind"]: failure["error"] for failure in report["failures"]}


def without_tags(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "tags": []}).encode()


def test_what_is_made_without_its_origin_gets_it(
    typed: Typed, target_server: TrackingServerProcess, kinds: Kinds
) -> None:
    kinds.proxy.faults = Faults(always(CREATES, change_request(without_tags)))
    typed(*kinds.args)
    complete(typed, kinds, target_server)


@pytest.mark.thorough
def test_what_never_gets_its_origin_is_taken_away_again(
    typed: Typed, target_server: TrackingServerProcess, kinds: Kinds
) -> None:
    kinds.proxy.faults = Faults(always(CREATES, change_request(without_tags)), *NO_CHANGES)
    for _ in range(2):
        failures(typed, kinds)
    there = held(kinds, target_server)
    assert there.pop("experiment") == 1
    assert set(there.values()) == {0}
    kinds.proxy.faults = Faults()
    typed(*kinds.args)
    complete(typed, kinds, target_server)


@pytest.mark.thorough
def test_an_answer_that_shows_no_tags_costs_nothing_but_a_look(
    typed: Typed, target_server: TrackingServerProcess, kinds: Kinds
) -> None:
    def tagless(body: bytes) -> bytes:
        answer = json.loads(body)
        for item in answer.values():
            for part in (item, item.get("info", {})) if isinstance(item, dict) else ():
                part.pop("tags", None)
        return json.dumps(answer).encode()

    kinds.proxy.faults = Faults(always(CREATES, change_response(tagless)))
    typed(*kinds.args)
    complete(typed, kinds, target_server)


@pytest.mark.parametrize(
    "body",
    ["<html>not here</html>", '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}'],
    ids=["of a gateway", "of MLflow"],
)
def test_a_copy_that_a_search_shows_is_not_made_again_though_reading_it_finds_none(
    typed: Typed, kinds: Kinds, body: str
) -> None:
    made: Match = ("POST", "/logged-models$")
    read: Match = ("GET", "/logged-models/m-[^/]+$")
    kinds.proxy.faults = Faults(always(read, answer_with(body, 404)))
    for _ in ("first", "again"):
        shown = typed(*kinds.args, code=3).stdout
        assert "1 logged model failed" in shown
    kinds.proxy.faults = Faults()
    assert "nothing lost" in typed(*kinds.args).stdout
    assert len(kinds.proxy.matching(made)) == 1
