"""Searches that leave out what other objects name: it is read by its id, and told."""

from __future__ import annotations

import json

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, always, change_response
from tests.proxy import Proxy
from tests.seed import Source
from tests.seed_models import ModelSource

EXPERIMENTS = ("POST", "/experiments/search$")
RUNS = ("POST", "/runs/search$")
MODELS = ("POST", "/logged-models/search$")


@pytest.fixture
def odd_source(source_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(source_server.uri)


def without(name: str, ident: str) -> Fault:
    """A search that leaves out the entry of its list ``name`` that has this id."""

    def change(content: bytes) -> bytes:
        told = json.loads(content)
        told[name] = [item for item in told.get(name, []) if ident not in json.dumps(item)[:400]]
        return json.dumps(told).encode()

    return change_response(change)


def ids_on(server: TrackingServerProcess, name: str, search: str, what: str) -> int:
    with Source(server.uri) as source:
        found = source.post("experiments/search", {"max_results": 999})["experiments"]
        ids = [item["experiment_id"] for item in found if item["name"] == name]
        return len(source.post(search, {"experiment_ids": ids}).get(what, []))


def unknown_of(typed: Typed, *words: str) -> str:
    return " ".join(json.loads(typed("run", *words, "--json", code=3).stdout)["unknown"])


def test_a_logged_model_that_a_run_names_and_no_search_shows_is_copied_and_told(
    typed: Typed, odd_source: Proxy, target_server: TrackingServerProcess, unique_name: str
) -> None:
    with ModelSource(odd_source.uri) as source:
        experiment = source.experiment(unique_name)
        run = source.run("r", experiment)
        shown, hidden = (source.logged_model(label, experiment) for label in ("shown", "hidden"))
        source.outputs(run, (shown, 0), (hidden, 1))
    odd_source.faults = Faults(always(MODELS, without("models", hidden)))
    ends = (odd_source.uri, target_server.uri, "--experiments", unique_name)
    told = unknown_of(typed, *ends)
    assert f"does not show logged model:{hidden}, named by run:{run}" in told
    assert ids_on(target_server, unique_name, "logged-models/search", "models") == 2
    odd_source.faults = Faults()
    typed("run", *ends)


def test_a_run_that_a_logged_model_names_and_no_search_shows_is_copied_and_told(
    typed: Typed, odd_source: Proxy, target_server: TrackingServerProcess, unique_name: str
) -> None:
    with ModelSource(odd_source.uri) as source:
        experiment = source.experiment(unique_name)
        hidden, _ = (source.run(label, experiment) for label in ("hidden", "shown"))
        model = source.logged_model("m", experiment, run_id=hidden)
    odd_source.faults = Faults(always(RUNS, without("runs", hidden)))
    ends = (odd_source.uri, target_server.uri, "--experiments", unique_name)
    planned = typed("plan", *ends, "--json").stdout
    assert f"does not show run:{hidden}, named by logged model:{model}" in planned


@pytest.mark.parametrize(
    "named_by", ["logged model", pytest.param("version", marks=pytest.mark.thorough)]
)
def test_an_experiment_that_is_not_listed_is_told_where_something_names_a_run_of_it(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    fresh_target: TrackingServerProcess,
    unique_name: str,
    named_by: str,
) -> None:
    proxy = proxy_factory(fresh_source.uri)
    with ModelSource(fresh_source.uri) as source:
        listed, hidden = (source.experiment(f"{unique_name} {n}") for n in range(2))
        runs = [source.run(f"r{n}", hidden) for n in range(2)]
        if named_by == "version":
            source.registered(unique_name)
            for run in runs:
                source.version(unique_name, f"runs:/{run}/model", run_id=run)
        else:
            source.logged_model("m", listed, run_id=runs[0])
    proxy.faults = Faults(always(EXPERIMENTS, without("experiments", f"{unique_name} 1")))
    planned = json.loads(typed("plan", proxy.uri, fresh_target.uri, "--json").stdout)
    told = " ".join(planned["unknown"])
    assert f"experiment {hidden!r}, which is not among those that the source lists" in told
