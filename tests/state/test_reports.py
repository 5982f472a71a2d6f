"""The report of a migration, and the id map."""

from __future__ import annotations

from typing import Any

import pytest

from migrate.kinds import Action, Kind, Ref
from migrate.outcomes import Loss, LossCode, TaskStatus, loss_of
from migrate.plans import Failure, KindTotals, Report
from state.reports import MigrationStatus
from state.store import StateStore
from tests.state.samples import (
    EXPERIMENT,
    SOURCE,
    TARGET,
    done,
    experiment_task,
    failed,
    plan_of,
    run_ref,
    run_task,
    small_plan,
)


def test_the_report_of_a_new_plan_has_all_pending(store: StateStore) -> None:
    store.save_plan(small_plan())
    report = store.report("m1", seconds=1.5, interrupted=True)
    nothing = {"done": 0, "failed": 0, "blocked": 0, "skipped": 0}
    assert report == Report(
        migration_id="m1",
        source=SOURCE,
        target=TARGET,
        totals={
            Kind.EXPERIMENT: KindTotals(found=1, pending=1, **nothing),
            Kind.RUN: KindTotals(found=3, pending=3, **nothing),
        },
        failures=(),
        losses=(),
        warnings=(),
        unsupported={},
        bytes_sent=0,
        seconds=1.5,
        interrupted=True,
    )


def test_totals_count_every_status_writes_and_bytes(store: StateStore) -> None:
    skipped = run_task("d", action=Action.SKIP, status=TaskStatus.SKIPPED)
    store.save_plan(plan_of(*small_plan().tasks, skipped))
    store.record("m1", [failed(run_ref("a"), retryable=True, wrote=True, bytes_sent=5)], {})
    store.record(
        "m1",
        [done(run_ref("a"), bytes_sent=2**40), failed(run_ref("b"))],
        {run_ref("c"): run_ref("b")},
    )
    report = store.report("m1")
    assert report.totals[Kind.RUN] == KindTotals(
        found=4, done=1, failed=1, blocked=1, skipped=1, pending=0, wrote=1, bytes_sent=2**40 + 5
    )
    assert report.bytes_sent == 2**40 + 5
    assert not report.complete


def test_a_migration_with_all_done_is_complete(store: StateStore) -> None:
    store.save_plan(small_plan(["a"]))
    store.record("m1", [done(EXPERIMENT), done(run_ref("a"))], {})
    assert store.report("m1").complete


def test_a_failure_tells_its_last_error_and_how_much_it_blocks(store: StateStore) -> None:
    child, grandchild = run_ref("b"), run_ref("c")
    store.save_plan(small_plan())
    store.record("m1", [failed(run_ref("a"), "503", retryable=True)], {})
    store.record(
        "m1",
        [failed(run_ref("a"), "disk full", hint="make room"), failed(EXPERIMENT, "403")],
        {child: run_ref("a"), grandchild: child},
    )
    assert store.report("m1").failures == (
        Failure(ref=EXPERIMENT, name="fraud", error="403"),
        Failure(ref=run_ref("a"), name="run a", error="disk full", hint="make room", blocks=2),
    )


def test_the_error_of_a_try_cut_short_is_that_of_the_try_before(store: StateStore) -> None:
    store.save_plan(small_plan())
    store.record("m1", [failed(run_ref("a"), "403")], {})
    store.mark_started("m1", [run_ref("a")])
    assert [failure.error for failure in store.report("m1").failures] == ["403"]


def test_a_failure_is_listed_even_when_its_attempts_are_unknown(store: StateStore) -> None:
    store.save_plan(plan_of(experiment_task(status=TaskStatus.FAILED)))
    assert store.report("m1").failures == (Failure(ref=EXPERIMENT, name="fraud", error=""),)


def test_losses_and_warnings_are_joined_without_doubling(store: StateStore) -> None:
    planned, seen, later = Loss("tag x", "long"), Loss("file y", "gone"), Loss("param z", "long")
    store.save_plan(
        plan_of(
            experiment_task(),
            run_task("a", losses=(planned,), warnings=("planned",)),
            run_task("b"),
        )
    )
    store.record(
        "m1",
        [
            failed(run_ref("a"), losses=(planned, seen), warnings=("planned", "seen")),
            done(EXPERIMENT, warnings=("renamed",)),
        ],
        {},
    )
    store.record("m1", [done(run_ref("a"), losses=(seen, later), warnings=("seen",))], {})
    report = store.report("m1")
    assert report.losses == tuple((run_ref("a"), "run a", loss) for loss in (planned, seen, later))
    assert report.warnings == (
        (EXPERIMENT, "renamed"),
        (run_ref("a"), "planned"),
        (run_ref("a"), "seen"),
    )
    assert not report.complete


def test_what_the_user_leaves_out_is_no_loss(store: StateStore) -> None:
    lossy = experiment_task(
        action=Action.SKIP, status=TaskStatus.SKIPPED, losses=(Loss("tag", "long"),)
    )
    store.save_plan(plan_of(lossy))
    assert store.report("m1").losses == ()
    assert store.report("m1").complete


