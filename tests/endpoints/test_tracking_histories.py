"""Metric histories of a real server: every point, however many, by whichever route there is."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source
from migrate.endpoints.answers import Histories
from migrate.endpoints.protocols import Target
from migrate.errors import Malformed
from migrate.objects import Metric, Run
from tests.conftest import ProxyFactory
from tests.faults import Faults, always, answer, change_response
from tests.proxy import Proxy
from tests.seed import START, Source

BULK = ("GET", r"/metrics/get-history-bulk$")
SINGLE = ("GET", r"/metrics/get-history$")
BUDGET = 1_000_000

#: Points of every run by key: together "long" has more than one bulk answer holds, and ends
#: within the third run.
LENGTHS = [
    {"long": 9_000, "short": 3},
    {"long": 9_000, "other": 2},
    {"long": 12_000, "short": 1, "other": 5},
    {"short": 2},
    {},
]


class World:
    """An experiment with runs of these lengths, seen through a proxy that counts."""

    def __init__(self, server: Target, proxy: Proxy, experiment: str) -> None:
        self.server = server
        self.proxy = proxy
        self.experiment = experiment
        # The server answers in bulk by run id, so this is the order in which it cuts off.
        self.runs = sorted(server.runs.list([experiment]), key=lambda run: run.run_id)

    def read(self, runs: Sequence[Run], budget: int = BUDGET) -> dict[str, Histories]:
        self.proxy.clear()
        return self.server.runs.histories(runs, budget)

    def read_all(self, budget: int) -> dict[str, Histories]:
        """Ask again for those that did not fit, as the tasks do."""
        left, found = list(self.runs), dict[str, Histories]()
        while left:
            some = self.read(left, budget)
            assert some, "at least one run is read each time"
            if len(some) > 1:
                assert sum(len(history.points) for history in some.values()) <= budget
            found |= some
            left = [run for run in left if run.run_id not in some]
        return found

    def streamed(self, run: Run, key: str) -> list[Metric]:
        pages = list(self.server.runs.metric_history(run.run_id, key))
        assert all(len(page) <= 10_000 for page in pages)
        return [point for page in pages for point in page]


@pytest.fixture(scope="module")
def seeded(target_server: TrackingServerProcess) -> Iterator[str]:
    """The id of the experiment; its long histories are put beside the server into its database."""
    with Source(target_server.uri, prefix="histories ") as source:
        experiment = source.experiment("a")
        ids = sorted(source.run(f"r{n}", experiment) for n in range(len(LENGTHS)))
        for run_id, lengths in zip(ids, LENGTHS, strict=True):
            source.metrics(run_id, [points_of(key, n)[-1] for key, n in lengths.items()])
        rows = [
            (key, value, timestamp, step, run_id)
            for run_id, lengths in zip(ids, LENGTHS, strict=True)
            for name, number in lengths.items()
            for key, value, timestamp, step in points_of(name, number)[:-1]
        ]
        database = target_server.directory / "mlflow.db"
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            connection.executemany(
                "INSERT INTO metrics (key, value, timestamp, step, run_uuid, is_nan)"
                " VALUES (?, ?, ?, ?, ?, 0)",
                rows,
            )
        yield experiment


def points_of(key: str, number: int) -> list[Metric]:
    return [Metric(key, n / 8, START + n, n) for n in range(number)]


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def world(proxy: Proxy, seeded: str) -> Iterator[World]:
    with closing(open_source(Address(uri=proxy.uri, side="source"))) as server:
        yield World(server, proxy, seeded)


def lengths(read: Mapping[str, Histories], runs: Sequence[Run]) -> list[dict[str, int]]:
    """Count the points read, checking each; keys that are left to be streamed count -1."""
    found = []
    for run in runs:
        history = read[run.run_id]
        keys = {point.key: 0 for point in history.points}
        for key in keys:
            points = [point for point in history.points if point.key == key]
            assert sorted(points, key=lambda p: p.step) == points_of(key, len(points))
            keys[key] = len(points)
        found.append(keys | dict.fromkeys(history.unread, -1))
    return found


def test_all_points_of_many_runs_are_read_in_bulk_and_what_is_cut_off_again(world: World) -> None:
    read = world.read(world.runs)
    assert lengths(read, world.runs) == LENGTHS
    assert len(world.proxy.matching(BULK)) == 3
    # The run within which the answer ended: two pages. The runs before it are whole.
    assert len(world.proxy.matching(SINGLE)) == 2


def test_without_the_bulk_route_each_key_of_each_run_is_asked_for(world: World) -> None:
    world.proxy.faults = Faults(always(BULK, answer(404)))
    assert lengths(world.read(world.runs), world.runs) == LENGTHS
    assert len(world.proxy.matching(BULK)) == 1
    assert len(world.proxy.matching(SINGLE)) == 9
    # It is remembered that there is none.
    assert lengths(world.read(world.runs[:1]), world.runs[:1]) == LENGTHS[:1]
    assert world.proxy.matching(BULK) == []


def test_a_bulk_route_that_refuses_is_no_bulk_route(world: World) -> None:
    world.proxy.faults = Faults(always(BULK, answer(400)))
    assert lengths(world.read(world.runs[3:]), world.runs[3:]) == LENGTHS[3:]


@pytest.mark.parametrize("member", ["key", "run_id"])
def test_a_point_of_something_else_in_a_bulk_answer_has_all_of_it_read_again(
    world: World, member: str
) -> None:
    def lie(body: bytes) -> bytes:
        told = json.loads(body)
        told["metrics"][0][member] = "another"
        return json.dumps(told).encode()

    world.proxy.faults = Faults(always(BULK, change_response(lie)))
    assert lengths(world.read(world.runs), world.runs) == LENGTHS


@pytest.mark.parametrize("instead", ["another", 17])
def test_a_point_of_another_metric_in_a_history_is_no_point_of_it(
    world: World, instead: object
) -> None:
    def lie(body: bytes) -> bytes:
        told = json.loads(body)
        told["metrics"][0]["key"] = instead
        return json.dumps(told).encode()

    world.proxy.faults = Faults(always(SINGLE, change_response(lie)))
    with pytest.raises(Malformed, match="where the points of 'short' were asked for"):
        world.streamed(world.runs[0], "short")


def test_runs_that_do_not_fit_are_read_later_none_is_left_out(world: World) -> None:
    assert lengths(world.read_all(20_000), world.runs) == LENGTHS


def test_a_run_with_more_than_fits_says_what_is_left_to_be_streamed(world: World) -> None:
    run = world.runs[2]
    (found,) = lengths(world.read([run], 11_000), [run])
    assert found["long"] == -1
    assert world.streamed(run, "long") == points_of("long", 12_000)
    for key in [key for key, number in found.items() if number == -1]:
        assert world.streamed(run, key) == points_of(key, LENGTHS[2][key])


def test_a_metric_that_is_not_there_has_no_points(world: World) -> None:
    assert world.streamed(world.runs[4], "nothing") == []


def test_values_that_are_no_numbers_come_as_they_are_by_both_routes(
    world: World, seeded: str, target_server: TrackingServerProcess
) -> None:
    with Source(target_server.uri) as source:
        ids = [source.run(f"odd{n}", seeded) for n in range(2)]
        for run_id in ids:
            source.metrics(run_id, [("odd key/ü", "NaN", 1, -5), ("odd key/ü", "Infinity", 2, 0)])
    runs = world.server.runs.read_in(seeded, ids)
    read = world.read(runs)
    assert len(world.proxy.matching(BULK)) == 1
    largest = 1.7976931348623157e308
    expected = sorted(map(repr, [("NaN", 1, -5), (largest, 2, 0)]))
    for run in runs:
        for points in (read[run.run_id].points, world.streamed(run, "odd key/ü")):
            found = [
                ("NaN" if p.value != p.value else p.value, p.timestamp, p.step) for p in points
            ]
            assert sorted(map(repr, found)) == expected
