"""Experiments whose row in the database is damaged, so that their listing fails for them all."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Faults, always, answer
from tests.seed import Source


@contextlib.contextmanager
def damaged(server: TrackingServerProcess, ids: Sequence[str]) -> Iterator[None]:
    """Times that are no numbers, for the length of a block."""

    def change(value: object) -> None:
        database = server.directory / "mlflow.db"
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as rows, rows:
            for ident in ids:
                statement = "UPDATE experiments SET creation_time = ? WHERE experiment_id = ?"
                rows.execute(statement, [value, int(ident)])

    change("long ago")
    try:
        yield
    finally:
        change(1_700_000_000_000)


def make(server: TrackingServerProcess, name: str) -> list[str]:
    with Source(server.uri) as source:
        made = [source.experiment(f"{name} {n}") for n in range(5)]
        for experiment in made:
            source.run("r", experiment)
    return made


@pytest.mark.thorough  # the first listing is tried again for as long as any that fails
@pytest.mark.parametrize("bad", [[1, 3], [4]], ids=["two-and-one-between", "the-last"])
def test_an_experiment_that_cannot_be_served_fails_by_name_and_all_others_are_copied(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    unique_name: str,
    bad: list[int],
) -> None:
    made = make(fresh_source, unique_name)
    broken = {made[place] for place in bad}
    ends = (fresh_source.uri, fresh_target.uri)
    with damaged(fresh_source, sorted(broken)):
        report = json.loads(typed("run", *ends, "--json", code=3).stdout)
    assert {failure["id"] for failure in report["failures"]} == broken
    assert {"repair its row" in failure["hint"] for failure in report["failures"]} == {True}
    with Source(fresh_target.uri) as target:
        found = target.post("experiments/search", {"max_results": 99})["experiments"]
    names = {item["name"] for item in found}
    expected = {f"{unique_name} {n}" for n in range(5) if n not in bad}
    assert {name for name in names if name.startswith(unique_name)} == expected
    typed("run", *ends)


@pytest.mark.thorough
def test_an_experiment_of_the_target_that_cannot_be_served_is_named(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    unique_name: str,
) -> None:
    make(fresh_source, unique_name)
    (broken, *_) = make(fresh_target, f"{unique_name} of the target")
    with damaged(fresh_target, [broken]):
        ends = (fresh_source.uri, fresh_target.uri)
        says = f"the target has experiment {broken} and cannot serve it"
        typed.fails("run", *ends, code=1, says=says, hints="repair its row")


@pytest.mark.thorough
def test_experiments_that_no_route_shows_are_not_taken_for_missing(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    unique_name: str,
) -> None:
    made = make(fresh_source, unique_name)
    source = proxy_factory(fresh_source.uri)
    source.faults = Faults(always(("GET", "/experiments/get$"), answer(404)))
    with damaged(fresh_source, [made[2]]):
        done = typed("run", source.uri, fresh_target.uri, "--json", code=3)
    assert "does not serve all of its experiments" in done.stdout
    with Source(fresh_target.uri) as target:
        found = target.post("experiments/search", {"max_results": 99})["experiments"]
    assert {f"{unique_name} {n}" for n in (0, 1, 3, 4)} <= {item["name"] for item in found}
