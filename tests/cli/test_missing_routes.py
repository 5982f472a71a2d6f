"""A gateway that knows no route of MLflow's for a while, and what is copied once it does again."""

from __future__ import annotations

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, Match, always, answer, answer_with, on_nth
from tests.seed_models import ModelSource

MISSING = answer(404)
NO_BACKEND = answer_with("default backend - 404", 404, "text/plain")
SOURCES = ["s3://bucket/one", "s3://bucket/two", "s3://bucket/three"]


@pytest.fixture
def model(source_server: TrackingServerProcess, unique_name: str) -> str:
    """The name of a registered model with three versions."""
    with ModelSource(source_server.uri, prefix=unique_name) as source:
        name = source.registered("wine")
        for place in SOURCES:
            source.version(name, place)
    return name


def sources_of(server: TrackingServerProcess, name: str) -> dict[int, str]:
    """Return the sources of the versions of a registered model by their numbers."""
    with ModelSource(server.uri) as reading:
        path = f"model-versions/search?max_results=100&filter=name%3D%27{name}%27"
        found = reading.send("GET", path, {}).get("model_versions", [])
    return {int(version["version"]): version["source"] for version in found}


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        pytest.param(("POST", "/model-versions/create$"), MISSING, id="create"),
        pytest.param(("POST", "/model-versions/create$"), NO_BACKEND, id="create, as text"),
    ],
)
def test_a_version_whose_route_was_not_there_gets_its_own_number_later(
    typed: Typed,
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    model: str,
    route: Match,
    fault: Fault,
) -> None:
    target = proxy_factory(fresh_target.uri)
    target.faults = Faults(on_nth(route, 1, fault))
    typed("run", source_server.uri, target.uri, "--models", model, "--serial", code=3)
    typed("run", source_server.uri, target.uri, "--resume", "--serial")
    assert sources_of(fresh_target, model) == dict(enumerate(SOURCES, start=1))


def test_a_model_that_could_not_be_deleted_is_not_made_beside_the_old_one(
    typed: Typed,
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    model: str,
) -> None:
    with ModelSource(fresh_target.uri) as there:
        there.registered("old", model)
        there.version(model, "s3://elsewhere/old")
    target = proxy_factory(fresh_target.uri)
    target.faults = Faults(always(("DELETE", "/registered-models/delete$"), MISSING))
    arguments = (source_server.uri, target.uri, "--models", model, "--delete-model", "--serial")
    done = typed("run", *arguments, code=3)
    assert "404" in done.stdout + done.stderr
    assert sources_of(fresh_target, model) == {1: "s3://elsewhere/old"}
    target.faults = Faults()
    typed("run", source_server.uri, target.uri, "--resume", "--serial")
    assert sources_of(fresh_target, model) == dict(enumerate(SOURCES, start=1))
