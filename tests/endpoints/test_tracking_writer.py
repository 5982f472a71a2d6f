"""Filling a run of a real server: within its limits, in few calls, complete only at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.protocols import Target
from migrate.endpoints.tracking.http import session as http_module
from migrate.errors import Malformed, NotPermitted, Unavailable
from migrate.objects import DELETED, Metric, Run
from migrate.origins import MARK, ORIGIN, losses_from_tags
from tests.conftest import ProxyFactory
from tests.endpoints.exports import a_logged_model
from tests.faults import (
    ANY,
    Faults,
    always,
    answer,
    change_request,
    change_response,
    clock,
    every_nth,
    lose_response,
    on_nth,
)
from tests.proxy import Proxy
from tests.seed import START, Source

BATCH = ("POST", "/runs/log-batch$")
WRITES = ("POST", "/runs/(log|update|delete)")
PARAMS = {f"param {n}": f"value {n}" for n in range(250)}
TAGS = {f"tag {n}": str(n) for n in range(130)}
POINTS = [Metric("loss", n / 7, START + n, n) for n in range(2_500)]
INPUTS = [
    {
        "dataset": {"name": f"d{n}", "digest": str(n), "source_type": "local", "source": "{}"},
        "tags": [{"key": "mlflow.data.context", "value": "train"}],
    }
    for n in range(120)
]


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def server(proxy: Proxy) -> Iterator[Target]:
    with closing(open_target(Address(uri=proxy.uri, side="target"))) as opened:
        yield opened


@pytest.fixture
def experiment(target_server: TrackingServerProcess, unique_name: str) -> str:
    with Source(target_server.uri) as source:
        return source.experiment(unique_name)


def original(**changes: Any) -> Run:
    fields: dict[str, Any] = {
        "run_id": "a" * 32,
        "experiment_id": "source-experiment",
        "name": "train",
        "user_id": "ada",
        "status": "FINISHED",
        "start_time": START,
        "end_time": START + 5,
        "params": PARAMS,
        "tags": {ORIGIN: "a" * 32},
    }
    return Run(**fields | changes)


def fill(server: Target, experiment: str, run: Run, copy: Run | None = None) -> str:
    if copy is None:
        writer = server.runs.create(experiment, run)
    else:
        writer = server.runs.adopt(experiment, copy, run)
    writer.write_tags(TAGS)
    writer.write_params(run.params)
    writer.write_inputs(INPUTS)
    for start in range(0, len(POINTS), 900):
        writer.write_metrics(POINTS[start : start + 900])
    writer.finish(run, "1full.mark")
    return writer.run_id


def assert_full(server: Target, experiment: str, run: Run) -> Run:
    (copy,) = server.runs.list([experiment])
    assert copy.params == PARAMS
    assert copy.tags.items() >= {**TAGS, ORIGIN: "a" * 32, MARK: "1full.mark"}.items()
    assert (copy.status, copy.end_time, copy.name) == (run.status, run.end_time, run.name)
    assert copy.lifecycle_stage == run.lifecycle_stage
    assert len(copy.inputs) == len(INPUTS)
    points = [p for page in server.runs.metric_history(copy.run_id, "loss") for p in page]
    assert sorted(points, key=lambda point: point.step) == POINTS
    return copy


def test_all_arrives_in_as_few_calls_as_the_limits_allow(
    server: Target, proxy: Proxy, experiment: str
) -> None:
    server.capabilities()
    proxy.clear()
    run = original()
    fill(server, experiment, run)
    # 250 params, 2,500 points and the mark: no fewer than three calls of 1,000. Inputs go apart.
    assert len(proxy.matching(BATCH)) == 3
    assert len(proxy.writes()) == 1 + 3 + 2 + 1
    assert_full(server, experiment, run)


def test_all_of_it_again_changes_nothing_and_sends_no_param_or_tag_twice(
    server: Target, proxy: Proxy, experiment: str
) -> None:
    run = original()
    fill(server, experiment, run)
    (copy,) = server.runs.list([experiment])
    proxy.clear()
    fill(server, experiment, run, copy)
    # Points have no such memory; the server stores equal ones once.
    assert [write.path.rpartition("/")[2] for write in proxy.writes()] == [
        "log-inputs",
        "log-inputs",
        "log-batch",
        "log-batch",
        "log-batch",
    ]
    assert assert_full(server, experiment, run) == copy


def test_writes_whose_answers_are_lost_or_refused_for_now_are_repeated(
    server: Target, proxy: Proxy, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "time", clock())
    proxy.faults = Faults(
        every_nth(WRITES, 2, lose_response()), every_nth(WRITES, 3, answer(503, retry_after=0))
    )
    run = original(status="FAILED")
    fill(server, experiment, run)
    assert_full(server, experiment, run)
    assert {exchange.status for exchange in proxy.matching(WRITES)} == {200, 503, None}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_copy_without_its_last_batch_has_no_mark(
    server: Target, proxy: Proxy, experiment: str, number: int
) -> None:
    proxy.faults = Faults(on_nth(BATCH, number, answer(403)))
    run = original()
    with pytest.raises(NotPermitted):
        fill(server, experiment, run)
    (copy,) = server.runs.list([experiment])
    assert MARK not in copy.tags
    assert server.runs.find(experiment)["a" * 32][0].mark == ""
    # Completed, not copied again.
    fill(server, experiment, run, copy)
    assert assert_full(server, experiment, run).run_id == copy.run_id


#: More than one request of 1 MB holds; the value of each is as long as every server takes.
MANY = {f"many {n}": "x" * 5_000 for n in range(300)}


def watch_sizes(proxy: Proxy) -> list[int]:
    """Return the sizes of all requests to come, in bytes."""
    sizes = []

    def watch(body: bytes) -> bytes:
        sizes.append(len(body))
        return body

    proxy.faults = Faults(always(ANY, change_request(watch)))
    return sizes


def test_a_run_is_created_with_no_more_tags_than_a_batch_has(
    server: Target, proxy: Proxy, experiment: str
) -> None:
    sizes = watch_sizes(proxy)
    run = original(tags={**MANY, ORIGIN: "a" * 32})
    fill(server, experiment, run)
    assert max(sizes) < 1_000_000
    (copy,) = server.runs.list([experiment])
    assert {key: copy.tags.get(key) for key in run.tags} == run.tags


@pytest.mark.parametrize("of", ["tags", "params"])
def test_a_logged_model_is_created_with_no_more_tags_and_params_than_a_batch_has(
    server: Target, proxy: Proxy, experiment: str, of: str
) -> None:
    few = {"few": "1"}
    model = a_logged_model(
        source_run_id="",
        params=MANY if of == "params" else few,
        tags={ORIGIN: "m-1", **(MANY if of == "tags" else few)},
    )
    sizes = watch_sizes(proxy)
    made = server.logged_models.create(experiment, model)
    assert made.tags[ORIGIN] == "m-1"
    server.logged_models.finish(made, model, "mark")
    assert max(sizes) < 1_000_000
    (copy,) = server.logged_models.read([made.model_id])
    assert {key: copy.tags.get(key) for key in model.tags} == model.tags
    assert copy.params == model.params


@pytest.mark.parametrize("instead", ["tag", "mlflow-migrate.origin "])
def test_a_run_found_by_its_origin_that_tells_of_none_is_an_error(
    server: Target, proxy: Proxy, experiment: str, instead: str
) -> None:
    fill(server, experiment, original())
    hidden = change_response(lambda body: body.replace(ORIGIN.encode(), instead.encode()))
    proxy.faults = Faults(always(("POST", "/runs/search$"), hidden))
    with pytest.raises(Malformed, match="tells no such tag"):
        server.runs.find(experiment)


def test_a_logged_model_found_by_its_origin_that_tells_of_none_is_an_error(
    server: Target, proxy: Proxy, experiment: str
) -> None:
    server.logged_models.create(experiment, a_logged_model(source_run_id="", tags={ORIGIN: "m-1"}))
    hidden = change_response(lambda body: body.replace(ORIGIN.encode(), b"tag"))
    proxy.faults = Faults(always(("POST", "/logged-models/search$"), hidden))
    with pytest.raises(Malformed, match=r"logged model m-.* tells no such tag"):
        server.logged_models.find(experiment)


def test_a_deleted_run_is_deleted_last(server: Target, proxy: Proxy, experiment: str) -> None:
    run = original(lifecycle_stage=DELETED)
    fill(server, experiment, run)
    assert proxy.writes()[-1].path.endswith("/runs/delete")
    assert_full(server, experiment, run)


def test_a_run_that_has_not_ended_stays_so(server: Target, experiment: str) -> None:
    run = original(status="RUNNING", end_time=None, params={})
    writer = server.runs.create(experiment, run)
    writer.finish(run, "1.2")
    (copy,) = server.runs.list([experiment])
    assert (copy.status, copy.end_time, copy.tags[MARK]) == ("RUNNING", None, "1.2")


def test_nothing_is_written_for_nothing(server: Target, proxy: Proxy, experiment: str) -> None:
    run = original(status="RUNNING", end_time=None, params={})
    writer = server.runs.create(experiment, run)
    proxy.clear()
    writer.write_tags({ORIGIN: "a" * 32, "mlflow.runName": "of the server"})
    writer.write_params({})
    writer.write_metrics([])
    writer.write_inputs([])
    writer.abandon()
    assert proxy.requests == []


def test_values_that_are_no_numbers_do_not_spoil_their_batch(
    server: Target, experiment: str
) -> None:
    points = [
        Metric("loss", value, START, step)
        for step, value in enumerate([0.5, math.nan, math.inf, -math.inf, 1e-310, 2.5])
    ]
    writer = server.runs.create(experiment, original(params={}))
    writer.write_metrics(points)
    writer.finish(original(params={}), "1.2")
    found = [p for page in server.runs.metric_history(writer.run_id, "loss") for p in page]
    values = [point.value for point in sorted(found, key=lambda point: point.step)]
    largest = 1.7976931348623157e308
    assert str(values) == str([0.5, math.nan, largest, -largest, 1e-310, 2.5])


def test_a_param_that_has_another_value_on_the_target_is_a_loss_by_name(
    server: Target, proxy: Proxy, experiment: str
) -> None:
    run = original(params={"depth": "3"})
    writer = server.runs.create(experiment, run)
    writer.write_params(run.params)
    writer.finish(run, "")
    (copy,) = server.runs.list([experiment])
    proxy.faults = Faults(always(("POST", "/runs/search$"), answer(404)))
    changed = original(params={"depth": "4"})
    writer = server.runs.adopt(experiment, copy, changed)
    writer.write_params(changed.params)
    (loss,) = writer.finish(changed, "1.2")
    assert loss.what == "param depth"
    assert "Changing param values is not allowed" in loss.reason
    proxy.faults = Faults()
    (copy,) = server.runs.list([experiment])
    assert (copy.params, copy.tags[MARK]) == ({"depth": "3"}, "1.2")
    assert losses_from_tags(copy.tags) == (loss,)


@pytest.mark.parametrize("status", [400, 500])
def test_a_batch_that_is_refused_once_arrives_in_parts_and_nothing_is_lost(
    server: Target, proxy: Proxy, experiment: str, status: int
) -> None:
    proxy.faults = Faults(
        on_nth(BATCH, 1, answer(status)),
        on_nth(BATCH, 2, answer(status)),
        on_nth(BATCH, 6, answer(status)),
    )
    run = original()
    fill(server, experiment, run)
    assert_full(server, experiment, run)


def test_a_create_that_is_refused_with_all_tags_is_made_with_those_it_is_found_by(
    server: Target, proxy: Proxy, experiment: str
) -> None:
    proxy.faults = Faults(on_nth(("POST", "/runs/create$"), 1, answer(400)))
    run = original(tags={ORIGIN: "a" * 32, "team": "risk", "long": "x" * 3000})
    fill(server, experiment, run)
    assert assert_full(server, experiment, run).tags.items() >= run.tags.items()


def test_a_target_that_is_out_of_order_costs_no_request_for_every_point(
    server: Target, proxy: Proxy, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "time", clock())
    proxy.faults = Faults(always(BATCH, answer(500)))
    with pytest.raises(Unavailable):
        fill(server, experiment, original())
    assert len(proxy.matching(BATCH)) <= 10
