"""What a plan takes grows with the number of its objects, and by little for each."""

from __future__ import annotations

import tracemalloc

from benchmarks.generated import NESTED, Generated, GeneratedCopy, run_id_of
from migrate.endpoints.addresses import Address
from migrate.graph.planner import make_plan
from migrate.graph.progress import Progress
from migrate.graph.selection import Selection
from migrate.kinds import Action, experiment_ref, run_ref
from migrate.outcomes import TaskStatus
from migrate.plans import Plan
from migrate.tasks.batches import Policy

RUNS = 400
TOGETHER = 100


def planned(runs: int, copied: int = 0) -> Plan:
    experiments = runs // TOGETHER
    return make_plan(
        Generated(runs, experiments),
        GeneratedCopy(runs, experiments, copied),
        source_address=Address(uri="http://source.invalid", side="source", workers=1),
        target_address=Address(uri="http://target.invalid", side="target", workers=1),
        selection=Selection(experiments=("all",)),
        policy=Policy(migration_id="growth"),
    )


def taken(runs: int, copied: int) -> tuple[int, int]:
    """Returns the bytes that a plan takes at its peak, and those that stay."""
    tracemalloc.start()
    plan = planned(runs, copied)
    stays, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(plan.tasks) == runs + runs // TOGETHER
    return peak, stays


def test_a_run_takes_a_kilobyte_while_it_is_planned_and_half_of_that_afterwards() -> None:
    planned(TOGETHER)  # what is loaded and kept once
    for copied in (False, True):
        (peak, stays), (peak_of_more, stays_of_more) = (
            taken(runs, runs if copied else 0) for runs in (RUNS, 3 * RUNS)
        )
        assert (peak_of_more - peak) / (2 * RUNS) < 950
        assert (stays_of_more - stays) / (2 * RUNS) < 650


def test_a_task_takes_little_beside_the_plan_while_it_waits() -> None:
    plan = planned(3 * RUNS)
    tracemalloc.start()
    progress = Progress(plan.tasks)
    stays, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert progress.unfinished == len(plan.tasks)
    assert stays / len(plan.tasks) < 100


def test_runs_wait_for_what_holds_them_and_for_their_parents() -> None:
    tasks = {task.ref: task for task in planned(RUNS, copied=RUNS // 2).tasks}
    for number in range(RUNS):
        task = tasks[run_ref(run_id_of(number))]
        parents = [run_ref(run_id_of(number - 1))] if number % NESTED == NESTED - 1 else []
        assert task.needs == (experiment_ref(task.container), *parents)
        copied = number < RUNS // 2
        assert task.action is (Action.ADOPT if copied else Action.CREATE)
        assert task.status is TaskStatus.PENDING
        assert bool(task.target_id) == bool(task.mark) == copied
