"""One test for each moment at which a crash leaves source, target and state at odds."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Ended, Migration, paths
from tests.crash.samples import LARGE, add_run, seed_work
from tests.faults import Fault, Match, cut_upload, drop_request, lose_response
from tests.seed import START, Source

CREATE_EXPERIMENT = ("POST", "/experiments/create$")
CREATE_RUN = ("POST", "/runs/create$")
LOG_BATCH = ("POST", "/runs/log-batch$")
UPDATE_RUN = ("POST", "/runs/update$")
DELETE_RUN = ("POST", "/runs/delete$")
RESTORE_EXPERIMENT = ("POST", "/experiments/restore$")
RESTORE_RUN = ("POST", "/runs/restore$")
DELETE_EXPERIMENT = ("POST", "/experiments/delete$")
LARGE_FILE = ("PUT", "/weights.bin$")

#: For a second variant of a moment that is there once already.
thorough = pytest.mark.thorough

#: Makes the accident out of what kills.
Accident = Callable[[Callable[[], object]], Fault]
#: How a migration is taken up again.
TakenUp = Callable[[Migration], Ended]


def resumed(migration: Migration) -> Ended:
    return migration.resume()


def begun_anew(migration: Migration) -> Ended:
    return migration.run()


def begun_anew_without_state(migration: Migration) -> Ended:
    migration.forget()
    return migration.run("--quick")


@pytest.fixture(scope="module")
def work(source_server: TrackingServerProcess, prefix: str) -> Iterator[Source]:
    with Source(source_server.uri, prefix=prefix) as source:
        seed_work(source, families=1)
        yield source


@pytest.fixture
def migration(work: Source, migration_of: MigrationOf) -> Migration:
    return migration_of(work)


def kill_in_run(migration: Migration, match: Match, nth: int, accident: Accident) -> None:
    migration.kill_at(match, nth, accident(migration.kill))
    migration.start_run()
    assert migration.await_kill(), f"{match} came less than {nth} times"


@pytest.mark.thorough
def test_killed_after_an_experiment_is_created_before_the_answer(migration: Migration) -> None:
    kill_in_run(migration, CREATE_EXPERIMENT, 2, lose_response)
    migration.complete(migration.resume())
    assert len(paths(migration.target, CREATE_EXPERIMENT[1])) == 3


def test_killed_after_a_run_is_created_before_the_answer_and_again_while_resuming(
    migration: Migration,
) -> None:
    kill_in_run(migration, CREATE_RUN, 4, lose_response)
    migration.kill_at(CREATE_RUN, 1, lose_response(migration.kill))
    migration.start_resume()
    assert migration.await_kill()
    migration.complete(migration.resume())
    assert len(paths(migration.target, CREATE_RUN[1])) == 11


@pytest.mark.parametrize(
    "match",
    [
        pytest.param(CREATE_RUN, id="experiment-not-recorded", marks=thorough),
        pytest.param(LOG_BATCH, id="run-not-recorded"),
    ],
)
def test_killed_after_the_answer_to_a_create_before_anything_is_recorded(
    migration: Migration, match: Match
) -> None:
    kill_in_run(migration, match, 1, drop_request)
    migration.complete(migration.resume())


@pytest.mark.parametrize(
    ("moment", "nth"),
    [
        pytest.param("marking-start", 2, marks=thorough),
        pytest.param("before-record", 2, marks=thorough),
        pytest.param("inside-record", 1, marks=thorough),
        ("inside-record", 4),
    ],
)
def test_killed_inside_a_commit_of_the_state(migration: Migration, moment: str, nth: int) -> None:
    migration.run_and_die(
        moment, nth, "run", migration.source.uri, migration.target.uri, *migration.selection
    )
    migration.complete(migration.resume())


@pytest.mark.thorough
def test_killed_in_the_middle_of_a_large_upload(migration: Migration) -> None:
    kill_in_run(migration, LARGE_FILE, 1, lambda kill: cut_upload(LARGE // 2, kill))
    migration.complete(migration.resume())


@pytest.mark.thorough
def test_killed_while_planning_it_says_there_is_nothing_to_resume(migration: Migration) -> None:
    fault = drop_request(migration.kill)
    migration.kill_at(("POST", "/runs/search$"), 1, fault, proxy=migration.source)
    migration.start_run()
    assert migration.await_kill()
    assert not migration.target.writes()
    refused = migration.resume()
    assert refused.code == 2
    assert "no migration to resume" in refused.stderr
    migration.complete(migration.run())


@pytest.mark.thorough
@pytest.mark.parametrize(
    "moment", [pytest.param("before-plan-is-saved", marks=thorough), "saving-plan"]
)
def test_killed_while_the_plan_is_saved(migration: Migration, moment: str) -> None:
    ends = (migration.source.uri, migration.target.uri)
    migration.run_and_die(moment, 1, "plan", *ends, *migration.selection)
    assert migration.resume().code == 2
    migration.complete(migration.run())


@pytest.mark.parametrize(
    ("match", "nth", "accident", "taken_up"),
    [
        pytest.param(UPDATE_RUN, 10, drop_request, begun_anew_without_state, marks=thorough),
        pytest.param(LOG_BATCH, 1, drop_request, begun_anew, marks=thorough),
        pytest.param(LOG_BATCH, 11, drop_request, resumed, marks=thorough),
        pytest.param(LOG_BATCH, 1, lose_response, begun_anew_without_state, marks=thorough),
        pytest.param(LOG_BATCH, 11, lose_response, resumed, marks=thorough),
        pytest.param(DELETE_RUN, 1, drop_request, resumed, marks=thorough),
        pytest.param(DELETE_RUN, 3, drop_request, begun_anew_without_state, marks=thorough),
    ],
)
def test_killed_between_the_last_writes_to_a_run(
    migration: Migration, match: Match, nth: int, accident: Accident, taken_up: TakenUp
) -> None:
    """Its status and end, then the mark of a whole copy, then its deletion: some are missing."""
    kill_in_run(migration, match, nth, accident)
    migration.complete(taken_up(migration))


@pytest.mark.parametrize(
    ("match", "accident", "taken_up"),
    [
        (DELETE_EXPERIMENT, drop_request, resumed),
        pytest.param(DELETE_EXPERIMENT, lose_response, resumed, marks=thorough),
        pytest.param(DELETE_EXPERIMENT, lose_response, begun_anew, marks=thorough),
        pytest.param(RESTORE_RUN, drop_request, resumed, marks=thorough),
        pytest.param(RESTORE_RUN, drop_request, begun_anew_without_state, marks=thorough),
        pytest.param(RESTORE_RUN, lose_response, begun_anew, marks=thorough),
    ],
)
def test_killed_around_the_deletion_of_a_deleted_experiment(
    migration: Migration, match: Match, accident: Accident, taken_up: TakenUp
) -> None:
    """It is filled, then deleted, and then the runs that are active inside it are restored."""
    kill_in_run(migration, match, 1, accident)
    migration.complete(taken_up(migration))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("match", "accident", "taken_up"),
    [
        pytest.param(RESTORE_EXPERIMENT, lose_response, begun_anew, marks=thorough),
        (LOG_BATCH, drop_request, begun_anew_without_state),
        pytest.param(DELETE_EXPERIMENT, drop_request, resumed, marks=thorough),
    ],
)
def test_killed_while_a_deleted_experiment_is_open_for_what_has_changed(
    source_server: TrackingServerProcess,
    unique_name: str,
    migration_of: MigrationOf,
    match: Match,
    accident: Accident,
    taken_up: TakenUp,
) -> None:
    with Source(source_server.uri, prefix=f"{unique_name}-") as source:
        seed_work(source, families=0)
        migration = migration_of(source)
        migration.complete(migration.run())

        runs, abandoned = source.seeded.runs, source.seeded.experiments["abandoned"]
        source.post("experiments/restore", {"experiment_id": abandoned})
        add_run(source, "late", abandoned)
        source.metrics(runs["child-of-deleted"], [("loss", 0.2, START, 99)])
        source.delete_experiment(abandoned)
        source.restore_run(runs["restored"])
        kill_in_run(migration, match, 1, accident)
        migration.complete(taken_up(migration))


@pytest.mark.thorough
def test_killed_when_all_is_done_but_the_last_step(migration: Migration) -> None:
    ends = (migration.source.uri, migration.target.uri)
    migration.run_and_die("before-publish", 1, "run", *ends, *migration.selection)
    migration.target.clear()
    migration.complete(migration.resume())
    assert not migration.target.writes()


@pytest.mark.thorough
def test_a_state_in_use_is_not_taken_over_while_its_process_lives(migration: Migration) -> None:
    """Only the death of the process that holds the state frees it."""
    migration.kill_at(CREATE_RUN, 1, Fault(delay_before=600))
    first = migration.start_run()
    while not migration.target.matching(CREATE_EXPERIMENT):
        assert first.poll() is None
    second = migration.resume()
    assert second.code == 4, second
    first.signal_group(signal.SIGKILL)
    first.wait()
    migration.heal()
    migration.complete(migration.resume())
