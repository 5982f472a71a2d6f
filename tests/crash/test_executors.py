"""Batches that other processes carry out: killed workers, killed drivers, a scheduler that goes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from migrate.demo.server import TrackingServerProcess, copy_database
from tests.clusters import Cluster
from tests.conftest import RunMigrate
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Ended, Migration
from tests.crash.samples import LARGE, seed_work
from tests.faults import Faults, Match, call_after, lose_response
from tests.processes import spawned_by
from tests.seed import Source

CREATE = ("POST", "/runs/create$")
SECRET = "p4ss of the mover"
FILL = ("POST", "/runs/log-batch$")


@pytest.fixture(scope="module")
def work(source_server: TrackingServerProcess, prefix: str) -> Iterator[Source]:
    with Source(source_server.uri, prefix=prefix) as source:
        seed_work(source, families=4)
        yield source


@pytest.fixture
def migration(work: Source, migration_of: MigrationOf) -> Migration:
    return migration_of(work)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("dask")) as running:
        yield running


def processes_of(migration: Migration) -> list[psutil.Process]:
    """The processes that carry out batches for a command, oldest first."""
    assert migration.process is not None
    return spawned_by(migration.process.pid)


def test_processes_copy_everything_and_end_with_the_command(migration: Migration) -> None:
    ended = migration.run("--processes", "2", "--json")
    migration.complete(ended)
    told = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    sent = [it["bytes_sent"] for it in told if it["event"] == "progress"]
    report = json.loads(ended.stdout)
    assert sent[-1] == sum(it["bytes_sent"] for it in report["totals"].values()) > LARGE


@pytest.mark.parametrize("match", [CREATE, pytest.param(FILL, marks=pytest.mark.thorough)])
def test_a_process_killed_before_an_answer_loses_and_doubles_nothing(
    migration: Migration, match: Match
) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        victim = processes_of(migration)[0]
        killed.append(victim.pid)
        victim.kill()

    migration.kill_at(match, 3, lose_response(kill_one))
    migration.start_run("--processes", "2")
    assert migration.process is not None
    migration.complete(Ended.of(migration.process))
    assert killed


@pytest.mark.thorough
def test_processes_end_at_once_with_a_command_that_is_killed(migration: Migration) -> None:
    workers: list[psutil.Process] = []

    def kill_the_command() -> None:
        assert migration.process is not None
        workers.extend(processes_of(migration))
        migration.process.send_signal(signal.SIGKILL)

    migration.kill_at(CREATE, 2, lose_response(kill_the_command))
    migration.start_run("--executor", "processes", "--processes", "2")
    assert migration.await_kill()
    assert len(workers) == 2
    psutil.wait_procs(workers, timeout=5)
    assert not [it for it in workers if it.is_running() and it.status() != psutil.STATUS_ZOMBIE]
    migration.complete(migration.resume("--processes", "2"))


@pytest.mark.thorough
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_all_processes_together_keep_to_the_rate_that_is_allowed(
    migration: Migration, executor: str
) -> None:
    asked: dict[str, list[float]] = {"source": [], "target": []}

    def note(side: str) -> Faults:
        return Faults(lambda _: asked[side].append(time.monotonic()))

    assert migration.plan().code == 0
    migration.source.faults, migration.target.faults = note("source"), note("target")
    manner = ("--executor", executor, "--max-requests-per-second", "20")
    processes = ("--processes", "4") if executor == "processes" else ()
    migration.complete(migration.resume(*manner, *processes))
    for times in asked.values():
        assert len(times) > 40
        assert most_in_a_second(times) <= 21


def most_in_a_second(times: Sequence[float]) -> int:
    times = sorted(times)
    return max(bisect_left(times, began + 1.0) - at for at, began in enumerate(times))


def test_a_cluster_copies_everything_and_tells_nobody_a_secret(
    migration: Migration, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATE_TARGET_TRACKING_USERNAME", "mover")
    monkeypatch.setenv("MIGRATE_TARGET_TRACKING_PASSWORD", SECRET)
    while_at_it: list[str] = []
    look = call_after(lambda: while_at_it.append(cluster.pages()))
    migration.kill_at(FILL, 2, look)
    ended = migration.run("--dask", cluster.address, "--debug")
    migration.complete(ended)
    assert while_at_it
    said = "".join([*while_at_it, cluster.said("scheduler"), cluster.said("worker")])
    assert "execute" in said, "the pages say nothing of tasks: is this the right one?"
    for form in (SECRET, b64encode(f"mover:{SECRET}".encode()).decode()):
        assert form not in said + ended.stdout + ended.stderr
    migration.target.clear()
    again = migration.run("--dask", cluster.address)
    migration.complete(again)
    assert not migration.target.writes()


@pytest.mark.thorough
@pytest.mark.parametrize("match", [CREATE, FILL])
def test_a_worker_of_a_cluster_killed_before_an_answer_loses_and_doubles_nothing(
    migration: Migration, cluster: Cluster, match: Match
) -> None:
    def kill_one() -> None:
        cluster.processes()[0].kill()

    migration.kill_at(match, 3, lose_response(kill_one))
    migration.complete(migration.run("--dask", cluster.address))


@pytest.mark.thorough
def test_a_command_killed_while_a_cluster_works_for_it_goes_on_where_it_was(
    migration: Migration, cluster: Cluster
) -> None:
    migration.kill_at(CREATE, 3, lose_response(migration.kill))
    migration.start_run("--dask", cluster.address)
    assert migration.await_kill()
    migration.complete(migration.resume("--dask", cluster.address))


@pytest.mark.thorough
def test_a_worker_that_was_given_up_and_wakes_again_creates_nothing(
    migration: Migration, tmp_path: Path
) -> None:
    stopped: list[int] = []

    def stop_one(short: Cluster) -> None:
        stopped.append(short.stop_the_busy_one())
        threading.Timer(12, os.kill, (stopped[0], signal.SIGCONT)).start()

    with Cluster(tmp_path, patience_with_workers="4s", watched_over=False) as short:
        migration.kill_at(CREATE, 3, call_after(lambda: stop_one(short)))
        migration.complete(migration.run("--dask", short.address))
        assert stopped
        time.sleep(5)
        migration.heal()
        assert migration.differences() == []


@pytest.mark.thorough
def test_a_scheduler_that_is_killed_ends_the_command_which_goes_on_with_another(
    migration: Migration, tmp_path: Path
) -> None:
    with Cluster(tmp_path, workers=1) as short:
        migration.kill_at(CREATE, 3, lose_response(short.scheduler.kill))
        ended = migration.run("--dask", short.address)
    assert ended.code == 1, ended
    assert f"the Dask scheduler at {short.address} is gone" in ended.stderr
    assert "migrate run --resume" in ended.stderr
    migration.heal()
    migration.complete(migration.resume())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(
            ["--dask", "tcp://127.0.0.1:9"],
            "no Dask scheduler answers at tcp://127.0.0.1:9",
            marks=pytest.mark.thorough,  # ten seconds: it may be about to start
        ),
        (["--dask", "no address"], "no Dask scheduler answers at no address"),
        (["--executor", "dask"], "--executor dask needs the address of a scheduler"),
        (["--executor", "threads", "--processes", "2"], "--processes goes with --executor proc"),
        (["--dask", "tcp://x:1", "--processes", "2"], "goes with --executor"),
        (["--serial", "--processes", "2"], "--serial is an executor itself"),
        (["--processes", "0"], "greater than or equal to 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_executors_that_cannot_be_had_are_named(
    migration: Migration, options: list[str], said: str
) -> None:
    ended = migration.run(*options)
    assert ended.code == 2, ended
    assert said in ended.stderr
    assert not migration.target.writes()


def test_an_export_is_written_by_one_process(migration: Migration, tmp_path: Path) -> None:
    target = str(tmp_path / "export")
    ended = Ended.of(migration.start("run", migration.source.uri, target, "--processes", "2"))
    assert ended.code == 2, ended
    assert "an export directory is written by one process" in ended.stderr
    assert not Path(target).exists()


@pytest.mark.thorough
@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_a_database_goes_into_another_by_other_processes(
    work: Source,
    source_server: TrackingServerProcess,
    run_migrate: RunMigrate,
    cluster: Cluster,
    executor: str,
    tmp_path: Path,
) -> None:
    copy_database(source_server.directory / "mlflow.db", tmp_path / "source.db")
    ends = (f"sqlite:///{tmp_path}/source.db", f"sqlite:///{tmp_path}/target.db")
    files = ("--target-artifacts", f"{tmp_path}/files")
    roots = ("--source-artifacts", str(source_server.directory / "artifacts"), *files)
    selected = ("--experiments", f"{work.seeded.prefix}*", "--include-deleted")
    manner = ("--dask", cluster.address) if executor == "dask" else ("--processes", "3")
    for wrote in (True, False):
        ended = run_migrate("run", *ends, *roots, *selected, *manner, "--json")
        assert ended.returncode == 0, ended.stdout[-3000:]
        report = json.loads(ended.stdout)
        assert any(it["wrote"] for it in report["totals"].values()) == wrote
    verified = run_migrate("verify", *ends, *roots, *selected, "--contents", "--json")
    assert json.loads(verified.stdout)["differences"] == []
    assert verified.returncode == 0
    assert not [it for it in (tmp_path / "files").iterdir() if it.name.startswith(".")]
