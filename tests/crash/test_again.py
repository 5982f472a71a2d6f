"""Migrating again: nothing is written that is there, and all that is new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.comparison import ORIGIN
from tests.crash.audit import begin_audit, written_experiments, written_runs
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Migration, paths
from tests.crash.samples import add_run, seed_work
from tests.faults import lose_response
from tests.seed import START, Source

CREATE_RUN = ("POST", "/runs/create$")


@pytest.fixture
def work(source_server: TrackingServerProcess, unique_name: str) -> Iterator[Source]:
    with Source(source_server.uri, prefix=f"{unique_name}-") as source:
        seed_work(source, families=2)
        yield source


@pytest.fixture
def migration(work: Source, migration_of: MigrationOf) -> Migration:
    return migration_of(work)


@pytest.fixture
def database(fresh_target: TrackingServerProcess) -> Path:
    return fresh_target.directory / "mlflow.db"


def change_five(source: Source) -> list[str]:
    """Changes five runs, each in one way, and returns their ids."""
    runs = source.seeded.runs
    source.metrics(runs["parent-0"], [("loss", 0.01, START + 900, 90)])
    source.metrics(runs["child-0-0"], [("loss", 0.3, START + 15, 1)])
    source.tags(runs["evaluation-0-0"], {"stage": "production"})
    source.update(runs["child-1-0"], status="KILLED", end=START + 99_000)
    source.artifact(runs["evaluation-1-0"], "report/added.txt", b"since")
    labels = ("parent-0", "child-0-0", "evaluation-0-0", "child-1-0", "evaluation-1-0")
    return [runs[label] for label in labels]


def add_ten(source: Source) -> list[str]:
    """Adds ten runs, some of them children of runs old and new, and returns their ids."""
    training, evaluation = (source.seeded.experiments[n] for n in ("training", "evaluation"))
    old = source.seeded.runs["parent-1"]
    new = add_run(source, "new-parent", training, files=1)
    added = [new]
    for number in range(9):
        born = {"mlflow.parentRunId": new if number % 2 else old}
        place = training if number % 3 else evaluation
        added.append(add_run(source, f"new-{number}", place, tags=born, files=number % 2))
    return added


@pytest.mark.thorough
def test_nothing_at_all_is_written_when_nothing_has_changed(
    migration: Migration, database: Path
) -> None:
    migration.complete(migration.run())
    migration.target.clear()
    begin_audit(database)
    assert migration.resume().code == 0
    assert migration.run().code == 0
    assert migration.run("--quick").code == 0
    assert migration.plan().code == 0
    assert migration.verify().code == 0
    migration.forget()
    migration.complete(migration.run())
    assert migration.target.writes() == []
    assert written_runs(database) == written_experiments(database) == set()


@pytest.mark.thorough
def test_exactly_what_is_new_or_changed_is_written(
    work: Source, migration: Migration, database: Path
) -> None:
    migration.complete(migration.run())
    changed, added = change_five(work), add_ten(work)
    migration.target.clear()
    begin_audit(database)
    migration.complete(migration.run())

    copies = {origin: same[0]["run_id"] for origin, same in migration.copies().items()}
    assert written_runs(database) == {copies[run_id] for run_id in changed + added}
    assert written_experiments(database) == set()
    assert len(paths(migration.target, "/runs/create$")) == 10
    assert len(paths(migration.target, "/runs/log-batch$")) == 15
    assert len(paths(migration.target, "/runs/update$")) == 11
    uploads = paths(migration.target, "/mlflow-artifacts/", ["PUT"])
    assert sorted(path.rpartition("/")[2] for path in uploads) == [
        "added.txt",
        *(f"new-{number}-0.txt" for number in (1, 3, 5, 7)),
        "new-parent-0.txt",
    ]
    # Two more: while runs are created, the target says by whom, and then no longer.
    assert len(migration.target.writes()) == 10 + 15 + 11 + len(uploads) + 2


@pytest.mark.thorough
def test_quick_finds_what_a_search_shows_and_all_of_what_has_not_ended(
    work: Source, migration: Migration, database: Path
) -> None:
    runs = work.seeded.runs
    running = add_run(work, "running", work.seeded.experiments["training"], status="RUNNING")
    migration.complete(migration.run())
    hidden = runs["child-0-0"]
    work.metrics(hidden, [("loss", 0.3, START + 15, 1)])
    work.metrics(running, [("loss", 0.3, START + 15, 1)])
    work.tags(runs["evaluation-0-0"], {"stage": "production"})

    copies = {origin: same[0]["run_id"] for origin, same in migration.copies().items()}
    begin_audit(database)
    assert migration.run("--quick").code == 0
    assert written_runs(database) == {copies[running], copies[runs["evaluation-0-0"]]}
    begin_audit(database)
    migration.complete(migration.run())
    assert written_runs(database) == {copies[hidden]}


@pytest.mark.thorough
def test_a_state_lost_half_way_is_made_good_from_the_target(migration: Migration) -> None:
    migration.kill_at(CREATE_RUN, 8, lose_response(migration.kill))
    migration.start_run()
    assert migration.await_kill()
    migration.forget()
    migration.complete(migration.run())
    assert len(paths(migration.target, "/experiments/create$")) == 3
    assert len(paths(migration.target, CREATE_RUN[1])) == 16


@pytest.mark.thorough
def test_a_second_copy_is_told_and_the_whole_one_is_kept_up(
    work: Source, migration: Migration, fresh_target: TrackingServerProcess
) -> None:
    """Such as a create that is still under way when its killed sender is resumed already."""
    migration.complete(migration.run())
    run_id = work.seeded.runs["parent-0"]
    copy = migration.copies()[run_id][0]
    with Source(fresh_target.uri) as target:
        target.run("late", copy["experiment_id"], tags={ORIGIN: run_id})
    verified = migration.verify()
    assert verified.code == 3
    assert "holds 2 of them" in verified.stdout
    work.tags(run_id, {"stage": "production"})
    again = migration.run()
    assert again.code == 3
    assert "the target holds 2 copies of this run" in again.stdout
    copies = {same["run_id"]: same["tags"] for same in migration.copies()[run_id]}
    assert len(copies) == 2
    assert copies[copy["run_id"]]["stage"] == "production"


@pytest.mark.thorough
def test_changes_arrive_through_an_export_directory_and_nothing_else_is_written(
    work: Source, migration: Migration, database: Path
) -> None:
    exported = migration.through("export")
    migration.complete(exported.carry())
    before = exported.files()
    migration.target.clear()
    begin_audit(database)
    migration.complete(exported.carry())
    assert exported.files() == before
    assert migration.target.writes() == []

    changed, added = change_five(work), add_ten(work)
    migration.complete(exported.carry())
    copies = {origin: same[0]["run_id"] for origin, same in migration.copies().items()}
    assert written_runs(database) == {copies[run_id] for run_id in changed + added}
    assert len(paths(migration.target, "/runs/create$")) == 10
