"""What the commands have in common: plans in the state database, and carrying them out."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from migrate import worker
from migrate.claims import Claiming, creating
from migrate.cli.choices import Choices
from migrate.cli.ends import Ends
from migrate.cli.stored_choices import choices_of
from migrate.errors import MigrateError, NotShown, StalePlan, TargetLags, UsageError
from migrate.executors.chosen import Chosen
from migrate.executors.opening import open_executor
from migrate.executors.setup import Setup
from migrate.graph.planner import make_plan, new_migration_id
from migrate.graph.rematch import rematch
from migrate.kinds import Kind, Ref
from migrate.outcomes import TaskStatus
from migrate.plans import Damage, Plan, Report
from migrate.scheduler import Scheduler
from migrate.tasks.carriers import record_carriers
from migrate.views.logs import prepare_process
from migrate.views.progress import View, choose_view
from state.store import StateStore

if TYPE_CHECKING:
    from migrate.verify import Comparison


#: Key in a plan's options while it waits for the run it was made for; not the user's choice.
WAITS_FOR_RUN = "_waits_for_run"


def plan_anew(ends: Ends, choices: Choices, store: StateStore, *, waits: bool = False) -> Plan:
    """Plan, and store the plan in place of an earlier one between the same ends.

    One that ``waits`` is what the next ``migrate run`` carries out, even if it has no work.
    Where there can be no plan, a directory that was to be a new export is not left behind.
    """
    migration_id = store.find_migration(*ends.identities()) or new_migration_id()
    target = worker.target_at(ends.target)
    try:
        damaged = find_damage(ends, choices) if choices.repair else {}
        plan = make_plan(
            worker.source_at(ends.source),
            target,
            source_address=ends.source,
            target_address=ends.target,
            selection=choices.selection,
            renames=choices.renames,
            policy=choices.policy(migration_id),
            quick=choices.quick,
            options={**choices.as_options(), **({WAITS_FOR_RUN: True} if waits else {})},
            damaged=damaged,
            made=_made(store, migration_id),
        )
    except MigrateError:
        target.withdraw()
        raise
    store.save_plan(plan)
    return plan


def _made(store: StateStore, migration_id: str) -> Mapping[Ref, str]:
    """Return where the copies of records are that this migration made, by their originals."""
    kinds = [carrier.kind for carrier in record_carriers()]
    return {
        Ref(Kind(row["kind"]), row["source_id"]): row["target_id"]
        for row in store.id_map(kinds=kinds)
        if row["migration_id"] == migration_id
    }


def compare_ends(ends: Ends, choices: Choices, *, contents: bool) -> Comparison:
    """Compare what is selected with its copies; with ``contents`` every file is read."""
    from migrate.verify import Ends as ComparedEnds
    from migrate.verify import compare

    return compare(
        ComparedEnds(
            source=worker.source_at(ends.source),
            target=worker.target_at(ends.target),
            selection=choices.selection,
            renames=choices.renames,
            policy=choices.policy(""),
            workers=ends.source.workers,
            contents=contents,
        )
    )


def find_damage(ends: Ends, choices: Choices) -> Mapping[Ref, Damage]:
    """Compare everything selected in full; return what differs, by object."""
    from migrate.verify import damage_by_object

    return damage_by_object(compare_ends(ends, choices, contents=True).differences)


def stored_plan(ends: Ends, store: StateStore) -> Plan | None:
    """Return the plan stored for these two ends, None when there is none."""
    migration_id = store.find_migration(*ends.identities())
    return store.load_plan(migration_id) if migration_id else None


def waiting_plan(ends: Ends, store: StateStore) -> Plan | None:
    """Return the stored plan of these ends when ``migrate plan`` made it for this run, or when
    an earlier run left it unfinished; None when there is nothing to go on with."""
    plan = stored_plan(ends, store)
    if plan is None:
        return None
    unfinished = any(task.is_work and task.status is TaskStatus.PENDING for task in plan.tasks)
    return plan if unfinished or plan.options.get(WAITS_FOR_RUN) else None


def resume_plan(ends: Ends | None, store: StateStore) -> Plan:
    """Return the plan to resume: of these ends, or the latest. Raises when there is none."""
    if ends is not None:
        plan = stored_plan(ends, store)
        if plan is None:
            same_place = [
                item
                for item in store.migrations()
                if (item.source.uri, item.target.uri) == (ends.source.shown, ends.target.shown)
            ]
            if same_place:
                raise _stale(ends)
    else:
        plan = store.load_plan()
    if plan is None:
        raise UsageError(
            "there is no migration to resume in this state database",
            "start one with: migrate run SOURCE TARGET (or name the database with --state)",
        )
    return plan


def check_not_stale(plan: Plan, ends: Ends) -> None:
    """Raise ``StalePlan`` when another server or directory stands at a stored address now."""
    if (plan.source.identity, plan.target.identity) != ends.identities():
        raise _stale(ends)


def _stale(ends: Ends) -> StalePlan:
    return StalePlan(
        "the plan was made for another source or target than the one at this address now",
        f"plan again: migrate run {ends.source.shown} {ends.target.shown}",
    )


def carry_out(
    plan: Plan,
    ends: Ends,
    store: StateStore,
    *,
    executor: Chosen,
    view: View,
    stored: bool,
    take_over: bool = False,
) -> Report:
    """Carry out a plan. One that was ``stored`` is matched with the target once more first.

    So is one of a target that turns out to show later what was written to it. Raises
    ``TargetInUse`` where another migration creates objects in the same place, unless this one is
    to ``take_over``, and ``NotShown`` where a target does not show what was written to it.
    """
    ends = ends.chosen(choices_of(plan))
    target = worker.target_at(ends.target)
    if not stored:
        for note in (*plan.notes, *plan.collisions):
            view.message(f"Note: {note}")
        try:
            with Claiming(plan, target, take_over=take_over) as claiming:
                return _carry_out(plan, ends, store, executor, view, claiming, looks=False)
        except NotShown:
            raise
        except TargetLags:
            view.message(
                "Note: the target does not show at once what is written to it, as one that reads "
                "from a replica: all is looked for once more, and this takes longer"
            )
    options = {key: value for key, value in plan.options.items() if key != WAITS_FOR_RUN}
    store.set_options(plan.migration_id, options)
    store.reset_for_resume(plan.migration_id)
    reopened = store.load_plan(plan.migration_id)
    assert reopened is not None
    with Claiming(reopened, target, take_over=take_over, matched=False) as claiming:
        if creating(reopened):
            claiming.say()
        plan = rematch(reopened, target)
        return _carry_out(plan, ends, store, executor, view, claiming, looks=True)


def _carry_out(
    plan: Plan,
    ends: Ends,
    store: StateStore,
    executor: Chosen,
    view: View,
    claiming: Claiming,
    *,
    looks: bool,
) -> Report:
    # Not stored: how a plan is carried out is decided each time, and an export tells it.
    use_threads = not executor.is_serial
    plan = dataclasses.replace(plan, options={**plan.options, "use_threads": use_threads})
    setup = Setup(
        migration=plan.migration_id,
        source=ends.source,
        target=ends.target,
        identities=ends.identities(),
    )
    prepare = partial(prepare_process, debug=logging.getLogger().isEnabledFor(logging.DEBUG))
    carrying_out = open_executor(executor, setup, ends.source.workers, prepare)
    try:
        return Scheduler(
            plan,
            store,
            view,
            carrying_out,
            source=ends.source,
            target=ends.target,
            policy=choices_of(plan).policy(plan.migration_id),
            claiming=claiming,
            looks=looks,
        ).run()
    finally:
        carrying_out.close()


def progress_view(*, json: bool, quiet: bool) -> View:
    """Choose how progress is shown on stderr."""
    return choose_view(json=json, quiet=quiet, stderr_is_terminal=sys.stderr.isatty())
