"""Logged models on a server that has none: files of their runs, found again by a tag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.protocols import Target
from migrate.errors import Refused
from migrate.objects import LoggedModel, ModelLinks
from migrate.origins import ORIGIN
from tests.conftest import ProxyFactory
from tests.faults import Faults, always, answer, answer_with
from tests.seed import Source


@pytest.fixture
def server(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Iterator[Target]:
    """A server of MLflow 2, by what it says and what it has."""
    proxy = proxy_factory(target_server.uri)
    proxy.faults = Faults(
        always(("GET", "/version$"), answer_with("2.14.0", content_type="text/plain")),
        always(("*", "/api/3.0/|/logged-models|/graphql$"), answer(404)),
    )
    with closing(open_target(Address(uri=proxy.uri, side="target", workers=2))) as opened:
        yield opened


@pytest.fixture
def seed(target_server: TrackingServerProcess, unique_name: str) -> Iterator[Source]:
    with Source(target_server.uri, prefix=f"{unique_name} ") as source:
        yield source


def model(origin: str, run_id: str) -> LoggedModel:
    return LoggedModel(
        model_id="",
        experiment_id="",
        name="wine",
        source_run_id=run_id,
        artifact_uri="",
        tags={ORIGIN: origin},
    )


def test_a_flattened_model_has_a_place_of_its_own_and_is_found_by_its_origin(
    server: Target, seed: Source
) -> None:
    experiment = seed.experiment("a")
    run_id = seed.run("r", experiment)
    assert server.capabilities().flattens_models
    made = [server.logged_models.create(experiment, model(it, run_id)) for it in ("one", "two")]
    again = server.logged_models.create(experiment, model("one", run_id))
    assert [it.model_id for it in made] == [f"runs:/{run_id}/wine", f"runs:/{run_id}/wine-two"]
    assert again == made[0]
    assert list(server.logged_models.finish(made[0], model("one", run_id), "whole")) == []
    marks = {
        origin: copy.mark
        for origin, (copy,) in server.logged_models.find(experiment, ["one", "two"]).items()
    }
    assert marks == {"one": "whole", "two": ""}
    assert server.logged_models.find(experiment, ["three"]) == {}
    ids = [*(it.model_id for it in made), f"runs:/{'0' * 32}/wine"]
    assert [it.model_id for it in server.logged_models.read(ids)] == ids[:2]


def test_what_belongs_to_logged_models_is_with_the_run(server: Target, seed: Source) -> None:
    experiment = seed.experiment("a")
    run_id = seed.run("r", experiment)
    assert list(server.logged_models.list([experiment])) == []
    assert server.model_links.read([run_id]) == {}
    assert list(server.model_links.write(run_id, ModelLinks(("m-1",), ()))) == []
    assert list(server.logged_models.log_metrics("m-1", ())) == []
    with pytest.raises(Refused, match="no run to go into"):
        server.logged_models.create(experiment, model("one", ""))
    with pytest.raises(Refused, match="files of a run"):
        server.logged_models.delete(experiment, f"runs:/{run_id}/wine", "one")
    assert server.unknown() == ()
