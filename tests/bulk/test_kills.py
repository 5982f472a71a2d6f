"""The commands are killed at any moment, called again, and leave what one call would have left."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.bulk.alike import contents
from tests.bulk.arrived import Arrived
from tests.bulk.conftest import Bulk
from tests.conftest import ProxyFactory
from tests.crash.migrations import check_states
from tests.faults import ANY, Fault, Faults, Match, call_after, drop_request, lose_response, on_nth
from tests.processes import MigrateProcess
from tests.proxy import Proxy
from tests.seed_models import ModelSource

EXPORT = "export-all --output-dir out --export-deleted-runs --use-threads"
DYING = "tests.crash.dying:main_and_die"


@dataclass
class Killer:
    """Starts commands against a proxy, and kills them at a request of theirs."""

    bulk: Bulk
    proxy: Proxy
    process: MigrateProcess | None = None

    def kill(self) -> None:
        assert self.process is not None
        self.process.signal_group(signal.SIGKILL)

    def run_and_kill(self, line: str, match: Match, nth: int, fault: Fault) -> bool:
        """Run a command whose nth request that fits meets a fault; say if it was killed by that."""
        self.proxy.faults = Faults(on_nth(match, nth, fault))
        self.process = self.bulk.start(line, self.proxy.uri)
        code = self.process.wait(120)
        self.proxy.faults = Faults()
        assert code in (0, -signal.SIGKILL), self.process.ended().stderr
        states = self.bulk.directory / ".migrate"
        # It may have died before it opened one.
        if code and states.exists():
            check_states(states)
        return code != 0

    def run_and_die(self, line: str, moment: str, nth: int) -> None:
        """Run a command that kills itself at a moment, see ``tests.crash.dying``."""
        words = f"migrate {moment} {nth} {line}"
        self.process = self.bulk.start(words, self.proxy.uri, entry=DYING)
        assert self.process.wait(120) == -signal.SIGKILL, self.process.ended()


@pytest.fixture
def source(bulk: Bulk, world: ModelSource, proxy_factory: ProxyFactory) -> Killer:
    return Killer(bulk, proxy_factory(world.seeded.uri))


@pytest.fixture
def target(bulk: Bulk, fresh_target: TrackingServerProcess, proxy_factory: ProxyFactory) -> Killer:
    return Killer(bulk, proxy_factory(fresh_target.uri))


@pytest.fixture
def with_trash(bulk: Bulk, world: ModelSource) -> Path:
    """An export of the whole world, deleted runs included."""
    bulk(EXPORT.replace("--output-dir out", "--output-dir trash"), world.seeded.uri)
    return bulk.directory / "trash"


def whole_as_uninterrupted(killer: Killer) -> None:
    """What is in ``out`` is what one call that nobody killed writes into another directory."""
    killer.bulk(EXPORT, killer.proxy.uri)
    straight = EXPORT.replace("--output-dir out", "--output-dir straight")
    killer.bulk(straight, killer.proxy.uri)
    out, expected = (contents(killer.bulk.directory / name) for name in ("out", "straight"))
    assert out.keys() == expected.keys()
    assert [name for name in out if out[name] != expected[name]] == []
    assert not killer.proxy.writes()


@pytest.mark.thorough
def test_an_export_killed_again_and_again_is_as_one_that_was_not(source: Killer) -> None:
    """Between the first search and the last index; each call goes on where the last one died."""
    kill = source.kill
    killed = [
        source.run_and_kill(EXPORT, match, nth, fault)
        for match, nth, fault in (
            (("POST", "/runs/search$"), 1, drop_request(kill)),
            (("GET", "/registered-models/get$"), 3, call_after(kill)),
            (("GET", "/weights.bin$"), 1, call_after(kill)),
            (("GET", "/mlflow-artifacts/artifacts$"), 2, drop_request(kill)),
        )
    ]
    assert all(killed), killed
    for moment in ("before-clearing-up", "inside-record", "before-index", "before-last-index"):
        source.run_and_die(EXPORT, moment, 1)
    whole_as_uninterrupted(source)


@pytest.mark.thorough
@pytest.mark.parametrize("step", [5, 7])
def test_an_export_killed_at_every_few_requests(source: Killer, step: int) -> None:
    nth = 1
    while source.run_and_kill(EXPORT, ANY, nth, call_after(source.kill)):
        nth += step
    assert nth > 5 * step
    whole_as_uninterrupted(source)


@pytest.mark.thorough
@pytest.mark.parametrize("nth", range(1, 90, 11))
def test_an_export_killed_at_one_request(source: Killer, nth: int) -> None:
    source.run_and_kill(EXPORT, ANY, nth, drop_request(source.kill))
    whole_as_uninterrupted(source)


#: Writes after which an import dies, the server having done what it was asked for.
WRITES: list[tuple[Match, int]] = [
    (("POST", "/registered-models/create$"), 2),
    (("POST", "/experiments/create$"), 2),
    (("POST", "/runs/create$"), 1),
    (("PUT", "/weights.bin$"), 1),
    (("POST", "/runs/create$"), 3),
    (("POST", "/logged-models$"), 1),
    (("POST", "/experiments/delete$"), 1),
    (("DELETE", "/model-versions/delete$"), 1),
]


@pytest.mark.thorough
def test_an_import_killed_again_and_again_makes_everything_once(
    target: Killer, with_trash: Path, world: ModelSource
) -> None:
    line = f"import-all --input-dir {with_trash}"
    killed = [
        target.run_and_kill(line, match, nth, lose_response(target.kill)) for match, nth in WRITES
    ]
    assert all(killed), killed
    target.bulk(line, target.proxy.uri)
    assert Arrived(target.proxy.upstream.geturl()).differences(world, deleted=True) == []


@pytest.mark.thorough
@pytest.mark.parametrize("options", ["", "--use-threads"])
@pytest.mark.parametrize("step", [3, 8])
def test_an_import_killed_at_every_few_requests(
    target: Killer, with_trash: Path, world: ModelSource, options: str, step: int
) -> None:
    line = f"import-all --input-dir {with_trash} {options}"
    nth = 1
    while target.run_and_kill(line, ANY, nth, lose_response(target.kill)):
        nth += step
    assert nth > 5 * step
    target.bulk(line, target.proxy.uri)
    assert Arrived(target.proxy.upstream.geturl()).differences(world, deleted=True) == []
