"""A target that reads from a replica of its database, which follows it some time later.

MLflow's own (``--read-replica-backend-store-uri``), with a database that a thread copies.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from migrate import claims
from migrate.cli import main
from migrate.demo.server import TrackingServerProcess, copy_database
from tests.conftest import ProxyFactory, ServerFactory, StartMigrate, empty_database_of
from tests.crash.migrations import Ended, Migration
from tests.crash.samples import seed_work
from tests.faults import Faults, every_nth, lose_response
from tests.seed import Source

CREATE = ("POST", "/(experiments|runs)/create$")
LOG_BATCH = ("POST", "/runs/log-batch$")
CLAIMS = "SELECT value FROM experiment_tags WHERE key LIKE 'mlflow-migrate.writing.%'"


class Replica:
    """The database that a server reads from, and the one that it writes to."""

    def __init__(self, server: TrackingServerProcess, path: Path) -> None:
        self.server = server
        self._path = path
        self._ended = threading.Event()

    def follow(self) -> None:
        """Shows all that was written so far."""
        copy_database(self.server.directory / "mlflow.db", self._path)

    @contextmanager
    def following(self, every: float) -> Iterator[None]:
        """Follows every so many seconds while the block lasts, and at its end.

        It begins a second after the first claim was written, which so is not shown at once.
        """

        def go_on() -> None:
            while not self.written(CLAIMS) and not self._ended.wait(0.05):
                pass
            self._ended.wait(1.0)
            while not self._ended.wait(every):
                self.follow()

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            self.follow()

    def written(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.server.directory / "mlflow.db")) as database:
            return database.execute(query).fetchall()


@pytest.fixture
def replica(
    source_server: TrackingServerProcess, server_factory: ServerFactory, tmp_path: Path
) -> Replica:
    path = tmp_path / "replica.db"
    copy_database(empty_database_of(source_server), path)
    uri = f"sqlite:///{path}"
    variables = {"MLFLOW_READ_REPLICA_BACKEND_STORE_URI": uri}
    server = server_factory(environment=variables, workers=1)
    found = Replica(server, path)
    found.follow()
    return found


@pytest.fixture
def migration(
    source_server: TrackingServerProcess,
    replica: Replica,
    unique_name: str,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    tmp_path: Path,
) -> Iterator[Migration]:
    with Source(source_server.uri, prefix=f"{unique_name}-") as source:
        seed_work(source, families=1)
        yield Migration(
            seeded=source,
            source=proxy_factory(source_server.uri),
            target=proxy_factory(replica.server.uri),
            directory=tmp_path,
            starter=start_migrate,
        )


def carried_through(migration: Migration) -> Ended:
    """Runs, and resumes where a copy deleted right before was shown as active: it takes nothing."""
    ended = migration.run()
    for _ in range(3):
        if ended.code != 3:
            break
        ended = migration.resume()
    return ended


def main_soon_impatient() -> None:
    """``migrate`` that waits two seconds for what a target shows."""
    claims.SHOWN_WITHIN = 2.0
    main()


def test_what_a_target_shows_later_is_made_once_also_where_answers_are_lost(
    migration: Migration, replica: Replica
) -> None:
    migration.target.faults = Faults(every_nth(CREATE, 4, lose_response()))
    with replica.following(every=0.5):
        ended = carried_through(migration)
    told = [file.read_text() for file in migration.directory.glob("*.stderr")]
    assert any("does not show at once what is written to it" in text for text in told)
    migration.complete(ended)


@pytest.mark.thorough
def test_what_was_made_right_before_is_found_by_a_new_migration_without_its_state(
    migration: Migration, replica: Replica
) -> None:
    migration.kill_at(LOG_BATCH, 6, lose_response(migration.kill))
    with replica.following(every=1.5):
        migration.start_run()
        assert migration.await_kill()
        migration.forget()
        # The claim of the one that was killed says nothing of this process.
        ended = carried_through(migration)
    migration.complete(ended)


@pytest.mark.thorough
def test_a_target_that_shows_nothing_of_what_is_written_gets_no_copy(
    migration: Migration, replica: Replica
) -> None:
    before = replica.written("SELECT experiment_id FROM experiments")
    args = ("run", migration.source.uri, migration.target.uri, *migration.selection)
    process = migration.starter(*args, entry="tests.crash.test_replicas:main_soon_impatient")
    refused = process.ended(60)
    assert refused.returncode == 1, refused
    assert "does not show what was written to it 2 seconds ago" in refused.stderr
    assert "MLFLOW_READ_REPLICA_BACKEND_STORE_URI" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert replica.written("SELECT experiment_id FROM experiments") == before
    assert replica.written("SELECT run_uuid FROM runs") == []
    # What nobody shows nobody finds: the claim that is left is forgotten after a while.
    migration.forget()
    with replica.following(every=0.5):
        ended = carried_through(migration)
    migration.complete(ended)
