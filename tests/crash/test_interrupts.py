"""Ctrl-C: once to end in good order, twice to stop at once."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Ended, Migration
from tests.crash.samples import seed_work
from tests.faults import Faults, always, delay, hang
from tests.proxy import Proxy
from tests.seed import Source

CREATE_RUN = ("POST", "/runs/create$")
LOG_BATCH = ("POST", "/runs/log-batch$")
SEARCH_RUNS = ("POST", "/runs/search$")
MARK = "mlflow-migrate.copied"


@pytest.fixture(scope="module")
def work(source_server: TrackingServerProcess, prefix: str) -> Iterator[Source]:
    with Source(source_server.uri, prefix=prefix) as source:
        seed_work(source, families=3)
        yield source


@pytest.fixture
def migration(work: Source, migration_of: MigrationOf) -> Migration:
    return migration_of(work)


def wait_for(migration: Migration, condition: Callable[[], object]) -> None:
    """Waits for something to come true while the command runs."""
    assert migration.process is not None
    while not condition():
        assert migration.process.poll() is None, Ended.of(migration.process)
        time.sleep(0.01)


def wait_for_requests(migration: Migration, proxy: Proxy, match: tuple[str, str], n: int) -> None:
    wait_for(migration, lambda: len(proxy.matching(match)) >= n)


def test_the_first_signal_finishes_what_is_begun_and_says_how_to_go_on(
    migration: Migration,
) -> None:
    migration.target.faults = Faults(always(LOG_BATCH, delay(0.3)))
    process = migration.start_run()
    wait_for_requests(migration, migration.target, CREATE_RUN, 3)
    process.send_signal(signal.SIGINT)
    ended = Ended.of(process)
    assert ended.code == 130
    assert "draining" in ended.stderr

    copies = [copy for same in migration.copies().values() for copy in same]
    assert 3 <= len(copies) <= 3 + migration.workers
    assert all(MARK in copy["tags"] for copy in copies), "one was left half-made"
    assert all(copy["status"] != "RUNNING" for copy in copies)

    migration.heal()
    migration.complete(go_on(migration, ended))


@pytest.mark.thorough
def test_how_to_go_on_names_a_state_that_is_not_in_its_usual_place(migration: Migration) -> None:
    migration.target.faults = Faults(always(LOG_BATCH, delay(0.3)))
    process = migration.start_run("--state", "elsewhere/my state.db")
    wait_for_requests(migration, migration.target, CREATE_RUN, 1)
    process.send_signal(signal.SIGTERM)
    ended = Ended.of(process)
    migration.heal()
    migration.complete(go_on(migration, ended))


def go_on(migration: Migration, ended: Ended) -> Ended:
    """Runs the very line that a command ended with."""
    _, found, line = ended.stdout.rpartition("Continue with: migrate ")
    assert found
    return Ended.of(migration.start(*shlex.split(line)))


@pytest.mark.thorough
def test_the_second_signal_stops_at_once_and_loses_nothing(migration: Migration) -> None:
    migration.target.faults = Faults(always(LOG_BATCH, hang()))
    process = migration.start_run()
    wait_for_requests(migration, migration.target, LOG_BATCH, 1)
    process.send_signal(signal.SIGINT)
    wait_for(migration, lambda: "draining" in process.stderr_file.read_text())
    time.sleep(0.5)
    assert process.poll() is None, "it did not wait for what was begun"
    second = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert Ended.of(process).code == 130
    assert time.monotonic() - second < 5
    migration.heal()
    migration.complete(migration.resume())


@pytest.mark.parametrize("command", ["run", "plan", "verify"])
@pytest.mark.parametrize("end", ["source", "target"])
def test_a_signal_while_a_server_is_silent_ends_the_command(
    migration: Migration, command: str, end: str
) -> None:
    proxy: Proxy = getattr(migration, end)
    proxy.faults = Faults(always(SEARCH_RUNS, hang()))
    process = migration.start(
        command, migration.source.uri, migration.target.uri, *migration.selection
    )
    wait_for_requests(migration, proxy, SEARCH_RUNS, 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr_file.read_text().splitlines()[-1] == "Interrupted."
    assert "Traceback" not in process.stderr_file.read_text()
