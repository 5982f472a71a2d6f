"""Brings a stored plan up to date with the target before it is carried out.

Between planning and now, copies may have been made: by this migration before it was killed, or
by another. One search for each experiment finds them; after that nothing is looked for again.
"""

from __future__ import annotations

import dataclasses

from migrate.endpoints.protocols import Target
from migrate.graph.contents import copies_in
from migrate.kinds import MODEL_KINDS, VERSION_KINDS, Ref, experiment_ref
from migrate.objects import Experiment
from migrate.origins import ORIGIN
from migrate.outcomes import Loss, TaskStatus
from migrate.plans import Plan, PlannedTask
from migrate.tasks.carriers import contained_carriers
from migrate.tasks.existing_experiments import experiments_on
from migrate.tasks.outcomes import copies_beside
from migrate.tasks.version_numbers import is_placeholder

SEARCHES_AT_ONCE = 4


def rematch(plan: Plan, target: Target) -> Plan:
    """Return ``plan`` with the copies that are on the target already as target ids and marks."""
    places = _places(plan, target)
    found: dict[Ref, tuple[str, str]] = {
        experiment_ref(ident): (target_id, "") for ident, target_id in places.items()
    }
    losses: dict[Ref, tuple[Loss, ...]] = {}
    pending = {task.ref for task in plan.tasks if task.status is TaskStatus.PENDING}
    searches = [
        (carrier, places[ident])
        for carrier in contained_carriers()
        for ident in {task.container for task in plan.of_kind(carrier.kind) if _open(task)}
        if ident in places
    ]
    all_found = copies_in(target, searches, SEARCHES_AT_ONCE)
    for (carrier, _), copies in zip(searches, all_found, strict=True):
        for origin, same in copies.items():
            ref = Ref(carrier.kind, origin)
            if ref not in pending:
                continue
            found[ref] = (same[0].target_id, same[0].mark)
            if beside := copies_beside(ref.kind, [copy.target_id for copy in same]):
                losses[ref] = beside
    versions, doubtful = _versions(plan, target)
    found |= versions

    def updated(task: PlannedTask) -> PlannedTask:
        if task.status is not TaskStatus.PENDING:
            return task
        if task.container in doubtful and task.ref.kind in VERSION_KINDS:
            # Each looks for what a try that was killed has left, and whether its number is free.
            task = dataclasses.replace(task, first_free=0)
        if task.ref not in found:
            return task
        target_id, mark = found[task.ref]
        known = tuple(dict.fromkeys(task.losses + losses.get(task.ref, ())))
        return dataclasses.replace(task, target_id=target_id, mark=mark, losses=known)

    return dataclasses.replace(plan, tasks=tuple(map(updated, plan.tasks)))


def _versions(plan: Plan, target: Target) -> tuple[dict[Ref, tuple[str, str]], set[str]]:
    """Return the copies of versions that are there, and the models where more is to be known.

    They hold a placeholder, a copy under a number that is not its own, or a version behind one
    that is still to be made.
    """
    open_versions = [task for task in plan.tasks if task.ref.kind in VERSION_KINDS and _open(task)]
    models = {
        task.ref: task.target_id
        for task in plan.tasks
        if task.ref.kind in MODEL_KINDS and task.target_id
    }
    wanted = {task.home for task in open_versions}
    numbers = {task.ref: task.number for task in open_versions}
    found: dict[Ref, tuple[str, str]] = {}
    doubtful: set[str] = set()
    highest: dict[str, int] = {}
    there = [ref for ref in models if ref in wanted]
    copies = target.registered_models.list([models[ref] for ref in there]) if there else ()
    names = {models[ref]: ref for ref in there}
    for copy in target.model_versions.list(list(copies)):
        container = names[copy.name]
        assert container.kind.versions is not None
        origin = copy.ref.id
        if not target.capabilities().keeps_id(copy.kind):
            origin = copy.tags.get(ORIGIN, "").rpartition("@")[0]
        ref = Ref(container.kind.versions, origin)
        fits = numbers.get(ref) in (None, 0, copy.version)
        if is_placeholder(copy) or not fits:
            doubtful.add(container.id)
        elif ref in numbers:
            found[ref] = (copy.ref.id, "")
        highest[container.id] = max(highest.get(container.id, 0), copy.version)
    doubtful |= {
        task.container
        for task in open_versions
        if task.ref not in found and task.number <= highest.get(task.container, 0)
    }
    return found, doubtful


def _open(task: PlannedTask) -> bool:
    return task.is_work and task.status is TaskStatus.PENDING


def _places(plan: Plan, target: Target) -> dict[str, str]:
    """Return where each experiment of the plan is on the target, as far as it is there.

    One that is not recorded as done may be there all the same, under the name it was to get.
    """
    experiments = plan.containers()
    places = {task.ref.id: task.target_id for task in experiments if task.target_id}
    unknown = [task for task in experiments if _open(task) and task.ref.id not in places]
    if unknown:
        by_name = experiments_on(target).by_name
        places |= {
            task.ref.id: by_name[task.name].experiment_id
            for task in unknown
            if task.name in by_name and _may_be_copy(by_name[task.name], task)
        }
    return places


def _may_be_copy(found: Experiment, task: PlannedTask) -> bool:
    """Say whether an experiment of the right name is not the copy of another one."""
    origin = found.tags.get(ORIGIN)
    return origin is None or origin.partition("@")[0] == task.ref.id
