"""A version that the target does not take: it fails alone, and the numbers of the others stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.conftest import empty
from tests.crash.conftest import RegistryMigrationOf
from tests.crash.migrations import Ended
from tests.crash.model_samples import GAPS, seed_churn, seed_logged_models
from tests.crash.registries import CREATE_VERSION, RegistryMigration
from tests.faults import Fault, Faults, always, lose_response, on_nth, refuse
from tests.seed_models import ModelSource

LAST = 16
NUMBERS = [n for n in range(1, LAST + 1) if n not in GAPS]


@pytest.fixture
def work(fresh_source: TrackingServerProcess) -> Iterator[ModelSource]:
    empty(fresh_source)
    with ModelSource(fresh_source.uri) as source:
        seed_logged_models(source, source.experiment("training"))
        seed_churn(source, LAST)
        yield source


def a_version(number: int) -> Fault:
    """Refuses what is to be the copy of this version, whatever it is sent with."""
    return refuse(f'"churn/{number}@')


def migrate_without(migration: RegistryMigration, number: int) -> Ended:
    """Migrates to an empty target that refuses one version, however often it is sent."""
    migration.target.faults = Faults(always(CREATE_VERSION, a_version(number)))
    ended = migration.run()
    assert ended.code == 3, ended
    assert f"churn version {number}" in ended.stdout, ended.stdout
    migration.heal()
    return ended


def check_all_but(migration: RegistryMigration, *missing: int, last: int = LAST) -> None:
    """Checks that the target holds every version but these, and everything else as it is."""
    expected = [*NUMBERS, *range(LAST + 1, last + 1)]
    assert migration.numbers("churn") == [n for n in expected if n not in missing]
    aliases = {3: "champion", 14: "behind-the-gap"}
    declared = [(f"churn/{number}", "copy") for number in missing]
    declared += [("churn", f"alias {aliases[n]}") for n in missing if n in aliases]
    assert migration.differences(declared) == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "number",
    [
        3,
        pytest.param(5, marks=pytest.mark.thorough),
        pytest.param(8, marks=pytest.mark.thorough),
        pytest.param(10, marks=pytest.mark.thorough),
    ],
)
def test_a_refused_version_fails_alone_and_its_number_is_used_up(
    work: ModelSource, registry_migration_of: RegistryMigrationOf, number: int
) -> None:
    migration = registry_migration_of(work)
    # With the version before a gap refused, the placeholders take its number as well.
    migrate_without(migration, number)
    check_all_but(migration, number)

    for again in (migration.resume, migration.run):
        migration.target.clear()
        ended = again()
        assert ended.code == 3, ended
        assert f"number {number} of 'churn' is used up" in ended.stdout, ended.stdout
        assert migration.target.writes() == []
    # No number was wasted on trying.
    work.version("churn", "s3://bucket/later")
    assert migration.run().code == 3
    check_all_but(migration, number, last=LAST + 1)


@pytest.mark.thorough
def test_the_last_version_can_be_had_later(
    work: ModelSource, registry_migration_of: RegistryMigrationOf
) -> None:
    migration = registry_migration_of(work)
    migrate_without(migration, LAST)
    migration.complete(migration.resume())
    assert migration.numbers("churn") == NUMBERS


@pytest.mark.thorough
@pytest.mark.parametrize("nth", [10, 11])
def test_killed_while_the_number_of_a_refused_version_is_passed_over(
    work: ModelSource, registry_migration_of: RegistryMigrationOf, nth: int
) -> None:
    migration = registry_migration_of(work)
    migration.target.faults = Faults(
        on_nth(CREATE_VERSION, nth, lose_response(migration.kill)),
        always(CREATE_VERSION, a_version(8)),
    )
    migration.start_run()
    assert migration.await_kill()
    ended = migration.resume()
    if ended.code == 0:
        migration.complete(ended)
    else:
        check_all_but(migration, 8)
