"""Values of an export that no server can store, and targets that drop what they were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.objects import NO_LINKS, Metric
from migrate.origins import ORIGIN
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.endpoints.exports import a_run, an_experiment, write_run
from tests.faults import Faults, Match, always, answer_with, change_request
from tests.seed import START, Source

HALF = "\ud800"
#: By run id: what is odd about it, and what is lost of it by name.
ODD: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a" * 32: ({"tags": {"team": f"a{HALF}b"}, "user_id": HALF}, {"tag team", "user id"}),
    "c" * 32: ({"status": "PAUSED"}, {"status"}),
    "d" * 32: (
        {"params": {f"p{HALF}": "1", "": "2", "k" * 251: "3", "ok": "4"}},
        {"param p\ufffd"},
    ),
    "e" * 32: (
        {"latest_metrics": (Metric("loss", 0.5, START, 2**70), Metric("loss", 0.25, START, 3))},
        {"metric loss"},
    ),
}
CREATE_RUN: Match = ("POST", "/runs/create$")


def export(folder: Path, name: str) -> Path:
    """Write an export of one experiment with a sound run and the odd ones."""
    with closing(open_target(Address(uri=str(folder), side="target"))) as target:
        target.experiments.create(an_experiment(name=name))
        write_run(target, a_run("f" * 32, name="sound", links=NO_LINKS))
        for run_id, (changes, _) in ODD.items():
            fields = {"links": NO_LINKS, "latest_metrics": (), **changes}
            points = fields["latest_metrics"]
            write_run(target, a_run(run_id, **fields), points=points)
        target.publish()
    return folder


def found_in(uri: str, name: str) -> list[dict[str, Any]]:
    """All runs of an experiment, of the trash too."""
    with Source(uri) as server:
        search = {"max_results": 2, "filter": f"name = '{name}'"}
        (experiment,) = server.post("experiments/search", search)["experiments"]
        body = {"experiment_ids": [experiment["experiment_id"]], "run_view_type": "ALL"}
        runs: list[dict[str, Any]] = server.post("runs/search", body).get("runs", [])
    return runs


def runs_of(uri: str, name: str) -> dict[str, dict[str, Any]]:
    """The runs of an experiment, each once, by the ids they had at the source."""
    runs = found_in(uri, name)
    by_origin = {tags_of(run).get(ORIGIN, ""): run for run in runs}
    assert "" not in by_origin
    assert len(by_origin) == len(runs)
    return by_origin


def tags_of(run: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def test_what_no_server_stores_is_a_loss_by_name_and_no_second_copy_is_made(
    typed: Typed, fresh_target: TrackingServerProcess, unique_name: str, tmp_path: Path
) -> None:
    folder = export(tmp_path / "export", unique_name)
    for writes in (True, False):
        ended = json.loads(typed("run", folder, fresh_target.uri, "--json", code=3).stdout)
        losses: dict[str, set[str]] = {}
        for loss in ended["losses"]:
            losses.setdefault(loss["id"], set()).add(loss["what"])
        assert losses.keys() == ODD.keys()
        assert all(named <= losses[run_id] for run_id, (_, named) in ODD.items()), losses
        assert bool(ended["totals"]["run"]["wrote"]) is writes
    copies = runs_of(fresh_target.uri, unique_name)
    assert copies.keys() == {*ODD, "f" * 32}
    assert copies["c" * 32]["info"]["status"] == "RUNNING"
    assert tags_of(copies["a" * 32])["team"] == "a\ufffdb"
    typed("verify", folder, fresh_target.uri)


def without_tags(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "tags": []}).encode()


def test_a_run_made_without_its_origin_gets_it_or_goes_to_the_trash(
    typed: Typed,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    unique_name: str,
) -> None:
    with Source(source_server.uri) as source:
        source.run("a", source.experiment(unique_name))
    proxy = proxy_factory(target_server.uri)
    args = ("run", source_server.uri, proxy.uri, "--experiments", unique_name)
    drops = always(CREATE_RUN, change_request(without_tags))

    proxy.faults = Faults(drops, always(("POST", "/runs/log-batch$"), answer_with("{}")))
    failed = typed(*args, code=3).stdout
    assert "without the tags it was sent" in failed
    made = found_in(target_server.uri, unique_name)
    assert [run["info"]["lifecycle_stage"] for run in made] == ["deleted"]

    proxy.faults = Faults(drops)
    typed(*args)
    proxy.faults = Faults()
    assert "Wrote nothing" in typed(*args).stdout


@pytest.mark.thorough
def test_a_create_answered_with_an_empty_object_is_looked_for(
    typed: Typed,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    unique_name: str,
) -> None:
    with Source(source_server.uri) as source:
        source.run("a", source.experiment(unique_name))
    proxy = proxy_factory(target_server.uri)
    proxy.faults = Faults(always(("POST", "/(runs|experiments)/create$"), answer_with("{}")))
    args = ("run", source_server.uri, proxy.uri, "--experiments", unique_name)
    assert "missing" in typed(*args, code=3).stdout
    proxy.faults = Faults()
    typed(*args)
    assert len(runs_of(target_server.uri, unique_name)) == 1
