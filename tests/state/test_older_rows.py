"""States as earlier versions wrote them: losses and reasons as sentences, deletions as a kind."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from migrate.errors import StateError
from migrate.graph.why import explain
from migrate.kinds import Kind, Ref, Step, experiment_ref
from migrate.objects import LossCode
from migrate.outcomes import TaskStatus
from migrate.plans import Because
from state import schema
from state.store import StateStore
from tests.state.samples import done, experiment_task, plan_of, run_ref, run_task

UNLISTED = ["artifacts", "not listed by the source: answered 403"]
REFUSED = ["artifact #", "refused by the target: its name"]
LASTING = ["param depth", "differs on the target, which lets nobody undo it: 3 is 4 there"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state whose rows are as an earlier version wrote them."""
    location = tmp_path / "state.db"
    parent, child = run_task("a"), run_task("b c", needs=(run_ref("a"),))
    with StateStore.open(location) as store:
        store.save_plan(plan_of(experiment_task(), parent, child))
        store.record("m1", [done(task.ref) for task in (experiment_task(), parent, child)], {})
    connection = sqlite3.connect(location)
    for ident, reasons, losses in (
        ("a", ["the parent of run:b c"], [UNLISTED, REFUSED]),
        ("b c", ["named by model version:iris: 1/3", "selected by --models"], [REFUSED]),
    ):
        connection.execute(
            "UPDATE task SET because = ?, losses = ?, planned_losses = ? WHERE source_id = ?",
            (json.dumps(reasons), json.dumps(losses), json.dumps([LASTING]), ident),
        )
    connection.execute("UPDATE state_version SET version = 2")
    for added_since in ("objects", "objects_written"):
        connection.execute(f"ALTER TABLE task DROP COLUMN {added_since}")
    connection.commit()
    connection.close()
    return location


def test_what_may_heal_is_tried_again(path: Path) -> None:
    with StateStore.open(path) as store:
        store.reset_for_resume("m1")
        plan = store.load_plan()
        assert plan is not None
        statuses = {task.ref.id: task.status for task in plan.tasks}
        assert statuses == {"1": "done", "a": TaskStatus.PENDING, "b c": TaskStatus.DONE}
        lost = [(ref.id, [*loss[:2]]) for ref, _, loss in store.report("m1").losses]
        assert lost == [("a", LASTING), ("a", REFUSED), ("b c", LASTING), ("b c", REFUSED)]


def test_what_is_lasting_is_known_to_be(path: Path) -> None:
    with StateStore.open(path) as store:
        plan = store.load_plan()
        assert plan is not None
        assert [loss.code for loss in plan.tasks[1].losses] == [LossCode.LASTING]


def test_reasons_name_the_objects_that_they_named(path: Path) -> None:
    with StateStore.open(path) as store:
        plan = store.load_plan()
    assert plan is not None
    assert plan.tasks[1].because == (Because("the parent of", run_ref("b c")),)
    version = Ref(Kind.MODEL_VERSION, "iris: 1/3")
    assert plan.tasks[2].because == (
        Because("named by", version),
        Because("selected by --models"),
    )
    why = explain(plan, "a")
    assert why.because == ("the parent of run:b c",)
    assert [sentence for _, sentence in why.chain] == [
        "the parent of run:b c",
        "named by model version:iris: 1/3",
    ]


def test_a_reader_reads_them_as_they_are(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StateStore.open(path):
        pass
    now = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", now + 1)
    monkeypatch.setattr(schema, "UPGRADES", {now: None})
    with StateStore.open(path, read_only=True) as store:
        assert [ref.id for ref, _, _ in store.report("m1").losses] == ["a", "a", "a", "b c", "b c"]
    assert version_of(path) == now


def test_each_copy_is_in_the_map_once(path: Path) -> None:
    """Up to version 5, copies of tasks were entered as well."""
    with StateStore.open(path):
        pass
    connection = sqlite3.connect(path)
    for ident, copy in (("a", "earlier"), ("gone", "kept")):
        connection.execute("INSERT INTO id_map VALUES (?, 'run', 1, ?, 'n')", (ident, copy))
    connection.execute("CREATE INDEX attempt_of ON attempt (migration, source_id, kind)")
    connection.execute("UPDATE state_version SET version = 5")
    connection.commit()
    connection.close()
    entries = [("1", "new-1"), ("a", "new-a"), ("b c", "new-b c"), ("gone", "kept")]
    for read_only in (True, False, True):
        with StateStore.open(path, read_only=read_only) as store:
            assert [(row["source_id"], row["target_id"]) for row in store.id_map()] == entries
            assert [item.status for item in store.migrations()] == ["done"]


def test_a_reader_leaves_tables_of_another_form_as_they_are(path: Path) -> None:
    with pytest.raises(StateError, match="state version 2, which is older"):
        StateStore.open(path, read_only=True)
    assert version_of(path) == 2


def test_a_task_of_then_stands_for_one_object(path: Path) -> None:
    with StateStore.open(path) as store:
        plan = store.load_plan()
        assert plan is not None
        assert {task.count for task in plan.tasks} == {1}
        assert {kind.value: total.found for kind, total in store.report("m1").totals.items()} == {
            "experiment": 1,
            "run": 2,
        }


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    [[version]] = connection.execute("SELECT version FROM state_version")
    connection.close()
    assert isinstance(version, int)
    return version


@pytest.fixture
def deletions(tmp_path: Path) -> Path:
    """A state of version 4: of three deletions one is done, one failed and holds up the third."""
    location = tmp_path / "version-4.db"
    connection = sqlite3.connect(location)
    connection.executescript(Path(__file__).with_name("version-4.sql").read_text())
    connection.close()
    return location


def test_deletions_are_steps_with_what_they_delete(deletions: Path) -> None:
    model = Ref(Kind.LOGGED_MODEL, "m-1")
    with StateStore.open(deletions) as store:
        plan = store.load_plan()
        assert plan is not None
        tasks = {task.ref: task for task in plan.tasks}
        assert [ref for ref in tasks if ref.deletes] == [
            model.deletion,
            experiment_ref("1").deletion,
            experiment_ref("2").deletion,
        ]
        assert tasks[model.deletion].needs == (model,)
        assert model.deletion in tasks[experiment_ref("1").deletion].needs
        assert tasks[experiment_ref("2").deletion].status is TaskStatus.DONE
        report = store.report("m1")
        assert [(it.ref, it.error, it.blocks) for it in report.failures] == [
            (model.deletion, "no answer", 1)
        ]
        totals = report.totals[Step.DELETION]
        assert (totals.found, totals.done, totals.failed, totals.blocked) == (3, 1, 1, 1)
        kinds = [row["kind"] for row in store.id_map()]
        assert sorted(kinds) == ["experiment", "experiment", "logged model", "run"]


def test_deletions_are_resumed(deletions: Path) -> None:
    refs = [Ref(Kind.LOGGED_MODEL, "m-1").deletion, experiment_ref("1").deletion]
    with StateStore.open(deletions) as store:
        store.reset_for_resume("m1")
        plan = store.load_plan()
        assert plan is not None
        assert [task.ref for task in plan.tasks if task.status is TaskStatus.PENDING] == refs
        assert store.tries("m1") == dict.fromkeys(refs, 1)
        store.mark_started("m1", refs)
        store.record("m1", [done(ref) for ref in refs], {})
        assert not store.report("m1").failures
