"""Builds the plan: an ordered list of small steps over one draft."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType

from migrate.collecting import making_what_stays
from migrate.endpoints.addresses import Address
from migrate.endpoints.protocols import Source, Target
from migrate.errors import MigrateError, UsageError
from migrate.graph.ahead import Ahead
from migrate.graph.closure import discover_all_runs, discover_needed
from migrate.graph.content_discovery import discover_contents
from migrate.graph.contents import (
    add_content_deletions,
    link_contents,
    match_contents,
    tell_of_orphans,
)
from migrate.graph.discover import (
    ask_for_experiments,
    ask_for_unsupported,
    count_unsupported,
    discover_experiments,
    discover_unreadable,
    unknown_kinds,
)
from migrate.graph.draft import Draft, Node
from migrate.graph.experiment_ids import number_experiments
from migrate.graph.hidden import discover_hidden, tell_of_hidden
from migrate.graph.itself import refuse_itself
from migrate.graph.logged_models import (
    check_flattened,
    discover_links,
    tell_of_lost_links,
)
from migrate.graph.match import add_deletions, ask_for_copies, match_experiments
from migrate.graph.naming import check_names, rename_copies, tell_of_twins
from migrate.graph.permissions import order_receivers_first, tell_of_permissions
from migrate.graph.records import (
    ask_for_held_records,
    ask_for_records,
    discover_records,
    link_records,
    match_records,
)
from migrate.graph.registry import (
    ask_for_models,
    discover_registry,
    link_versions,
    tell_of_lost_aliases,
)
from migrate.graph.registry_matching import match_registry
from migrate.graph.renames import NO_RENAMES, Renames
from migrate.graph.repairs import plan_repairs
from migrate.graph.selection import Selection
from migrate.graph.traces import ask_for_traces, discover_traces, match_traces
from migrate.kinds import Ref
from migrate.plans import Damage, Plan, PlannedTask, Side
from migrate.tasks.batches import Policy


def check_choices(draft: Draft) -> None:
    """Raise ``UsageError`` for a choice that means nothing on this kind of target.

    Of one that other tools let pass without effect, a note says so.
    """
    for chosen, option in (
        (draft.policy.source_tags, "--import-source-tags"),
        (draft.policy.source_user, "--use-src-user-id"),
    ):
        if chosen and draft.target_can.archive:
            raise UsageError(
                f"{option} adds tags to copies on a tracking server; an export directory keeps "
                "every object as the source has it",
                f"leave it out here, and give {option} when the directory is imported",
            )
    if left_out := [kind.plural for kind in draft.selection.without if not kind.is_version]:
        draft.notes.append(
            f"left out by --kinds or --without, but for what others need: {', '.join(left_out)}"
        )
    if draft.policy.source_user and draft.target_can.sets_user:
        draft.notes.append(
            f"--use-src-user-id has no effect: {draft.target_can.description} says itself whose a "
            "run is (the source's user is in the tag mlflow-migrate.source.user_id)"
        )
    if draft.policy.notebook_formats and not draft.source_can.notebooks:
        draft.notes.append(
            f"--notebook-formats has no effect: {draft.source_can.description} has no notebooks"
        )
    elif draft.policy.notebook_formats and not draft.target_can.keeps_notebooks:
        draft.notes.append(
            "--notebook-formats has no effect: notebooks are kept in an export directory only"
        )
    if draft.policy.version_models and not draft.target_can.archive:
        raise UsageError(
            "--export-version-model stores the files of versions in an export directory; "
            f"{draft.target_can.description} is none",
            "leave it out: versions on a server point to the files of their runs and models",
        )


def check_capabilities(draft: Draft) -> None:
    """Mark objects of kinds the target does not take as unsupported.

    Raises ``UsageError`` when the target cannot be written to at all.
    """
    if not draft.target_can.writable:
        raise UsageError(
            f"{draft.target_can.description} cannot be a target",
            "targets are MLflow 2.3 or newer, databases and export directories",
        )
    for node in draft.nodes.values():
        kind = node.ref.kind
        if node.selected and not (kind in draft.target_can.writable or draft.target.store(kind)):
            too_old = f"{draft.target_can.description} does not take {kind.plural}"
            node.refuse(draft.target_can.without.get(kind, too_old))
    if draft.target_can.flattens_models:
        check_flattened(draft)


def check_cycles(draft: Draft) -> None:
    """Make sure that the tasks can be done in some order."""
    if circle := draft.circle():
        cycle = " -> ".join(str(edge[0]) for edge in circle)
        raise MigrateError(f"the objects need each other in a circle: {cycle}")


def tell_of_unknown(draft: Draft) -> None:
    """Say what the ends could not tell while the other steps asked them."""
    draft.unknown += unknown_kinds(draft.source, draft.selection)
    draft.unknown += [*draft.source.unknown(), *draft.target.unknown()]


Step = Callable[[Draft], None]

NOTHING_DAMAGED: Mapping[Ref, Damage] = MappingProxyType({})
NOTHING_MADE: Mapping[Ref, str] = MappingProxyType({})

#: The steps that find the registry and the experiments, and ask ahead for what else is there.
BEGINNING: tuple[Step, ...] = (
    ask_for_experiments,
    ask_for_models,
    ask_for_records,
    discover_registry,
    discover_experiments,
    ask_for_held_records,
)

#: Those that find what is in these and selected, and what that is made of.
CONTENTS: tuple[Step, ...] = (
    discover_contents,
    discover_links,
    discover_records,
    discover_needed,
    discover_all_runs,
    discover_hidden,
    tell_of_hidden,
)

#: All of these: they only read the source.
DISCOVERY: tuple[Step, ...] = (*BEGINNING, *CONTENTS)

#: The order matters: what is left out is known before edges are drawn, edges before copies are
#: judged (a run whose parent is left out counts as changed when the parent joins later).
STEPS: tuple[Step, ...] = (
    check_choices,
    ask_for_copies,
    *BEGINNING,
    ask_for_traces,
    ask_for_unsupported,
    *CONTENTS,
    discover_traces,
    discover_unreadable,
    tell_of_lost_aliases,
    check_capabilities,
    rename_copies,
    check_names,
    tell_of_twins,
    link_contents,
    tell_of_lost_links,
    link_versions,
    link_records,
    order_receivers_first,
    match_experiments,
    number_experiments,
    refuse_itself,
    match_contents,
    tell_of_orphans,
    match_registry,
    match_records,
    match_traces,
    plan_repairs,
    add_content_deletions,
    add_deletions,
    check_cycles,
    count_unsupported,
    tell_of_permissions,
    tell_of_unknown,
)


def discover(
    source: Source,
    target: Target,
    selection: Selection,
    *,
    workers: int,
    steps: Sequence[Step] = DISCOVERY,
) -> Draft:
    """Return a draft of what is selected at the source; nothing is looked for on the target.

    Raises ``UsageError`` for a selection that names what is not there.
    """
    with Ahead(workers) as ahead:
        draft = Draft(
            source=source,
            target=target,
            selection=selection,
            policy=Policy(migration_id=""),
            quick=False,
            workers=workers,
            ahead=ahead,
            source_can=source.capabilities(),
            target_can=target.capabilities(),
        )
        for step in steps:
            step(draft)
    return draft


def make_plan(
    source: Source,
    target: Target,
    *,
    source_address: Address,
    target_address: Address,
    selection: Selection,
    policy: Policy,
    renames: Renames = NO_RENAMES,
    quick: bool = False,
    options: Mapping[str, object] | None = None,
    damaged: Mapping[Ref, Damage] = NOTHING_DAMAGED,
    made: Mapping[Ref, str] = NOTHING_MADE,
) -> Plan:
    """Read both ends and return what copying the selection takes. Writes nothing.

    Copies that are ``damaged`` are repaired, by the refs of their originals. ``made`` are the ids
    of copies that this migration made before, of kinds whose copies do not say so themselves.
    Raises ``UsageError`` for a selection that names what is not there, and for choices that the
    user has to make first; errors of the endpoints as they are.
    """
    with making_what_stays(), Ahead(source_address.workers) as ahead:
        draft = Draft(
            source=source,
            target=target,
            selection=selection,
            policy=policy,
            renames=renames,
            quick=quick,
            damaged=damaged,
            made=made,
            workers=source_address.workers,
            ahead=ahead,
            source_can=source.capabilities(),
            target_can=target.capabilities(),
        )
        draft.notes += [*draft.source_can.notes, *draft.target_can.notes]
        for step in STEPS:
            step(draft)
        tasks = tuple(_tasks(draft))
    return Plan(
        migration_id=policy.migration_id,
        created=int(time.time() * 1000),
        source=Side(
            uri=source_address.shown,
            identity=draft.source_can.identity,
            description=draft.source_can.description,
        ),
        target=Side(
            uri=target_address.shown,
            identity=draft.target_can.identity,
            description=draft.target_can.description,
        ),
        options=dict(options or {}),
        tasks=tasks,
        notes=tuple(draft.notes),
        collisions=tuple(draft.collisions),
        unknown=tuple(dict.fromkeys(draft.unknown)),
        unsupported=draft.unsupported,
        known=draft.known,
    )


def _tasks(draft: Draft) -> Iterator[PlannedTask]:
    """Turn a draft into the tasks of a plan, and take apart what is not needed any more."""
    alone = cache(lambda ref: (ref,))
    for ref in list(draft.nodes):
        node = draft.nodes.pop(ref)
        needs, after = draft.waits(node)
        yield _task(node, alone(needs[0]) if len(needs) == 1 else needs, after)


def _task(node: Node, needs: tuple[Ref, ...], after: tuple[Ref, ...]) -> PlannedTask:
    return PlannedTask(
        ref=node.ref,
        name=node.name,
        action=node.action,
        container=node.container,
        reason=node.reason,
        target_id=node.target_id,
        mark=node.mark,
        needs=needs,
        after=after,
        because=node.because,
        number=node.number,
        first_free=node.first_free,
        count=node.count,
        losses=node.losses,
        warnings=node.warnings,
        status=node.status,
    )


def new_migration_id() -> str:
    """Return an id for a new migration."""
    return uuid.uuid4().hex[:12]