def test_unsupported_objects_are_counted_whether_tasks_or_not(store: StateStore) -> None:
    unsupported = run_task("a", action=Action.UNSUPPORTED, status=TaskStatus.SKIPPED)
    store.save_plan(
        plan_of(
            experiment_task(),
            unsupported,
            unsupported={Kind.TRACE: 9, Kind.PROMPT: -1, Kind.LOGGED_MODEL: 0},
        )
    )
    report = store.report("m1")
    assert report.unsupported == {Kind.TRACE: 9, Kind.PROMPT: -1, Kind.RUN: 1}


def test_tasks_are_counted_a_stretch_at_a_time(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.reports._STRETCH", 3)
    names = [f"{number:02}" for number in range(20)]
    store.save_plan(small_plan(names))
    ended = [done(EXPERIMENT), *(done(run_ref(name), bytes_sent=7) for name in names[4:13])]
    ended += [failed(run_ref(name)) for name in names[13::2]]
    store.record("m1", ended, {})
    runs = store.report("m1").totals[Kind.RUN]
    assert (runs.found, runs.done, runs.failed, runs.pending) == (20, 9, 4, 7)
    assert runs.bytes_sent == 63
    (line, report) = store.overview()[0]
    assert (line.status, report) == (MigrationStatus.UNFINISHED, store.report("m1"))


def test_the_map_holds_finished_copies_only(store: StateStore) -> None:
    store.save_plan(small_plan())
    store.record("m1", [done(EXPERIMENT, "77"), failed(run_ref("a"), target_id="half")], {})
    assert list(store.id_map()) == [
        {
            "kind": "experiment",
            "source_id": "1",
            "target_id": "77",
            "name": "fraud",
            "migration_id": "m1",
            "source_uri": SOURCE.uri,
            "target_uri": TARGET.uri,
        }
    ]


def test_the_map_holds_copies_the_plan_found_complete(store: StateStore) -> None:
    found = experiment_task(action=Action.ADOPT, status=TaskStatus.DONE, target_id="77")
    store.save_plan(plan_of(found))
    assert [row["target_id"] for row in store.id_map()] == ["77"]


def test_the_map_follows_an_object_copied_again(store: StateStore) -> None:
    store.save_plan(small_plan())
    store.record("m1", [done(EXPERIMENT, "77")], {})
    store.record("m1", [done(EXPERIMENT, "78")], {})
    assert [row["target_id"] for row in store.id_map()] == ["78"]


def test_the_map_keeps_what_a_plan_made_anew_leaves_out(store: StateStore) -> None:
    store.save_plan(small_plan(["a", "b"]))
    store.record("m1", [done(EXPERIMENT, "77"), done(run_ref("a")), failed(run_ref("b"))], {})
    for _ in range(2):
        store.save_plan(plan_of(experiment_task(), run_task("c")))
        copies = [(row["kind"], row["source_id"], row["target_id"]) for row in store.id_map()]
        assert copies == [("experiment", "1", "77"), ("run", "a", "new-a")]
    store.record("m1", [done(EXPERIMENT, "78")], {})
    assert [row["target_id"] for row in store.id_map()] == ["78", "new-a"]


def test_the_map_keeps_what_is_to_be_copied_once_more(store: StateStore) -> None:
    store.save_plan(small_plan())
    unlisted = loss_of(LossCode.NOT_LISTED, "artifacts", "answered 403")
    store.record("m1", [done(run_ref("a"), losses=(unlisted,)), done(run_ref("b"))], {})
    store.reset_for_resume("m1")
    assert store.report("m1").totals[Kind.RUN].pending == 2
    assert [row["source_id"] for row in store.id_map()] == ["a", "b"]


def test_the_map_is_searched_from_both_ends(store: StateStore) -> None:
    model = Ref(Kind.REGISTERED_MODEL, "1")
    store.save_plan(plan_of(experiment_task(), experiment_task(ref=model), run_task("a")))
    store.record("m1", [done(EXPERIMENT, "77"), done(model, "1"), done(run_ref("a"), "b")], {})

    def found(**wanted: Any) -> list[tuple[str, str]]:
        return [(row["kind"], row["target_id"]) for row in store.id_map(**wanted)]

    assert found(ids=["a"]) == [("run", "b")]
    assert found(ids=["b"]) == [("run", "b")]
    assert found(kinds=[Kind.EXPERIMENT]) == [("experiment", "77")]
    assert found(ids=["1"]) == [("experiment", "77"), ("registered model", "1")]
    assert found(ids=["1"], kinds=[Kind.REGISTERED_MODEL]) == [("registered model", "1")]


def test_a_map_of_many_pages_is_read_whole_while_it_grows(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.copies._PAGE", 7)
    names = [f"{number:05}" for number in range(40)]
    store.save_plan(small_plan(names))
    store.save_plan(small_plan(names[:1], migration_id="m2"))
    store.record("m1", [done(run_ref(name)) for name in names], {})
    store.record("m2", [done(run_ref(names[0]))], {})
    rows: list[tuple[str, str]] = []
    for row in store.id_map():
        if len(rows) % 9 == 0:
            store.record("m1", [done(EXPERIMENT, "late")], {})
        rows.append((row["source_id"], row["migration_id"]))
    assert rows.count((names[0], "m2")) == 1
    assert [name for name, migration in rows if migration == "m1" and name != "1"] == names
