"""What a server answers is no record: on a source it costs itself, on a target it stops."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source
from migrate.endpoints.shapes import Named
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.stores.runs import FORM as RUN
from migrate.endpoints.tracking.wire import run_from
from migrate.errors import AnswerLost, Malformed
from migrate.kinds import Kind, Ref
from tests.conftest import ProxyFactory
from tests.faults import Faults, always, answer_with
from tests.seed_models import ModelSource


def _page(*runs: Any) -> Named:
    return Named({"runs": list(runs)}, "the answer of http://s/runs/search")


def _run(run_id: str, **info: Any) -> dict[str, Any]:
    return {"info": {"run_id": run_id, "experiment_id": "7", **info}}


def test_a_malformed_run_of_a_source_is_told_and_the_others_are_read() -> None:
    entries = Entries("source")
    pages = [_page(_run("a"), _run("b", start_time="soon")), _page(None, _run("c"))]
    assert [it.run_id for it in entries.all(pages, "runs", RUN, run_from)] == ["a", "c"]
    named, nameless = entries.gaps.unreadable.all()
    assert (named.ref, named.container) == (Ref(Kind.RUN, "b"), "7")
    assert named.reason == "run b: start_time is 'soon', no whole number"
    assert named.where == "the answer of http://s/runs/search"
    assert nameless.ref == Ref(Kind.RUN, "entry 3 of runs")


def test_a_malformed_copy_on_the_target_stops_it() -> None:
    entries = Entries("target")
    with pytest.raises(Malformed, match="runs/search: run b: start_time"):
        list(entries.all([_page(_run("b", start_time="soon"))], "runs", RUN, run_from))


def test_a_page_that_holds_no_list_is_one_error() -> None:
    page = Named({"runs": {"a": 1}}, "the answer of http://s/runs/search")
    with pytest.raises(Malformed, match="http://s/runs/search: runs is an object, no list"):
        list(Entries("source").all([page], "runs", RUN, run_from))


@pytest.mark.parametrize("answer", [{}, {"run": None}, {"run": {"info": {}}}, {"run": []}])
def test_an_answer_to_a_create_without_its_object_is_lost(answer: dict[str, Any]) -> None:
    with pytest.raises(AnswerLost), read_once():
        Entries("target").one(Named(answer, "runs/create"), "run", RUN, run_from)


@pytest.mark.parametrize("models", ['"\\ud800"', '{"m": 1}', "[5]", "7"])
def test_a_listing_of_logged_models_that_is_none_hides_no_links(
    source_server: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    unique_name: str,
    models: str,
) -> None:
    with ModelSource(source_server.uri) as source:
        experiment = source.experiment(unique_name)
        run_id = source.run("run", experiment)
        model = source.logged_model("model", experiment, run_id=run_id)
        source.model_inputs(run_id, model)
    proxy = proxy_factory(source_server.uri)
    broken = answer_with(f'{{"models": {models}}}')
    with closing(open_source(Address(uri=proxy.uri, side="source"))) as server:
        server.capabilities()
        proxy.faults = Faults(always(("POST", "/logged-models/search$"), broken))
        [links] = server.model_links.read([run_id]).values()
    assert list(links.inputs) == [model]
