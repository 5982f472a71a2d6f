"""Large files of one run or logged model, which several processes send; and kills meanwhile."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.tasks.parts import LARGE
from tests.clusters import Cluster
from tests.conftest import RunMigrate
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Migration
from tests.faults import Faults, Match, lose_response, on_nth
from tests.processes import spawned_by
from tests.seed import START, Source
from tests.seed_models import ModelSource

FILES = 7
SIZE = LARGE // FILES + 1
WEIGHTS = "weights-"
PUT: Match = ("PUT", WEIGHTS)


def add_files(source: Source, owner: str) -> None:
    noise = random.Random(7)
    for number in range(FILES):
        source.artifact(owner, f"model/{WEIGHTS}{number}.bin", noise.randbytes(SIZE))
    source.artifact(owner, "readme.txt", b"small")


@pytest.fixture(scope="module")
def work(source_server: TrackingServerProcess, prefix: str) -> Iterator[Source]:
    """An experiment whose one run has large files, and a small one."""
    with Source(source_server.uri, prefix=prefix) as source:
        run = source.run("large", source.experiment("large"), status=None)
        add_files(source, run)
        source.update(run, status="FINISHED", end=START + 1_000)
        yield source


@pytest.fixture
def migration(work: Source, migration_of: MigrationOf) -> Migration:
    return migration_of(work)


def sent(migration: Migration) -> Counter[str]:
    """How often each of the large files was sent to the target."""
    return Counter(one.path.rpartition("/")[2] for one in migration.target.matching(PUT))


def test_several_processes_send_the_files_of_one_run_once(migration: Migration) -> None:
    meeting = threading.Barrier(3)
    met: list[int] = []

    def meet() -> None:
        """Each process has one request under way at a time, so these are of several."""
        try:
            met.append(meeting.wait(30))
        except threading.BrokenBarrierError:
            met.append(-1)

    migration.target.faults = Faults(*(on_nth(PUT, nth, meet) for nth in (1, 2, 3)))
    ended = migration.run("--processes", "3", "--json")
    migration.complete(ended)
    assert sorted(met) == [0, 1, 2]
    assert set(sent(migration).values()) == {1}
    assert "files of 64 MB are sent by 4 workers" in ended.stderr
    totals = json.loads(ended.stdout)["totals"]
    assert totals["run"]["bytes_sent"] == FILES * SIZE + len(b"small")


@pytest.mark.thorough
@pytest.mark.parametrize("nth", [1, 3, 6])
def test_a_process_that_dies_while_it_sends_takes_no_file_along(
    migration: Migration, nth: int
) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        assert migration.process is not None
        victim = spawned_by(migration.process.pid)[0]
        killed.append(victim.pid)
        victim.kill()

    migration.kill_at(PUT, nth, lose_response(kill_one))
    migration.complete(migration.run("--processes", "3"))
    assert killed


@pytest.mark.thorough
@pytest.mark.parametrize("nth", [2, 5])
def test_what_was_sent_before_a_kill_is_not_sent_again(migration: Migration, nth: int) -> None:
    migration.kill_at(PUT, nth, lose_response(migration.kill))
    migration.start_run("--processes", "2")
    assert migration.await_kill()
    before = sent(migration)
    migration.complete(migration.resume("--processes", "2"))
    # Those under way at the kill may be sent once more.
    assert sum((sent(migration) - before).values()) <= FILES - 1


@pytest.mark.thorough
def test_on_a_cluster_too(migration: Migration, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Cluster(tmp_path_factory.mktemp("dask")) as cluster:
        ended = migration.run("--dask", cluster.address)
    migration.complete(ended)
    assert "are sent by" in ended.stderr
    assert set(sent(migration).values()) == {1}


@pytest.mark.thorough
def test_threads_of_one_process_need_no_parts(migration: Migration) -> None:
    ended = migration.run()
    migration.complete(ended)
    assert "are sent by" not in ended.stderr
    assert set(sent(migration).values()) == {1}


@pytest.mark.thorough
@pytest.mark.parametrize("nth", [0, 4])
def test_those_of_a_logged_model_likewise(
    source_server: TrackingServerProcess, migration_of: MigrationOf, unique_name: str, nth: int
) -> None:
    with ModelSource(source_server.uri, prefix=unique_name) as source:
        model = source.logged_model("large", source.experiment("models"))
        add_files(source, model)
        migration = migration_of(source)
    if nth:
        migration.kill_at(PUT, nth, lose_response(migration.kill))
        migration.start_run("--processes", "2")
        assert migration.await_kill()
    ended = migration.resume("--processes", "2") if nth else migration.run("--processes", "2")
    migration.complete(ended)
    assert "are sent by" in ended.stderr or nth
    assert set(sent(migration)) == {f"{WEIGHTS}{number}.bin" for number in range(FILES)}
    verified = migration.verify()
    assert verified.code == 0, verified


@pytest.mark.thorough
def test_into_a_database_they_are_sent_once_and_the_run_appears_whole(
    work: Source,
    source_server: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    places = [source_server.directory / "artifacts", tmp_path / "files"]
    ended = run_migrate(
        "run",
        f"sqlite:///{source_server.directory / 'mlflow.db'}",
        f"sqlite:///{tmp_path / 'copy.db'}",
        *("--experiments", f"{work.seeded.prefix}*", "--processes", "2", "--json"),
        *("--source-artifacts", str(places[0]), "--target-artifacts", str(places[1])),
    )
    assert ended.returncode == 0, ended.stderr
    assert "are sent by" in ended.stderr
    totals = json.loads(ended.stdout)["totals"]["run"]
    assert (totals["done"], totals["bytes_sent"]) == (1, FILES * SIZE + len(b"small"))
    held = [path for path in places[1].rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in held) == totals["bytes_sent"]
