"""A route that is not there says nothing of what it leads to: only MLflow's own code does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.protocols import Target
from migrate.endpoints.tracking.stores import experiments as experiments_module
from migrate.errors import EndpointError, NoSuchRoute
from migrate.kinds import Kind, Ref, version_ref
from migrate.objects import ModelVersion, RegisteredModel
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, Match, always, answer, answer_with
from tests.proxy import Proxy
from tests.seed_models import ModelSource

MISSING = answer(404)
GRAPHQL: Match = ("POST", "/graphql$")
RUN: Match = ("GET", "/runs/get$")
EXPERIMENT: Match = ("GET", "/experiments/get$")
LOGGED_MODEL: Match = ("GET", "/logged-models/m-[0-9a-f]+$")
MODEL: Match = ("GET", "/registered-models/get$")
VERSION: Match = ("GET", "/model-versions/get$")
#: How a gateway says that it knows no such route.
GATEWAYS = [
    pytest.param(MISSING, id="a web page"),
    pytest.param(answer_with("default backend - 404", 404, "text/plain"), id="text"),
    pytest.param(answer_with('{"detail": "Not Found"}', 404), id="JSON"),
    pytest.param(
        answer_with('{"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"}', 404),
        id="a code of the route",
    ),
]

Open = Callable[[str], Target]


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def open_side(proxy: Proxy) -> Iterator[Open]:
    """Opens the server behind the proxy as a source or a target, connected to."""
    with ExitStack() as opened:

        def open_it(side: str) -> Target:
            address = Address(uri=proxy.uri, side=side, workers=2)
            server = opened.enter_context(closing(open_target(address)))
            server.capabilities()
            return server

        yield open_it


@pytest.fixture
def server(open_side: Open) -> Target:
    return open_side("target")


@pytest.fixture
def seed(target_server: TrackingServerProcess, unique_name: str) -> Iterator[ModelSource]:
    with ModelSource(target_server.uri, prefix=unique_name) as source:
        yield source


def break_route(proxy: Proxy, *routes: Match, fault: Fault = MISSING) -> None:
    proxy.faults = Faults(*(always(route, fault) for route in routes))


@pytest.mark.parametrize("fault", GATEWAYS)
def test_a_copy_whose_route_is_not_there_is_not_taken_for_gone(
    proxy: Proxy, server: Target, seed: ModelSource, fault: Fault
) -> None:
    model_id = seed.logged_model("made", seed.experiment("a"))
    break_route(proxy, LOGGED_MODEL, fault=fault)
    with pytest.raises(EndpointError, match=model_id):
        server.logged_models.read([model_id])


def test_an_object_that_mlflow_says_is_not_there_is_gone(server: Target) -> None:
    assert server.logged_models.read([f"m-{'0' * 32}"]) == []
    assert server.runs.read(["0" * 32]) == []
    assert list(server.registered_models.list(["no such model"])) == []


def test_a_run_whose_route_is_not_there_is_an_error_on_a_target_and_named_of_a_source(
    proxy: Proxy, open_side: Open, seed: ModelSource
) -> None:
    run_id = seed.run("a", seed.experiment("a"))
    source, target = open_side("source"), open_side("target")
    break_route(proxy, RUN)
    with pytest.raises(EndpointError, match=run_id):
        target.runs.read([run_id])
    assert source.runs.read([run_id]) == []
    left_out = source.unreadable.of(Ref(Kind.RUN, run_id))
    assert left_out is not None
    assert "404" in left_out.reason


def test_an_experiment_whose_route_is_not_there_is_an_error_on_a_target(
    proxy: Proxy, server: Target, seed: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = seed.experiment("a")
    assert list(server.experiments.list())
    monkeypatch.setattr(experiments_module, "READ_AT_THE_COST_OF_ONE", 0)
    break_route(proxy, EXPERIMENT)
    with pytest.raises(EndpointError, match=f"experiment {experiment}"):
        server.experiments.read([experiment])


def test_links_that_no_route_tells_are_not_taken_for_none(
    proxy: Proxy, server: Target, seed: ModelSource
) -> None:
    experiment = seed.experiment("a")
    run_id, model_id = seed.run("a", experiment), seed.logged_model("made", experiment)
    seed.model_inputs(run_id, model_id)
    break_route(proxy, GRAPHQL, RUN)
    with pytest.raises(NoSuchRoute):
        server.model_links.read([run_id])
    break_route(proxy, GRAPHQL)
    assert list(server.model_links.read([run_id])[run_id].inputs) == [model_id]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("status", [404, 400])
def test_a_registered_model_and_its_versions_are_found_in_the_list_where_the_route_of_one_is_not(
    proxy: Proxy, open_side: Open, seed: ModelSource, side: str, status: int
) -> None:
    name = seed.registered("wine")
    seed.version(name, "s3://bucket/x")
    server = open_side(side)
    break_route(proxy, MODEL, VERSION, fault=answer(status))
    assert [model.name for model in server.registered_models.list([name])] == [name]
    first, second = (version_ref(Kind.MODEL_VERSION, name, number) for number in (1, 2))
    found = server.model_versions.read(first)
    assert found is not None
    assert found.source == "s3://bucket/x"
    assert server.model_versions.read(second) is None


@pytest.mark.parametrize("status", [404, 400])
def test_versions_that_a_search_leaves_out_and_no_other_route_shows_are_named(
    proxy: Proxy, open_side: Open, seed: ModelSource, status: int
) -> None:
    name = seed.registered("wine")
    seed.version(name, "s3://bucket/x")
    seed.alias(name, "best", 1)
    source = open_side("source")
    (model,) = source.registered_models.list([name])
    search: Match = ("GET", "/model-versions/search$")
    proxy.faults = Faults(
        always(search, answer_with('{"model_versions": []}')), always(VERSION, answer(status))
    )
    assert list(source.model_versions.list([model])) == []
    assert source.unreadable.of(version_ref(Kind.MODEL_VERSION, name, 1)) is not None


def test_the_run_of_a_version_that_cannot_be_asked_for_is_named(
    proxy: Proxy, open_side: Open, seed: ModelSource
) -> None:
    run_id = seed.run("a", seed.experiment("a"))
    source = open_side("source")
    version = ModelVersion(
        name="wine", version=1, kind=Kind.MODEL_VERSION, source="s3://b/x", run_id=run_id
    )
    break_route(proxy, RUN)
    source.model_versions.run_of(version)
    assert source.unreadable.of(Ref(Kind.RUN, run_id)) is not None


def _registered(server: Target, name: str) -> RegisteredModel:
    (model,) = server.registered_models.list([name])
    return model


@pytest.mark.parametrize("fault", GATEWAYS)
def test_what_could_not_be_deleted_is_not_taken_for_deleted(
    proxy: Proxy, server: Target, seed: ModelSource, fault: Fault
) -> None:
    name = seed.registered("wine")
    seed.version(name, "s3://bucket/x")
    (version,) = server.model_versions.list([_registered(server, name)])
    break_route(proxy, ("DELETE", "/(registered-models|model-versions)/delete$"), fault=fault)
    with pytest.raises(NoSuchRoute):
        server.model_versions.delete(version)
    with pytest.raises(NoSuchRoute):
        server.registered_models.delete(name)
    proxy.faults = Faults()
    server.model_versions.delete(version)
    server.model_versions.delete(version)
    server.registered_models.delete(name)
    server.registered_models.delete(name)
    assert list(server.registered_models.list([name])) == []


def test_tags_that_could_not_be_taken_off_are_not_taken_for_gone(
    proxy: Proxy, server: Target, seed: ModelSource
) -> None:
    experiment = seed.experiment("a")
    run_id = seed.run("a", experiment, tags={"surplus": "1"})
    (run,) = server.runs.read([run_id])
    writer = server.runs.adopt(experiment, run, run)
    model_id = seed.logged_model("made", experiment, tags={"surplus": "1"})
    (model,) = server.logged_models.read([model_id])
    break_route(proxy, ("*", "/delete-tag$|/tags/surplus$"))
    with pytest.raises(NoSuchRoute):
        writer.remove_tags(["surplus"])
    with pytest.raises(NoSuchRoute):
        server.logged_models.finish(model, dataclasses.replace(model, tags={}), "mark")


def test_a_tag_of_an_experiment_that_is_gone_already_keeps_no_other_on_it(
    proxy: Proxy, server: Target, seed: ModelSource
) -> None:
    experiment = seed.experiment("a", tags={"b": "1"})
    server.experiments.remove_tags(experiment, ["a", "b"])
    (found,) = server.experiments.read([experiment])
    assert "b" not in found.tags
    break_route(proxy, ("POST", "/experiments/delete-experiment-tag$"))
    with pytest.raises(NoSuchRoute):
        server.experiments.remove_tags(experiment, ["a"])


def test_what_could_not_be_moved_to_the_trash_is_not_looked_for_there(
    proxy: Proxy, server: Target, seed: ModelSource
) -> None:
    experiment = seed.experiment("a")
    break_route(proxy, ("POST", "/experiments/delete$"))
    with pytest.raises(NoSuchRoute):
        server.experiments.delete(experiment)


def test_a_part_that_says_in_mlflows_words_that_an_object_is_not_there_is_there(
    proxy: Proxy, open_side: Open
) -> None:
    gone = '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment with id=0 exists"}'
    break_route(proxy, ("POST", "/logged-models/search$"), fault=answer_with(gone, 404))
    source = open_side("source")
    assert Kind.LOGGED_MODEL in source.capabilities().readable
    assert source.unknown() == ()
