"""Each kind arrives whole, once, by either way; what is the target's own stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.comparison_records import NO_WRITES, SEEDED, in_order
from tests.conftest import ProxyFactory
from tests.endpoints.databases import assert_the_same
from tests.faults import Faults, lose_response, on_nth
from tests.seed_records import Api, Seeded


@pytest.fixture(scope="module")
def filled(fresh_source: TrackingServerProcess) -> Callable[[Seeded], Api]:
    """Fills the source with the objects of a kind, once."""
    api = Api(fresh_source.uri)
    done: set[str] = set()

    def fill(seeded: Seeded) -> Api:
        if seeded.kind not in done:
            done.add(seeded.kind)
            seeded.seed(api)
            api.lossy = api.lossy or bool(seeded.losses)
        return api

    return fill


@pytest.fixture
def every_kind(filled: Callable[[Seeded], Api]) -> Api:
    """The source with the objects of all kinds."""
    return [filled(it) for it in SEEDED][-1]


#: The kinds of which all is tried every day: one with contents.
DAILY = ("evaluation dataset",)


def _each(kinds: Collection[str]) -> list[Any]:
    """Each kind as a parameter; those not of ``kinds`` are for acceptance."""
    return [
        pytest.param(
            it,
            id=it.kind.replace(" ", "-"),
            marks=() if it.kind in kinds else pytest.mark.thorough,
        )
        for it in SEEDED
    ]


@pytest.fixture(params=_each(DAILY))
def seeded(request: pytest.FixtureRequest) -> Seeded:
    """What goes the same way for all kinds: some of them every day, all in acceptance."""
    found: Seeded = request.param
    return found


def code(source: Api) -> int:
    """Return how a run ends: what is always lost of something is one reason for a 3."""
    return 3 if source.lossy else 0


def test_each_arrives_whole_and_a_second_run_writes_nothing(
    typed: Typed,
    every_kind: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    source, target = every_kind, Api(fresh_target.uri)
    counts = {it.kind: it.count for it in SEEDED}
    proxy = proxy_factory(fresh_target.uri)
    ends = (fresh_source.uri, proxy.uri)
    plan = json.loads(typed("plan", *ends, "--json").stdout)
    assert {kind: _of_kind(plan["tasks"], kind) for kind in counts} == counts
    assert counts.keys().isdisjoint(plan["unsupported"])
    typed("run", *ends, code=code(source))
    for seeded in SEEDED:
        assert in_order(seeded.shown(target)) == in_order(seeded.shown(source)), seeded.kind
    compared = json.loads(typed("verify", *ends, "--json").stdout)["compared"]
    assert {kind: compared[kind] for kind in counts} == counts
    pairs = json.loads(typed("map", "--json").stdout)
    assert {kind: _of_kind(pairs, kind) for kind in counts} == counts

    proxy.clear()
    typed("run", *ends, code=code(source))
    assert [it for it in proxy.writes() if not re.search(NO_WRITES, it.path)] == []


def _of_kind(entries: list[dict[str, Any]], kind: str) -> int:
    return sum(it["kind"] == kind for it in entries)


def test_a_database_gives_each_as_its_server_does(
    every_kind: Api, fresh_source: TrackingServerProcess
) -> None:
    assert_the_same(fresh_source, [it.kind for it in SEEDED])


@pytest.mark.thorough
def test_what_changed_at_the_source_is_carried_over_and_what_the_state_forgot_adopted(
    typed: Typed,
    tmp_path: Path,
    seeded: Seeded,
    own_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
) -> None:
    source, target = Api(own_source.uri), Api(fresh_target.uri)
    seeded.seed(source)
    source.lossy = bool(seeded.losses)
    ends = (own_source.uri, fresh_target.uri, "--state", str(tmp_path / "one.db"))
    typed("run", *ends, code=code(source))
    forgotten = (*ends[:-1], str(tmp_path / "two.db"))
    typed("run", *forgotten, code=code(source))
    assert len(seeded.shown(target)) == len(seeded.shown(source))
    for state in (ends, forgotten):
        seeded.change(source)
        typed("run", *state, code=code(source))
        typed("run", *state, "--repair", code=code(source))  # takes off what is there no more
        assert in_order(seeded.shown(target)) == in_order(seeded.shown(source))


def test_a_create_whose_answer_is_lost_makes_no_second_copy(
    typed: Typed,
    filled: Callable[[Seeded], Api],
    seeded: Seeded,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    source, target = filled(seeded), Api(fresh_target.uri)
    proxy = proxy_factory(fresh_target.uri)
    proxy.faults = Faults(
        *(on_nth(("POST", seeded.create), nth, lose_response()) for nth in (1, seeded.count))
    )
    typed("run", fresh_source.uri, proxy.uri, code=code(source))
    assert in_order(seeded.shown(target)) == in_order(seeded.shown(source))


@pytest.mark.thorough
def test_all_go_through_a_directory(
    typed: Typed,
    tmp_path: Path,
    every_kind: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
) -> None:
    source, target = every_kind, Api(fresh_target.uri)
    export = str(tmp_path / "export")
    named = {"MLFLOW_TRACKING_URI": fresh_source.uri}
    typed("export-all", "--output-dir", export, env=named, code=code(source))
    typed("verify", fresh_source.uri, export)
    typed("run", fresh_source.uri, export, code=code(source))
    typed("run", export, fresh_target.uri, code=code(source))
    for seeded in SEEDED:
        assert in_order(seeded.shown(target)) == in_order(seeded.shown(source)), seeded.kind
    typed("verify", export, fresh_target.uri)


def test_what_is_the_targets_own_is_kept_and_named(
    typed: Typed,
    filled: Callable[[Seeded], Api],
    seeded: Seeded,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
) -> None:
    if seeded.own is None:
        pytest.skip("a copy of this kind says itself whose it is")
    filled(seeded)
    target = Api(fresh_target.uri)
    seeded.own(target)
    [own] = seeded.shown(target)
    for _ in range(2):
        said = typed("run", fresh_source.uri, fresh_target.uri, code=3).stdout
        assert "the target's own" in said
        shown = in_order(seeded.shown(target))
        assert json.dumps(own, sort_keys=True) in shown
        assert len(shown) == seeded.count


def test_what_is_in_a_deleted_experiment_is_copied_once_and_it_is_not_opened_again(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    source, target = Api(fresh_source.uri), Api(fresh_target.uri)
    experiment = source.experiment("in the trash")
    body = {"experiment_id": experiment, "name": "late", "description": "It is late."}
    source("POST", "issues", body)
    source("POST", "experiments/delete", {"experiment_id": experiment}, api="2.0")
    proxy = proxy_factory(fresh_target.uri)
    chosen = ("--experiments", "in the trash", "--include-deleted")
    typed("run", fresh_source.uri, proxy.uri, *chosen)
    [issue] = target("POST", "issues/search", {"max_results": 10})["issues"]
    assert issue["name"] == "late"
    proxy.clear()
    typed("run", fresh_source.uri, proxy.uri, *chosen)
    typed("run", fresh_source.uri, proxy.uri, *chosen, "--state", "another.db")
    assert [it for it in proxy.writes() if "experiment-tag" not in it.path] == []
