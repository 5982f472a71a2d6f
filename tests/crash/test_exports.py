"""Exports to a directory, and imports from it, that are killed, forgotten and repeated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Export, Migration, paths
from tests.crash.samples import seed_work
from tests.faults import call_after, drop_request, lose_response
from tests.seed import Source

CREATE_RUN = ("POST", "/runs/create$")
HISTORY = ("GET", "/metrics/get-history")
LARGE_FILE = ("GET", "/weights.bin$")


@pytest.fixture(scope="module")
def work(source_server: TrackingServerProcess, prefix: str) -> Iterator[Source]:
    with Source(source_server.uri, prefix=prefix) as source:
        seed_work(source, families=1)
        yield source


@pytest.fixture
def migration(work: Source, migration_of: MigrationOf) -> Migration:
    return migration_of(work)


@pytest.fixture
def export(migration: Migration) -> Export:
    return migration.through("export")


@pytest.mark.thorough
def test_an_export_killed_at_every_stage_is_whole_after_resuming(
    migration: Migration, export: Export
) -> None:
    """While planning, reading, receiving a large file, recording, and writing the indexes."""
    kill = migration.kill
    moments = [
        (("POST", "/runs/search$"), drop_request(kill)),
        (HISTORY, call_after(kill)),
        (LARGE_FILE, call_after(kill)),
    ]
    for match, fault in moments:
        migration.kill_at(match, 1, fault, proxy=migration.source)
        migration.start(*export.export_args())
        assert migration.await_kill()
    for moment in ("inside-record", "before-index", "before-last-index"):
        migration.run_and_die(moment, 1, *export.export_args())
    assert export.resume_export().code == 0
    migration.complete(export.import_())


@pytest.mark.thorough
def test_an_export_whose_state_is_lost_goes_on_from_what_is_there(
    migration: Migration, export: Export
) -> None:
    migration.kill_at(LARGE_FILE, 1, call_after(migration.kill), proxy=migration.source)
    migration.start(*export.export_args())
    assert migration.await_kill()
    migration.forget()
    assert export.export().code == 0
    before = export.files()
    migration.forget()
    assert export.export().code == 0
    assert export.files() == before
    migration.complete(export.import_())


@pytest.mark.thorough
def test_an_import_killed_and_its_state_lost_makes_each_copy_once(
    migration: Migration, export: Export
) -> None:
    assert export.export().code == 0
    for nth, forget in ((3, False), (2, True)):
        migration.kill_at(CREATE_RUN, nth, lose_response(migration.kill))
        migration.start(*export.import_args())
        assert migration.await_kill()
        if forget:
            migration.forget()
    migration.complete(export.import_())
    assert len(paths(migration.target, CREATE_RUN[1])) == 11
    migration.target.clear()
    migration.forget()
    migration.complete(export.import_())
    assert not migration.target.writes()
