"""A plan comes back as it was stored, and follows what becomes of its tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings

from migrate.errors import StateError
from migrate.kinds import Action, Kind, Ref
from migrate.outcomes import Loss, TaskStatus
from migrate.plans import Because, Plan, PlannedTask, Side
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
    plans,
    run_ref,
    run_task,
    small_plan,
)


@pytest.fixture(scope="module")
def lasting_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateStore]:
    with StateStore.open(tmp_path_factory.mktemp("state") / "state.db") as opened:
        yield opened


@given(plan=plans())
@settings(max_examples=60)
def test_any_plan_comes_back_as_it_was(lasting_store: StateStore, plan: Plan) -> None:
    lasting_store.save_plan(plan)
    assert lasting_store.load_plan("m1") == plan


def test_every_field_of_a_plan_comes_back(store: StateStore) -> None:
    plan = plan_of(
        experiment_task(action=Action.SKIP, reason="not selected", status=TaskStatus.SKIPPED),
        run_task("a", losses=(Loss("tag x", "too long"),), warnings=("w",), mark="f00"),
        run_task("b", action=Action.ADOPT, target_id="t", needs=(run_ref("a"), EXPERIMENT)),
        run_task("c", needs=(run_ref("b"),), after=(run_ref("a"), EXPERIMENT)),
        run_task(
            "d",
            because=(Because("the parent of", run_ref("é")), Because('named by "x"')),
            number=2**31 - 1,
            first_free=3,
        ),
        options={"experiments": ["fraud"], "since": None, "strict": True},
        notes=("MLflow 2.9.2 keeps no trace",),
        collisions=("fraud",),
        unsupported={Kind.TRACE: 12, Kind.PROMPT: -1},
        known={"params": 10**10},
    )
    store.save_plan(plan)
    assert store.load_plan() == plan


def test_a_plan_larger_than_one_statement_keeps_its_order(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.bulk.CHUNK", 7)
    plan = small_plan([f"{number:x}" for number in range(40, 0, -1)])
    store.save_plan(plan)
    assert store.load_plan() == plan
    store.record("m1", [done(task.ref) for task in plan.tasks], {})
    assert store.report("m1").complete
    assert len(list(store.id_map())) == 41


def test_there_is_no_plan_in_a_new_database(store: StateStore) -> None:
    assert store.load_plan() is None
    assert store.migrations() == []


def test_an_unknown_migration_has_no_plan(store: StateStore) -> None:
    store.save_plan(small_plan())
    assert store.load_plan("another") is None


def test_the_latest_plan_is_loaded_by_default(store: StateStore) -> None:
    store.save_plan(small_plan(migration_id="newer", created=2_000))
    store.save_plan(small_plan(migration_id="older", created=1_000))
    latest = store.load_plan()
    assert latest is not None
    assert latest.migration_id == "newer"


def test_plans_of_two_migrations_stay_apart(store: StateStore) -> None:
    first, second = small_plan(["a"], migration_id="m1"), small_plan(["a", "b"], migration_id="m2")
    store.save_plan(first)
    store.save_plan(second)
    store.record("m2", [done(run_ref("a"))], {})
    assert store.load_plan("m1") == first


def test_tasks_come_back_as_they_stand(store: StateStore) -> None:
    plan = small_plan()
    store.save_plan(plan)
    store.record(
        "m1",
        [done(EXPERIMENT, "77", mark="f00"), failed(run_ref("a"), target_id="half")],
        {run_ref("b"): run_ref("a")},
    )
    experiment, first, second, third = plan.tasks
    assert store.load_plan() == replace(
        plan,
        tasks=(
            replace(experiment, status=TaskStatus.DONE, target_id="77", mark="f00"),
            replace(first, status=TaskStatus.FAILED, target_id="half"),
            replace(second, status=TaskStatus.BLOCKED),
            third,
        ),
    )


def test_a_plan_made_anew_replaces_tasks_and_keeps_attempts_and_map(store: StateStore) -> None:
    store.save_plan(small_plan(["a", "b"]))
    store.record("m1", [done(EXPERIMENT, "77"), failed(run_ref("b"))], {})
    renewed = plan_of(
        experiment_task(action=Action.ADOPT, target_id="77"),
        run_task("b"),
        run_task("new"),
        created=2_000,
    )
    store.save_plan(renewed)
    assert store.load_plan() == renewed
    assert store.tries("m1") == {EXPERIMENT: 1, run_ref("b"): 1}
    assert [row["target_id"] for row in store.id_map()] == ["77"]


def test_a_task_that_needs_what_is_not_planned_is_refused(store: StateStore) -> None:
    good = small_plan()
    store.save_plan(good)
    with pytest.raises(ValueError, match="run:a needs experiment:1, which is not in the plan"):
        store.save_plan(plan_of(run_task("a")))
    with pytest.raises(ValueError, match="run:a comes after run:z, which is not in the plan"):
        store.save_plan(plan_of(run_task("a", needs=(), after=(run_ref("z"),))))
    assert store.load_plan() == good


def test_two_tasks_of_one_object_are_refused(store: StateStore) -> None:
    with pytest.raises(ValueError, match="every object once"):
        store.save_plan(plan_of(experiment_task(), experiment_task(name="again")))
    assert store.load_plan() is None


def test_objects_of_two_kinds_may_share_an_id(store: StateStore) -> None:
    model = experiment_task(ref=run_ref("1")._replace(kind=Kind.REGISTERED_MODEL))
    plan = plan_of(experiment_task(), model)
    store.save_plan(plan)
    store.record("m1", [done(model.ref, "copy")], {})
    loaded = store.load_plan()
    assert loaded is not None
    assert [task.status for task in loaded.tasks] == [TaskStatus.PENDING, TaskStatus.DONE]


def test_ids_that_differ_only_in_case_are_two_objects(store: StateStore) -> None:
    store.save_plan(small_plan(["model", "Model", "modèl"]))
    store.record("m1", [done(run_ref("Model"), "1"), done(run_ref("model"), "2")], {})
    assert [row["target_id"] for row in store.id_map(ids=["Model"])] == ["1"]
    assert store.report("m1").totals[Kind.RUN].pending == 1


def test_text_no_database_takes_is_stored_escaped(store: StateStore) -> None:
    store.save_plan(plan_of(experiment_task(name="lone \ud800 surrogate")))
    store.record("m1", [failed(EXPERIMENT, "no file \udcff\0")], {})
    loaded = store.load_plan()
    assert loaded is not None
    assert loaded.tasks[0].name == "lone \\ud800 surrogate"
    assert store.report("m1").failures[0].error.startswith("no file \\udcff")


def test_a_migration_is_found_by_its_two_ends(store: StateStore) -> None:
    elsewhere = Side(uri="http://elsewhere", identity="elsewhere")
    store.save_plan(small_plan(migration_id="first", created=1))
    store.save_plan(small_plan(migration_id="second", created=2))
    store.save_plan(small_plan(migration_id="other", created=3, target=elsewhere))
    assert store.find_migration("old", "new") == "second"
    assert store.find_migration("old", "elsewhere") == "other"
    assert store.find_migration("new", "old") is None


def test_migrations_are_listed_with_where_they_stand(store: StateStore) -> None:
    for number, name in enumerate(["planned", "unfinished", "incomplete", "done"]):
        store.save_plan(small_plan(["a"], migration_id=name, created=number))
    store.mark_started("unfinished", [EXPERIMENT])
    store.record("incomplete", [failed(EXPERIMENT)], {run_ref("a"): EXPERIMENT})
    store.record("done", [done(EXPERIMENT), done(run_ref("a"))], {})
    listed = store.migrations()
    assert [(line.id, line.created, line.status) for line in listed] == [
        ("done", 3, MigrationStatus.DONE),
        ("incomplete", 2, MigrationStatus.INCOMPLETE),
        ("unfinished", 1, MigrationStatus.UNFINISHED),
        ("planned", 0, MigrationStatus.PLANNED),
    ]
    assert (listed[0].source, listed[0].target) == (SOURCE, TARGET)


def test_a_plan_made_anew_counts_as_planned_until_it_is_begun(store: StateStore) -> None:
    store.save_plan(small_plan())
    store.record("m1", [done(EXPERIMENT)], {})
    store.save_plan(small_plan(created=10**14))
    assert store.migrations()[0].status is MigrationStatus.PLANNED


def test_an_unknown_migration_cannot_be_recorded(store: StateStore) -> None:
    with pytest.raises(StateError, match="no migration 'gone'"):
        store.record("gone", [done(EXPERIMENT)], {})


def test_slices_are_kept_with_how_many_objects_they_stand_for(store: StateStore) -> None:
    experiment = experiment_task()
    part = PlannedTask(
        ref=Ref(Kind.TRACE, "1/5-9"),
        name="200 traces",
        action=Action.CREATE,
        container="1",
        count=200,
        needs=(experiment.ref,),
    )
    store.save_plan(plan_of(experiment, part))
    plan = store.load_plan()
    assert plan is not None
    assert plan.tasks[1] == part
    store.record("m1", [done(experiment.ref), done(part.ref, wrote=True, written=3)], {})
    totals = store.report("m1").totals[Kind.TRACE]
    assert (totals.found, totals.done, totals.wrote) == (200, 200, 3)
