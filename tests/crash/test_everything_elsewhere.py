"""A server of every kind, copied by other processes that die, for commands that die."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.test_everything import Everything, everything
from tests.clusters import Cluster
from tests.conftest import ProxyFactory, RunMigrate, StartMigrate
from tests.faults import Fault, Faults, Request, lose_response
from tests.processes import MigrateProcess, spawned_by

__all__ = ["everything"]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.thorough]
#: Of one migration.
WORKERS_KILLED, COMMANDS_KILLED = 10, 5
#: Writes from one kill to the next.
APART = 12


@dataclass
class Killed:
    """Kills what carries out a migration again and again, each before the answer to a write."""

    left: list[Callable[[], object]]
    draw: random.Random
    writes: int = 0
    next_at: int = 5
    moments: list[str] = field(default_factory=list)

    def rule(self, request: Request) -> Fault | None:
        if not request.is_write or not self.left:
            return None
        self.writes += 1
        if self.writes < self.next_at:
            return None
        self.next_at = self.writes + self.draw.randint(1, APART)
        self.moments.append(f"{request.method} {request.path}")
        return lose_response(self.left.pop())


def kill_a_process(process: MigrateProcess, draw: random.Random) -> None:
    draw.choice(spawned_by(process.pid)).kill()


def assert_arrived(everything: Everything, target: str, run_migrate: RunMigrate) -> None:
    ends = (everything.uri, target, "--include-deleted")
    again = run_migrate("run", *ends, "--json", timeout=600)
    assert again.returncode == 3, again.stderr
    report = json.loads(again.stdout)
    assert report["failures"] == []
    everything.assert_arrived(target, report)
    verified = run_migrate("verify", *ends, "--json", timeout=600)
    assert json.loads(verified.stdout)["differences"] == []


def test_everything_goes_by_processes_of_which_ten_are_killed(
    everything: Everything,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    run_migrate: RunMigrate,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    draw = seeded()
    running: list[MigrateProcess] = []
    killed = Killed([lambda: kill_a_process(running[-1], draw)] * WORKERS_KILLED, draw)
    proxy.faults = Faults(killed.rule)
    ends = (everything.uri, proxy.uri, "--include-deleted")
    running.append(start_migrate("run", *ends, "--processes", "4"))
    ended = running[-1].ended(900)
    assert ended.returncode == 3, (ended.stderr, killed.moments)
    assert not killed.left
    proxy.faults = Faults()
    assert_arrived(everything, fresh_target.uri, run_migrate)


def test_everything_goes_by_a_cluster_whose_workers_scheduler_and_commands_are_killed(
    everything: Everything,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    draw = seeded()
    running: list[MigrateProcess] = []
    with ExitStack() as clusters:
        cluster = started(clusters, tmp_path / "first")
        workers = [lambda: kill_a_worker(cluster, draw)] * WORKERS_KILLED
        commands = [lambda: running[-1].send_signal(signal.SIGKILL)] * COMMANDS_KILLED
        killed = Killed([*workers, *commands], draw)
        killed.left[3:3] = [cluster.scheduler.kill]
        draw.shuffle(killed.left)
        proxy.faults = Faults(killed.rule)
        ends = (everything.uri, proxy.uri, "--include-deleted")
        for number in range(COMMANDS_KILLED + 3):
            asked = ("run", *ends) if not number else ("run", "--resume")
            running.append(start_migrate(*asked, "--dask", cluster.address))
            ended = running[-1].ended(900)
            if ended.returncode in (1, 2):
                assert "Dask scheduler" in ended.stderr, ended.stderr
                cluster = started(clusters, tmp_path / "second")
            elif ended.returncode == 3:
                break
            else:
                assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert not killed.left, killed.moments
        proxy.faults = Faults()
        assert_arrived(everything, fresh_target.uri, run_migrate)


def started(clusters: ExitStack, directory: Path) -> Cluster:
    directory.mkdir()
    return clusters.enter_context(Cluster(directory, workers=4, threads=1))


def kill_a_worker(cluster: Cluster, draw: random.Random) -> None:
    if there := cluster.processes():
        draw.choice(there).kill()


def seeded() -> random.Random:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    print(f"KILL_SEED={seed}")
    return random.Random(seed)
