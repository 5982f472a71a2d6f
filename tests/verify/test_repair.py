"""``migrate run --repair``: copies that were changed behind its back, on servers and in exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.conftest import ProxyFactory
from tests.verify.damages import (
    Copies,
    Ended,
    damage,
    damage_for_good,
    declared_in,
    found_in,
    migrate,
    seed,
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def originals(fresh_source: TrackingServerProcess) -> dict[str, str]:
    return seed(fresh_source.uri)


class World:
    """Migrations of the one source to a target, by commands in this process."""

    def __init__(self, source: str, target: str, directory: Path) -> None:
        self._ends = (source, target)
        self._state = ("--state", directory / "state.db")

    def run(self, *options: str) -> Ended:
        args = ("--include-deleted", "--json", *options)
        return migrate("run", *self._ends, *args, *self._state)

    def plan(self, *options: str) -> Ended:
        return migrate("plan", *self._ends, "--include-deleted", *options, *self._state)

    def verify(self, *options: str) -> Ended:
        options = options or ("--contents", "--json")
        return migrate("verify", *self._ends, "--include-deleted", *options)


def test_what_was_changed_on_a_server_is_as_it_was_and_then_nothing_is_written(
    fresh_source: TrackingServerProcess,
    originals: dict[str, str],
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    world = World(fresh_source.uri, proxy.uri, tmp_path)
    assert world.run().code == 0
    proxy.clear()
    assert world.run("--repair").code == 0
    assert proxy.writes() == [], "an undamaged target is not written to"

    damaged = damage(Copies(fresh_target.uri, fresh_target.directory / "artifacts", originals))
    assert found_in(world.verify()) == damaged
    assert world.run("--repair").code == 0
    verified = world.verify()
    assert (found_in(verified), declared_in(verified)) == (set(), set())
    proxy.clear()
    assert world.run("--repair").code == 0
    assert proxy.writes() == []


def test_what_no_client_can_take_back_is_a_loss_by_name_and_known_from_then_on(
    fresh_source: TrackingServerProcess,
    originals: dict[str, str],
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    world = World(fresh_source.uri, proxy.uri, tmp_path)
    world.run()
    copies = Copies(fresh_target.uri, fresh_target.directory / "artifacts", originals)
    lasting = damage_for_good(copies)
    assert found_in(world.verify()) == lasting
    repaired = world.run("--repair")
    assert repaired.code == 3
    assert {(it["kind"], it["what"]) for it in repaired.json["losses"]} == lasting
    verified = world.verify()
    assert (found_in(verified), declared_in(verified)) == (set(), lasting)
    proxy.clear()
    again = world.run("--repair")
    assert again.code == 3
    assert {(it["kind"], it["what"]) for it in again.json["losses"]} == lasting
    assert proxy.writes() == []
