"""Models and their versions: one moment after the other at which a crash leaves things at odds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.crash.conftest import RegistryMigrationOf
from tests.crash.migrations import paths
from tests.crash.model_samples import GAPS, seed_churn, seed_logged_models
from tests.crash.registries import (
    CREATE_LOGGED,
    CREATE_MODEL,
    CREATE_VERSION,
    DELETE_VERSION,
    RegistryMigration,
)
from tests.crash.test_windows import (
    Accident,
    TakenUp,
    begun_anew,
    begun_anew_without_state,
    resumed,
)
from tests.faults import Match, drop_request, lose_response
from tests.seed_models import ModelSource

FINISH_LOGGED = ("PATCH", "/logged-models/[^/]+$")
MARK_LOGGED = ("PATCH", "/logged-models/[^/]+/tags$")
LINK_OUTPUT = ("POST", "/runs/outputs$")
RESTORE_RUN = ("POST", "/runs/restore$")
DELETE_RUN = ("POST", "/runs/delete$")
DELETE_LOGGED = ("DELETE", "/logged-models/")
REMEMBER_DELETED = ("POST", "/experiments/set-experiment-tag$")
SET_ALIAS = ("POST", "/registered-models/alias$")
SET_STAGE = ("POST", "/model-versions/transition-stage$")

#: As many versions as it takes to have one behind each gap, and some more.
LAST = 16
NUMBERS = [n for n in range(1, LAST + 1) if n not in GAPS]


@pytest.fixture(scope="module")
def work(fresh_source: TrackingServerProcess) -> Iterator[ModelSource]:
    """One registered model only: on an empty target, the nth create makes its version n."""
    with ModelSource(fresh_source.uri) as source:
        seed_logged_models(source, source.experiment("training"))
        seed_churn(source, LAST)
        yield source


@pytest.fixture
def migration(work: ModelSource, registry_migration_of: RegistryMigrationOf) -> RegistryMigration:
    return registry_migration_of(work)


def kill_next(migration: RegistryMigration, match: Match, nth: int, accident: Accident) -> None:
    """Resumes, and kills it at the nth request that fits."""
    migration.kill_at(match, nth, accident(migration.kill))
    migration.start_resume()
    assert migration.await_kill(), f"{match} came less than {nth} times"


@pytest.mark.thorough
def test_killed_in_one_window_after_the_other(migration: RegistryMigration) -> None:
    migration.workers = 1
    assert migration.plan().code == 0
    # After a logged model is created.
    kill_next(migration, CREATE_LOGGED, 1, lose_response)
    # Between its links and its finish.
    kill_next(migration, FINISH_LOGGED, 1, drop_request)
    # While a deleted run is out of its trash.
    kill_next(migration, DELETE_RUN, 1, drop_request)
    # After a version is created.
    kill_next(migration, CREATE_VERSION, 1, lose_response)
    # Between its stage and its alias.
    kill_next(migration, SET_ALIAS, 1, drop_request)
    # Before a deleted logged model is deleted.
    kill_next(migration, DELETE_LOGGED, 1, drop_request)
    # Between two placeholders.
    there = migration.numbers("churn")[-1]
    assert there < 11, "the second gap is filled too early"
    kill_next(migration, CREATE_VERSION, 12 - there, drop_request)
    assert migration.numbers("churn")[-1] == 11
    # Between the last placeholder and the version behind the gap.
    kill_next(migration, CREATE_VERSION, 3, drop_request)
    assert migration.numbers("churn")[-1] == 13
    # Between the version and the deletion of its placeholders, and in the middle of that.
    kill_next(migration, DELETE_VERSION, 1, drop_request)
    assert migration.numbers("churn")[-4:] == [11, 12, 13, 14]
    kill_next(migration, DELETE_VERSION, 2, lose_response)
    assert migration.numbers("churn")[-2:] in ([11, 14], [12, 14], [13, 14])

    migration.complete(migration.resume())
    assert migration.numbers("churn") == NUMBERS
    assert len(paths(migration.target, CREATE_LOGGED[1])) == 5
    assert len(paths(migration.target, CREATE_VERSION[1])) == LAST
    migration.target.clear()
    migration.complete(migration.run())
    assert migration.target.writes() == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("match", "nth", "accident", "taken_up"),
    [
        (CREATE_MODEL, 1, lose_response, resumed),
        (CREATE_MODEL, 1, lose_response, begun_anew_without_state),
        (CREATE_VERSION, 4, lose_response, begun_anew),
        (CREATE_VERSION, 5, drop_request, begun_anew_without_state),
        (CREATE_VERSION, 5, lose_response, begun_anew),
        (CREATE_VERSION, 9, lose_response, begun_anew_without_state),
        (CREATE_VERSION, 12, drop_request, begun_anew_without_state),
        (CREATE_VERSION, 12, lose_response, begun_anew),
        (CREATE_VERSION, 14, drop_request, begun_anew),
        (CREATE_VERSION, 14, lose_response, begun_anew_without_state),
        (CREATE_VERSION, 16, lose_response, resumed),
        (DELETE_VERSION, 1, drop_request, begun_anew),
        (DELETE_VERSION, 2, drop_request, begun_anew_without_state),
        (DELETE_VERSION, 4, lose_response, begun_anew),
        (SET_STAGE, 1, lose_response, begun_anew),
        (SET_STAGE, 3, drop_request, begun_anew_without_state),
        (SET_ALIAS, 1, drop_request, begun_anew),
        (SET_ALIAS, 2, lose_response, resumed),
        (CREATE_LOGGED, 2, lose_response, begun_anew),
        (CREATE_LOGGED, 2, drop_request, begun_anew_without_state),
        (LINK_OUTPUT, 1, drop_request, resumed),
        (LINK_OUTPUT, 2, lose_response, begun_anew_without_state),
        (FINISH_LOGGED, 2, drop_request, begun_anew_without_state),
        (MARK_LOGGED, 1, drop_request, begun_anew),
        (MARK_LOGGED, 2, lose_response, begun_anew_without_state),
        (RESTORE_RUN, 1, lose_response, begun_anew),
        (DELETE_RUN, 2, drop_request, begun_anew_without_state),
        (REMEMBER_DELETED, 1, lose_response, begun_anew),
        (DELETE_LOGGED, 1, drop_request, begun_anew_without_state),
        (DELETE_LOGGED, 1, lose_response, resumed),
        (DELETE_LOGGED, 1, lose_response, begun_anew_without_state),
    ],
)
def test_killed_in_a_window(
    migration: RegistryMigration, match: Match, nth: int, accident: Accident, taken_up: TakenUp
) -> None:
    migration.kill_at(match, nth, accident(migration.kill))
    migration.start_run()
    assert migration.await_kill(), f"{match} came less than {nth} times"
    migration.complete(taken_up(migration))
    assert migration.numbers("churn") == NUMBERS
    migration.target.clear()
    assert migration.run().code == 0
    assert migration.target.writes() == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("match", "nth"),
    [
        (CREATE_VERSION, 12),
        pytest.param(CREATE_VERSION, 6, marks=pytest.mark.thorough),
        pytest.param(CREATE_VERSION, 14, marks=pytest.mark.thorough),
        pytest.param(CREATE_LOGGED, 2, marks=pytest.mark.thorough),
        pytest.param(CREATE_MODEL, 1, marks=pytest.mark.thorough),
        pytest.param(LINK_OUTPUT, 2, marks=pytest.mark.thorough),
        pytest.param(DELETE_VERSION, 2, marks=pytest.mark.thorough),
        pytest.param(DELETE_LOGGED, 1, marks=pytest.mark.thorough),
    ],
)
def test_an_answer_is_lost_and_the_process_lives(
    migration: RegistryMigration, match: Match, nth: int
) -> None:
    migration.kill_at(match, nth, lose_response())
    migration.complete(migration.run())
    assert len(paths(migration.target, CREATE_VERSION[1])) == LAST
    assert len(paths(migration.target, CREATE_LOGGED[1])) == 5
