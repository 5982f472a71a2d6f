"""The planner on small worlds: each file in ``cases`` says what is on both sides and what follows.

``source`` and ``target`` hold experiments with their runs (see ``loading``), ``options`` what the
user chose. ``expected`` holds, with empty as the default of all but ``actions``:

- ``actions``: what is done with every object; ``done``: what needs no work any more;
- ``order``: in which order one worker takes what is left, when nothing fails;
- ``blocked``: what a failure of one object keeps from being done;
- ``reasons``, ``warnings``, ``losses``: a part of the text, by object; ``collisions``: a list;
- ``numbers``: what versions are to be on the target, and the first number free before each;
- ``after``: what has to have ended before, though it is not needed;
- ``because``: a part of why an object is in the plan;
- ``names``, ``target_ids``: where they are not those of the source, and not empty;
- ``error``: a part of the error that planning ends with, instead of all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.addresses import Address
from migrate.errors import UsageError
from migrate.graph.planner import make_plan
from migrate.graph.progress import Progress
from migrate.graph.selection import Selection
from migrate.kinds import Ref, parse_ref
from migrate.outcomes import TaskStatus
from migrate.plans import Plan
from migrate.tasks.batches import Policy
from tests.graph import loading

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))


def plan_of(case: Mapping[str, Any]) -> Plan:
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in case.get("options", {}).items()
    }
    policy = Policy(
        migration_id="m1",
        if_trashed=options.pop("if_trashed", "fail"),
        replaces=options.pop("replaces", ""),
    )
    quick = options.pop("quick", False)
    source = loading.server("source", case["source"])
    target = loading.server("target", case.get("target", {}), source)
    plan = make_plan(
        source,
        target,
        source_address=Address(uri="http://source", side="source", workers=2),
        target_address=Address(uri="http://target", side="target", workers=2),
        selection=Selection(**options),
        policy=policy,
        quick=quick,
    )
    assert source.writes == target.writes == [], "planning writes nothing"
    return plan


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    expected = case["expected"]
    if "error" in expected:
        with pytest.raises(UsageError) as caught:
            plan_of(case)
        assert expected["error"] in f"{caught.value.message} {caught.value.hint}"
        return
    plan = plan_of(case)
    tasks = {str(task.ref): task for task in plan.tasks}
    assert {ref: str(task.action) for ref, task in tasks.items()} == expected["actions"]
    done = [ref for ref, task in tasks.items() if task.status is TaskStatus.DONE]
    assert done == expected.get("done", [])
    assert [str(ref) for ref in order_of(plan)] == expected.get("order", [])
    for ref, blocked in expected.get("blocked", {}).items():
        assert sorted(map(str, blocked_by(plan, parse_ref(ref)))) == blocked

    for ref, text in expected.get("reasons", {}).items():
        assert text in tasks[ref].reason
    says(expected.get("warnings", {}), {ref: task.warnings for ref, task in tasks.items()})
    losses = {ref: [loss.what for loss in task.losses] for ref, task in tasks.items()}
    says(expected.get("losses", {}), losses)
    says({"": expected.get("collisions", [])}, {"": plan.collisions})

    numbers = {
        ref: [task.number, task.first_free]
        for ref, task in tasks.items()
        if task.is_work and (task.number or task.first_free)
    }
    assert numbers == expected.get("numbers", {})
    after = {ref: [*map(str, task.after)] for ref, task in tasks.items() if task.after}
    assert after == expected.get("after", {})
    for ref, text in expected.get("because", {}).items():
        assert any(text in str(because) for because in tasks[ref].because)

    for ref, name in expected.get("names", {}).items():
        assert tasks[ref].name == name
    target_ids = {ref: task.target_id for ref, task in tasks.items() if task.target_id}
    assert target_ids == expected.get("target_ids", {})


def says(parts: Mapping[str, Any], texts: Mapping[str, Any]) -> None:
    """Check that each object has as many texts as parts are expected, with the parts in them."""
    for ref, found in texts.items():
        wanted = parts.get(ref, [])
        assert len(found) == len(wanted), (ref, found)
        for part, text in zip(wanted, found, strict=True):
            assert part in text


def order_of(plan: Plan) -> Iterator[Ref]:
    progress = Progress(plan.tasks)
    while progress.unfinished:
        (ref,) = progress.take(1)
        progress.end(ref, TaskStatus.DONE)
        yield ref


def blocked_by(plan: Plan, failing: Ref) -> set[Ref]:
    progress = Progress(plan.tasks)
    blocked: set[Ref] = set()
    while progress.unfinished:
        (ref,) = progress.take(1)
        failed = ref == failing
        blocked |= set(progress.end(ref, TaskStatus.FAILED if failed else TaskStatus.DONE))
    return blocked
