"""Attempts and their outcomes: what one turn of the scheduler's loop writes."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.errors import StateError
from migrate.kinds import Ref, experiment_ref
from migrate.outcomes import Loss, LossCode, Outcome, TaskStatus, loss_of
from migrate.straight import Files
from state import database
from state.store import StateStore
from tests.state.samples import (
    EXPERIMENT,
    done,
    experiment_task,
    failed,
    plan_of,
    run_ref,
    run_task,
    small_plan,
)


def statuses(store: StateStore) -> dict[str, TaskStatus]:
    plan = store.load_plan()
    assert plan is not None
    return {task.ref.id: task.status for task in plan.tasks}


def target_ids(store: StateStore) -> dict[str, str]:
    plan = store.load_plan()
    assert plan is not None
    return {task.ref.id: task.target_id for task in plan.tasks}


def test_a_retryable_outcome_leaves_the_task_pending_with_its_target_id(store: StateStore) -> None:
    store.save_plan(small_plan())
    store.record("m1", [failed(run_ref("a"), retryable=True, target_id="half")], {})
    assert statuses(store)["a"] is TaskStatus.PENDING
    assert target_ids(store)["a"] == "half"
    assert list(store.id_map()) == []


def test_a_failure_without_target_id_and_mark_keeps_those_known(store: StateStore) -> None:
    store.save_plan(small_plan())
    store.record("m1", [failed(run_ref("a"), retryable=True, target_id="half", mark="f")], {})
    store.record("m1", [failed(run_ref("a"))], {})
    plan = store.load_plan()
    assert plan is not None
    assert (plan.tasks[1].target_id, plan.tasks[1].mark) == ("half", "f")


def test_an_outcome_of_an_unplanned_task_writes_nothing(store: StateStore) -> None:
    store.save_plan(small_plan())
    with pytest.raises(StateError, match="run:gone is not in the plan"):
        store.record("m1", [done(EXPERIMENT), done(run_ref("gone"))], {run_ref("a"): EXPERIMENT})
    assert set(statuses(store).values()) == {TaskStatus.PENDING}
    assert store.tries("m1") == {}


def test_a_turn_may_end_one_task_twice(store: StateStore) -> None:
    store.save_plan(small_plan())
    first = failed(run_ref("a"), retryable=True, target_id="half", warnings=("slow",), bytes_sent=2)
    store.record("m1", [first, done(run_ref("b")), done(run_ref("a"), "whole", bytes_sent=3)], {})
    assert statuses(store) == {"1": "pending", "a": "done", "b": "done", "c": "pending"}
    assert target_ids(store)["a"] == "whole"
    report = store.report("m1")
    assert (report.bytes_sent, report.warnings) == (5, ((run_ref("a"), "slow"),))


def test_notes_of_what_went_past_a_server_are_summed_up_and_are_no_warnings(
    store: StateStore,
) -> None:
    store.save_plan(small_plan())
    forged = "straight, target: 9 files, 9 bytes, 'x' names another run"
    notes = ("straight, source: 2 files, 30 bytes, 'a'", "straight, target: 1 files, 5 bytes, 'a'")
    first = failed(run_ref("a"), retryable=True, straight=notes[:1])
    store.record("m1", [first, done(run_ref("b"), straight=notes, warnings=(forged,))], {})
    report = store.report("m1")
    assert report.straight == {"source": Files(4, 60), "target": Files(1, 5)}
    assert report.warnings == ((run_ref("b"), f" {forged}"),)


def test_nothing_to_record_is_no_error(store: StateStore) -> None:
    store.save_plan(small_plan())
    store.mark_started("m1", [])
    store.record("m1", [], {})
    assert set(statuses(store).values()) == {TaskStatus.PENDING}


def test_resume_reopens_what_failed_or_was_blocked(store: StateStore) -> None:
    store.save_plan(small_plan())
    store.record(
        "m1",
        [done(EXPERIMENT), failed(run_ref("a"), target_id="half")],
        {run_ref("b"): run_ref("a")},
    )
    store.reset_for_resume("m1")
    pending = TaskStatus.PENDING
    assert statuses(store) == {"1": TaskStatus.DONE, "a": pending, "b": pending, "c": pending}
    assert target_ids(store)["a"] == "half"
    assert store.report("m1").failures == ()


UNLISTED = loss_of(LossCode.NOT_LISTED, "artifacts", "answered 403")
UNDELIVERED = loss_of(LossCode.NOT_DELIVERED, "artifact x", "it broke off")
REFUSED = Loss("artifact #", "refused by the target: its name")


def test_resume_reopens_what_may_bring_more_and_keeps_what_stays_lost(store: StateStore) -> None:
    store.save_plan(small_plan())
    outcomes = [
        done(EXPERIMENT),
        done(run_ref("a"), losses=(UNLISTED,), mark="m"),
        done(run_ref("b"), losses=(REFUSED, UNDELIVERED)),
        done(run_ref("c"), losses=(REFUSED,)),
    ]
    store.record("m1", outcomes, {})
    store.reset_for_resume("m1")
    pending, ended = TaskStatus.PENDING, TaskStatus.DONE
    assert statuses(store) == {"1": ended, "a": pending, "b": pending, "c": ended}
    assert target_ids(store)["a"] == "new-a"
    assert [loss for _, _, loss in store.report("m1").losses] == [REFUSED, REFUSED]
    store.record("m1", [done(run_ref("a"))], {})
    assert statuses(store)["a"] is ended


def test_resume_leaves_what_was_deleted_afterwards(store: StateStore) -> None:
    deletion = run_task("1", ref=experiment_ref("1").deletion, needs=(EXPERIMENT, run_ref("a")))
    store.save_plan(plan_of(experiment_task(), run_task("a"), deletion))
    outcomes = [done(EXPERIMENT), done(run_ref("a"), losses=(UNLISTED,)), done(deletion.ref)]
    store.record("m1", outcomes, {})
    store.reset_for_resume("m1")
    plan = store.load_plan()
    assert plan is not None
    assert {task.status for task in plan.tasks} == {TaskStatus.DONE}


def test_resume_leaves_other_migrations_alone(store: StateStore) -> None:
    store.save_plan(small_plan(migration_id="other", created=2_000))
    store.save_plan(small_plan(created=1_000))
    store.record("other", [failed(EXPERIMENT)], {})
    store.reset_for_resume("m1")
    assert statuses(store)["1"] is TaskStatus.FAILED


def test_attempts_at_unfinished_tasks_are_counted(store: StateStore) -> None:
    store.save_plan(small_plan())
    for _ in range(3):
        store.mark_started("m1", [EXPERIMENT, run_ref("a")])
        store.record("m1", [failed(run_ref("a"), retryable=True), failed(EXPERIMENT)], {})
    store.mark_started("m1", [EXPERIMENT, run_ref("b")])
    store.record("m1", [done(EXPERIMENT)], {})
    assert store.tries("m1") == {run_ref("a"): 3, run_ref("b"): 1}
    assert store.begun("m1") == {run_ref("a"), run_ref("b")}


def test_what_was_begun_is_known_to_the_next_process(location: str) -> None:
    with StateStore.open(location) as store:
        store.save_plan(small_plan())
        store.mark_started("m1", [run_ref("a"), run_ref("b")])
        store.record("m1", [done(run_ref("b"))], {})
    with StateStore.open(location) as store:
        assert store.begun("m1") == {run_ref("a")}
        store.mark_started("m1", [run_ref("a")])
        store.record("m1", [failed(run_ref("a"), retryable=True)], {})
        assert store.tries("m1") == {run_ref("a"): 2}


def test_each_try_is_one_row_with_its_times_and_error(tmp_path: Path) -> None:
    before = int(time.time() * 1000)
    with StateStore.open(tmp_path / "state.db") as store:
        store.save_plan(small_plan())
        store.mark_started("m1", [run_ref("a"), run_ref("b")])
        store.record(
            "m1", [failed(run_ref("a"), "503", hint="wait", retryable=True, seconds=9.0)], {}
        )
        store.record("m1", [failed(run_ref("c"), "410", seconds=2.0)], {})
    connection = sqlite3.connect(tmp_path / "state.db")
    rows = connection.execute(
        "SELECT source_id, started, ended, status, error, hint, retryable FROM attempt ORDER BY id"
    ).fetchall()
    connection.close()
    (a, a_start, a_end, *a_rest), (b, b_start, *b_rest), (c, c_start, c_end, *c_rest) = rows
    assert (a, a_rest) == ("a", ["failed", "503", "wait", 1])
    assert before <= a_start <= a_end <= int(time.time() * 1000)
    assert (b, b_start, b_rest) == ("b", a_start, [None, None, "", "", 0])
    assert (c, c_end - c_start, c_rest) == ("c", 2000, ["failed", "410", "", 0])


def test_a_store_that_may_only_read_writes_nothing(location: str) -> None:
    with StateStore.open(location) as store:
        store.save_plan(small_plan())
        with StateStore.open(location, read_only=True) as reader:
            with pytest.raises(StateError, match="read only"):
                reader.record("m1", [done(EXPERIMENT)], {})
            store.record("m1", [done(EXPERIMENT)], {})
            assert statuses(reader)["1"] is TaskStatus.DONE


def test_what_begins_waits_for_the_disk_and_what_ended_does_not(tmp_path: Path) -> None:
    """A power cut may take an outcome, but never the knowledge that an attempt began."""
    normal, full = 1, 2
    with StateStore.open(tmp_path / "state.db") as store:

        def synchronous() -> int:
            with store._transaction() as connection:
                return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

        store.save_plan(small_plan())
        assert synchronous() == full
        store.record("m1", [done(EXPERIMENT)], {})
        assert synchronous() == normal
        store.mark_started("m1", [run_ref("a")])
        assert synchronous() == full


def test_few_pages_are_kept_while_batches_are_recorded(tmp_path: Path) -> None:
    """SQLite goes through all of them at the end of a transaction that splits one."""
    with StateStore.open(tmp_path / "state.db") as store:

        def kept_kib() -> int:
            with store._transaction() as connection:
                return -int(connection.exec_driver_sql("PRAGMA cache_size").scalar_one())

        few = kept_kib()
        with store._transaction() as connection, database.writing_much(connection):
            much = -int(connection.exec_driver_sql("PRAGMA cache_size").scalar_one())
        assert few <= much // 16
        store.save_plan(small_plan())
        assert kept_kib() == few


_outcomes = st.builds(
    Outcome,
    ref=st.sampled_from([EXPERIMENT, run_ref("a"), run_ref("b")]),
    status=st.sampled_from([TaskStatus.DONE, TaskStatus.FAILED]),
    target_id=st.sampled_from(["", "x", "y"]),
    mark=st.sampled_from(["", "1", "2"]),
    wrote=st.booleans(),
    bytes_sent=st.integers(0, 2**50),
    written=st.integers(0, 3),
    warnings=st.sampled_from([(), (), ("to be read",)]),
)


@given(turns=st.lists(st.lists(_outcomes, unique_by=lambda outcome: outcome.ref), max_size=5))
@settings(max_examples=25)
def test_tasks_stand_where_their_outcomes_left_them(
    tmp_path_factory: pytest.TempPathFactory, turns: list[list[Outcome]]
) -> None:
    with StateStore.open(tmp_path_factory.mktemp("state") / "state.db") as store:
        store.save_plan(small_plan(["a", "b"]))
        for turn in turns:
            store.mark_started("m1", [outcome.ref for outcome in turn])
            store.record("m1", turn, {})
        plan = store.load_plan()
        report = store.report("m1")
        tries = store.tries("m1")
    assert plan is not None
    for task in plan.tasks:
        of_task = [outcome for turn in turns for outcome in turn if outcome.ref == task.ref]
        assert task.status is (of_task[-1].status if of_task else TaskStatus.PENDING)
        assert task.target_id == ([o.target_id for o in of_task if o.target_id] or [""])[-1]
        assert task.mark == ([o.mark for o in of_task if o.mark] or [""])[-1]
        expected = 0 if task.status is TaskStatus.DONE else len(of_task)
        assert tries.get(task.ref, 0) == expected
    outcomes = [outcome for turn in turns for outcome in turn]
    assert report.bytes_sent == sum(outcome.bytes_sent for outcome in outcomes)
    wrote: dict[Ref, int] = {}
    for outcome in outcomes:
        if outcome.wrote:
            wrote[outcome.ref] = max(outcome.written, wrote.get(outcome.ref, 0))
    assert sum(totals.wrote for totals in report.totals.values()) == sum(wrote.values())
    warned = {outcome.ref for outcome in outcomes if outcome.warnings}
    assert [ref for ref, _ in report.warnings] == [it.ref for it in plan.tasks if it.ref in warned]
