"""A stored plan meets what has come to the target since it was made."""

from __future__ import annotations

import dataclasses

import pytest

from migrate.graph.rematch import rematch
from migrate.kinds import Action, Kind, Ref
from migrate.outcomes import TaskStatus
from migrate.plans import Plan, PlannedTask, Side
from tests.graph import loading
from tests.graph.memory import MemoryExperiments, MemoryRuns, MemoryServer

EXPERIMENT = Ref(Kind.EXPERIMENT, "1")
SIDE = Side(uri="", identity="")


def plan(*tasks: PlannedTask) -> Plan:
    return Plan(migration_id="m", created=0, source=SIDE, target=SIDE, options={}, tasks=tasks)


def experiment_task(target_id: str = "", **changes: object) -> PlannedTask:
    fields = {"name": "fraud", "action": Action.CREATE, **changes}
    return PlannedTask(ref=EXPERIMENT, target_id=target_id, **fields)  # type: ignore[arg-type]


def run_task(run_id: str, **changes: object) -> PlannedTask:
    fields = {"name": "", "action": Action.CREATE, "container": "1", **changes}
    return PlannedTask(ref=Ref(Kind.RUN, run_id), **fields)  # type: ignore[arg-type]


@pytest.fixture
def target() -> MemoryServer:
    source = loading.server(
        "source",
        {
            "experiments": [
                {"experiment_id": "1", "name": "fraud", "runs": [{"run_id": "a"}, {"run_id": "b"}]}
            ]
        },
    )
    content = {
        "experiments": [
            {
                "experiment_id": "71",
                "name": "fraud",
                "copy_of": "1",
                "runs": [
                    {"run_id": "x", "copy_of": "a"},
                    {"run_id": "half", "copy_of": "b", "mark": ""},
                    {"run_id": "also-half", "copy_of": "b", "mark": ""},
                ],
            }
        ]
    }
    return loading.server("target", content, source)


def found(planned: Plan) -> dict[str, tuple[str, bool]]:
    """Return target id and whether there is a mark, by source id."""
    return {task.ref.id: (task.target_id, bool(task.mark)) for task in planned.tasks}


def test_copies_made_since_the_plan_are_found(target: MemoryServer) -> None:
    updated = rematch(plan(experiment_task(), run_task("a"), run_task("b"), run_task("c")), target)
    assert found(updated) == {
        "1": ("71", False),
        "a": ("x", True),
        "b": ("also-half", False),
        "c": ("", False),
    }
    assert target.writes == []


def test_a_recorded_place_is_searched_without_listing_the_target(
    target: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryExperiments, "list", None)
    recorded = experiment_task("71", status=TaskStatus.DONE)
    assert found(rematch(plan(recorded, run_task("a")), target))["a"] == ("x", True)


def test_an_experiment_is_looked_for_under_the_name_it_was_to_get(target: MemoryServer) -> None:
    updated = rematch(plan(experiment_task(name="fraud (migrated)"), run_task("a")), target)
    assert found(updated) == {"1": ("", False), "a": ("", False)}


def test_a_name_still_held_by_the_copy_of_another_is_not_taken_for_a_copy(
    target: MemoryServer,
) -> None:
    later = PlannedTask(ref=Ref(Kind.EXPERIMENT, "2"), name="fraud", action=Action.CREATE)
    assert found(rematch(plan(later), target)) == {"2": ("", False)}
    # One that nobody copied may have been made by an attempt that was cut short.
    held = target.experiments_held
    held["71"] = dataclasses.replace(held["71"], tags={})
    assert found(rematch(plan(later), target)) == {"2": ("71", False)}


def test_what_has_ended_stays_as_it_is(target: MemoryServer) -> None:
    done = run_task("a", status=TaskStatus.DONE, target_id="recorded", mark="1.2")
    skipped = run_task("b", action=Action.SKIP, status=TaskStatus.SKIPPED)
    updated = rematch(plan(experiment_task("71"), done, skipped), target)
    assert updated.tasks[1:] == (done, skipped)


def test_experiments_without_open_runs_are_not_searched(
    target: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryRuns, "find", None)
    before = plan(experiment_task("71"), run_task("a", status=TaskStatus.DONE))
    assert rematch(before, target).tasks[1] == before.tasks[1]
