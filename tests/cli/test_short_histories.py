"""Servers and gateways that tell less of a metric's history than there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, always, answer, answer_with, change_response
from tests.proxy import Proxy
from tests.seed import START, Source

BULK = ("GET", r"/metrics/get-history-bulk$")
SINGLE = ("GET", r"/metrics/get-history$")
POINTS = 4
LATEST = 9.5


@pytest.fixture(scope="module")
def experiment(source_server: TrackingServerProcess) -> str:
    """The name of an experiment with three runs, each with the same two metrics."""
    with Source(source_server.uri) as source:
        name = "short histories"
        inside = source.experiment(name)
        for label in ("a", "b", "c"):
            run = source.run(label, inside)
            loss = [("loss", 1 / (1 + n), START + n, n) for n in range(POINTS - 1)]
            source.metrics(run, [*loss, ("loss", LATEST, START + POINTS, POINTS)])
            source.metrics(run, [("odd", "NaN", START, 1), ("odd", "-Infinity", START, 2)])
    return name


@pytest.fixture
def odd_source(source_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(source_server.uri)


def told(change: Callable[[list[dict[str, object]]], list[dict[str, object]]]) -> Fault:
    """The server's points, with only some of them left."""

    def body(content: bytes) -> bytes:
        answer = json.loads(content)
        answer["metrics"] = change(answer.get("metrics", []))
        return json.dumps(answer).encode()

    return change_response(body)


def without_one_run(points: list[dict[str, object]]) -> list[dict[str, object]]:
    left_out = min((str(point["run_id"]) for point in points), default="")
    return [point for point in points if point["run_id"] != left_out]


SHORT_BULK = {
    "an empty answer": answer_with("{}"),
    "an empty page": told(lambda points: []),
    "cut off in the middle": told(lambda points: points[: len(points) // 2]),
    "one run left out": told(without_one_run),
    "a web page": answer_with("<html>please log in</html>", content_type="text/html"),
    "out of order": answer(500),
}
SHORT_SINGLE = {
    "an empty object": answer_with("{}"),
    "without the last point": told(lambda points: points[:-1]),
    "not permitted": answer(403),
    "a web page": answer_with("<html>please log in</html>", content_type="text/html"),
}
EVERY_DAY = {"an empty object", "one run left out"}


def some(faults: dict[str, Fault]) -> list[object]:
    return [
        pytest.param(fault, id=name, marks=() if name in EVERY_DAY else pytest.mark.thorough)
        for name, fault in faults.items()
    ]


def copied_losses(target: TrackingServerProcess, name: str) -> dict[str, list[float]]:
    """The points of "loss" on the target, by name of the run."""
    with Source(target.uri) as server:
        found = server.post("experiments/search", {"filter": f"name = '{name}'", "max_results": 9})
        ids = [item["experiment_id"] for item in found["experiments"]]
        runs = server.post("runs/search", {"experiment_ids": ids})["runs"]
        values = {}
        for run in runs:
            query = f"run_id={run['info']['run_id']}&metric_key=loss&max_results=100"
            points = server.send("GET", f"metrics/get-history?{query}", {})["metrics"]
            values[run["info"]["run_name"]] = sorted(point["value"] for point in points)
    return values


@pytest.mark.parametrize("fault", some(SHORT_BULK))
def test_what_a_bulk_answer_lacks_is_read_again_run_by_run(
    typed: Typed,
    odd_source: Proxy,
    fresh_target: TrackingServerProcess,
    experiment: str,
    fault: Fault,
) -> None:
    odd_source.faults = Faults(always(BULK, fault))
    # One worker takes all runs together, so that they are read in bulk.
    ends = (odd_source.uri, fresh_target.uri, "--experiments", experiment, "--workers", "1")
    done = typed("run", *ends)
    assert "nothing lost" in done.stdout
    assert len(odd_source.matching(BULK)) >= 1
    values = copied_losses(fresh_target, experiment)
    assert {len(points) for points in values.values()} == {POINTS}
    assert len(values) == 3
    typed("verify", *ends)


@pytest.mark.parametrize("fault", some(SHORT_SINGLE))
def test_a_metric_whose_history_is_not_told_is_a_loss_by_name_and_its_latest_point_arrives(
    typed: Typed,
    odd_source: Proxy,
    fresh_target: TrackingServerProcess,
    experiment: str,
    fault: Fault,
) -> None:
    odd_source.faults = Faults(always(BULK, answer(404)), always(SINGLE, fault))
    ends = (odd_source.uri, fresh_target.uri, "--experiments", experiment)
    first = typed("run", *ends, "--json", code=3)
    lost = json.loads(first.stdout)["losses"]
    assert {loss["what"] for loss in lost} >= {"metric loss"}
    assert all("could not be read whole" in loss["reason"] for loss in lost)
    assert all(LATEST in points for points in copied_losses(fresh_target, experiment).values())

    # It is still said when the copies are only looked at, and by verify against the other end.
    assert "metric loss" in typed("run", *ends, code=3).stdout
    verified = json.loads(typed("verify", *ends, "--json").stdout)
    assert "metric loss" in {loss["what"] for loss in verified["declared"]}

    odd_source.faults = Faults()
    healed = typed("run", *ends)
    assert "nothing lost" in healed.stdout
    assert {len(v) for v in copied_losses(fresh_target, experiment).values()} == {POINTS}
    typed("verify", *ends)


def test_verify_does_not_agree_because_both_ends_tell_nothing(
    typed: Typed,
    odd_source: Proxy,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    experiment: str,
) -> None:
    target = proxy_factory(fresh_target.uri)
    ends = (odd_source.uri, target.uri, "--experiments", experiment)
    typed("run", *ends)
    target.faults = Faults(always(BULK, answer_with("{}")), always(SINGLE, answer_with("{}")))
    assert "metric loss" in typed("verify", *ends, code=3).stdout
    odd_source.faults = target.faults
    said = typed("verify", *ends, code=3).stdout
    assert "at the source" in said
    assert "could not be read whole" in said


def test_an_export_keeps_the_whole_history_it_has_when_the_source_tells_less(
    typed: Typed, odd_source: Proxy, tmp_path: Path, experiment: str
) -> None:
    ends = (odd_source.uri, tmp_path / "export", "--experiments", experiment)
    typed("run", *ends)
    odd_source.faults = Faults(
        always(BULK, answer(404)), always(SINGLE, told(lambda points: points[:-1]))
    )
    assert "metric loss" in typed("run", *ends, code=3).stdout
