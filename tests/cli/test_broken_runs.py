"""Runs whose row in the server's database lacks something, so that searches fail for them all."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.tracking.stores.runs import RUNS
from migrate.origins import ORIGIN
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Faults, always, answer
from tests.proxy import Proxy
from tests.seed import Source
from tests.seed_models import ModelSource

SEARCH = ("POST", "/runs/search$")


class World:
    """An experiment with some runs, and another one beside it."""

    def __init__(self, server: TrackingServerProcess, proxy: Proxy, name: str) -> None:
        self.server = server
        self.proxy = proxy
        self.names = (f"{name} a", f"{name} b")
        with Source(server.uri) as source:
            self.inside, beside = map(source.experiment, self.names)
            self.runs = [source.run(f"r{n}", self.inside) for n in range(6)]
            self.beside = [source.run(f"other{n}", beside) for n in range(2)]

    def add_run(self, label: str, *, parent: str = "") -> str:
        with Source(self.server.uri) as source:
            tags = {"mlflow.parentRunId": parent} if parent else {}
            return source.run(label, self.inside, tags=tags)

    def copies(self) -> dict[str, str]:
        """The copies in these experiments, by the ids of their originals."""
        with Source(self.server.uri) as source:
            found = source.post("experiments/search", {"max_results": 999})["experiments"]
            ids = [item["experiment_id"] for item in found if item["name"] in self.names]
            condition = f"tags.`{ORIGIN}` LIKE '%'"
            body = {"experiment_ids": ids, "filter": condition}
            runs = source.post("runs/search", body).get("runs", [])
        return {origin_of(run): run["info"]["run_id"] for run in runs}

    def set_null(self, column: str, run_ids: Sequence[str]) -> None:
        database = self.server.directory / "mlflow.db"
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as rows, rows:
            for run_id in run_ids:
                rows.execute(f"UPDATE runs SET {column} = NULL WHERE run_uuid = ?", [run_id])

    def repair(self) -> None:
        """Server-wide listings of other tests would meet these rows."""
        database = self.server.directory / "mlflow.db"
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as rows, rows:
            rows.execute(
                "UPDATE runs SET start_time = coalesce(start_time, 1),"
                " status = coalesce(status, 'FINISHED'), user_id = coalesce(user_id, '')"
            )

    @property
    def selected(self) -> tuple[str, str]:
        return "--experiments", ",".join(self.names)


@pytest.fixture
def world(
    source_server: TrackingServerProcess, proxy_factory: ProxyFactory, unique_name: str
) -> Iterator[World]:
    made = World(source_server, proxy_factory(source_server.uri), unique_name)
    yield made
    made.repair()


def origin_of(run: dict[str, Any]) -> str:
    return next(tag["value"] for tag in run["data"]["tags"] if tag["key"] == ORIGIN)


@pytest.fixture
def target(
    target_server: TrackingServerProcess, proxy_factory: ProxyFactory, unique_name: str
) -> Iterator[World]:
    """Others' runs, in experiments of the names of the source's."""
    made = World(target_server, proxy_factory(target_server.uri), unique_name)
    yield made
    made.repair()


def run_names(server: TrackingServerProcess) -> set[str]:
    with Source(server.uri) as source:
        found = source.post("experiments/search", {"max_results": 99})["experiments"]
        ids = [item["experiment_id"] for item in found]
        runs = source.post("runs/search", {"experiment_ids": ids}).get("runs", [])
    return {run["info"]["run_name"] for run in runs}


def ends(world: World, target: World) -> tuple[str, ...]:
    return world.server.uri, target.server.uri, *world.selected


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        pytest.param("start_time", [2], marks=pytest.mark.thorough),
        pytest.param("status", [0], marks=pytest.mark.thorough),
        pytest.param("user_id", [1, 5], marks=pytest.mark.thorough),
    ],
)
def test_a_run_that_no_search_serves_fails_by_name_and_all_others_are_copied(
    typed: Typed, world: World, fresh_target: TrackingServerProcess, column: str, bad: list[int]
) -> None:
    broken = [world.runs[place] for place in bad]
    world.set_null(column, broken)
    ends = (world.proxy.uri, fresh_target.uri, *world.selected)
    planned = typed("plan", *ends, "--json").stdout
    assert all(run_id in planned for run_id in broken)
    assert len(world.proxy.matching(SEARCH)) < 400 * len(bad)

    report = json.loads(typed("run", *ends, "--json", code=3).stdout)
    assert {failure["id"] for failure in report["failures"]} == set(broken)
    assert all(f"{column} cannot be None" in failure["error"] for failure in report["failures"])
    assert run_names(fresh_target) == {f"r{n}" for n in range(6) if n not in bad} | {
        "other0",
        "other1",
    }
    verified = json.loads(typed("verify", *ends, "--json", code=3).stdout)
    assert {item["id"] for item in verified["differences"]} == set(broken)

    world.repair()
    typed("run", *ends)
    assert len(run_names(fresh_target)) == 8
    typed("verify", *ends)


@pytest.mark.thorough
def test_a_version_of_a_run_that_cannot_be_served_any_more_is_in_nobodys_way(
    typed: Typed, world: World, fresh_target: TrackingServerProcess
) -> None:
    broken, name = world.runs[2], world.names[0]
    with ModelSource(world.server.uri) as source:
        source.registered(name)
        source.version(name, f"runs:/{broken}/model", run_id=broken)
        source.version(name, f"runs:/{world.runs[1]}/model", run_id=world.runs[1])
    ends = (world.proxy.uri, fresh_target.uri, *world.selected, "--models", name)
    ends += ("--import-source-tags",)
    typed("run", *ends)
    world.set_null("start_time", [broken])
    report = json.loads(typed("run", *ends, "--json", code=3).stdout)
    assert {failure["id"] for failure in report["failures"]} == {broken}
    verified = json.loads(typed("verify", *ends, "--json", code=3).stdout)
    assert f"{name}/2" not in {item["id"] for item in verified["differences"]}


@pytest.mark.thorough
def test_an_export_has_all_but_the_run_that_no_search_serves(
    typed: Typed, world: World, tmp_path: Path
) -> None:
    world.set_null("start_time", world.runs[3:4])
    world.set_null("user_id", world.beside[:1])
    done = typed("run", world.proxy.uri, tmp_path / "export", *world.selected, "--json", code=3)
    report = json.loads(done.stdout)
    assert {failure["id"] for failure in report["failures"]} == {world.runs[3], world.beside[0]}
    assert report["totals"]["run"]["done"] == 6


@pytest.mark.thorough
def test_a_broken_run_beyond_the_first_page_is_found(
    typed: Typed, world: World, fresh_target: TrackingServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrate.endpoints.tracking.stores.runs.RUNS", RUNS._replace(per_page=2))
    world.set_null("status", world.runs[:1])  # ordered by start: all began at once
    done = typed("run", world.proxy.uri, fresh_target.uri, *world.selected, "--json", code=3)
    assert [failure["id"] for failure in json.loads(done.stdout)["failures"]] == world.runs[:1]
    assert len(run_names(fresh_target)) == 7


def test_a_source_that_is_out_of_order_is_not_searched_for_a_broken_run(
    typed: Typed, world: World, fresh_target: TrackingServerProcess
) -> None:
    world.proxy.faults = Faults(always(SEARCH, answer(500)))
    typed("plan", world.proxy.uri, fresh_target.uri, *world.selected, code=1)
    assert len(world.proxy.matching(SEARCH)) < 20


@pytest.mark.thorough
def test_a_broken_run_of_others_on_the_target_is_in_nobodys_way(
    typed: Typed, world: World, target: World
) -> None:
    """Only copies are searched on a target."""
    target.set_null("start_time", target.runs[:1])
    typed("run", *ends(world, target))
    typed("run", *ends(world, target))


@pytest.mark.thorough
def test_a_copy_that_its_target_cannot_serve_fails_by_name_and_is_not_made_again(
    typed: Typed, world: World, target: World
) -> None:
    typed("run", *ends(world, target))
    copies = target.copies()
    target.set_null("start_time", [copies[world.runs[2]]])
    world.add_run("late")
    report = json.loads(typed("run", *ends(world, target), "--json", code=3).stdout)
    [failure] = report["failures"]
    assert failure["id"] == world.runs[2]
    assert copies[world.runs[2]] in failure["error"]
    assert "repair its row" in failure["hint"]
    assert report["totals"]["run"]["done"] == 8

    target.repair()
    typed("run", *ends(world, target))
    assert target.copies().items() >= copies.items()
    assert len(target.copies()) == 9


# Each of its commands repeats for half a minute what the server answers 500 to.
@pytest.mark.timeout(900)
@pytest.mark.thorough
def test_a_copy_that_cannot_be_served_is_named_by_every_command(
    typed: Typed, world: World, target: World
) -> None:
    typed("run", *ends(world, target))
    copies = target.copies()
    broken = world.runs[5]
    target.set_null("status", [copies[broken]])
    assert copies[broken] in typed("plan", *ends(world, target), "--json").stdout
    for options in ([*world.selected, "--quick"], ["--resume"], [*world.selected, "--repair"]):
        done = typed("run", *ends(world, target)[:2], *options, "--json", code=3)
        assert [it["id"] for it in json.loads(done.stdout)["failures"]] == [broken]
    verified = json.loads(typed("verify", *ends(world, target), "--json", code=3).stdout)
    assert [item["id"] for item in verified["differences"]] == [broken]

    target.repair()
    typed("run", *ends(world, target))
    typed("verify", *ends(world, target))
    assert target.copies() == copies


@pytest.mark.thorough
def test_the_child_of_a_copy_that_cannot_be_served_waits_and_all_others_are_copied(
    typed: Typed, world: World, target: World
) -> None:
    world.add_run("child", parent=world.runs[0])
    typed("run", *ends(world, target))
    target.set_null("status", [target.copies()[world.runs[0]]])
    world.add_run("child too", parent=world.runs[0])
    report = json.loads(typed("run", *ends(world, target), "--json", code=3).stdout)
    assert [failure["id"] for failure in report["failures"]] == [world.runs[0]]
    assert report["totals"]["run"]["done"] == 7
    target.repair()
    typed("run", *ends(world, target))
    typed("verify", *ends(world, target))
