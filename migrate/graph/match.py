"""Steps that match what is planned with what is on the target already."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from migrate.endpoints.stores import Bookkeeping
from migrate.errors import UsageError
from migrate.graph.contents import add_deletion, follow_with_versions
from migrate.graph.draft import Draft, Node
from migrate.kinds import Action, Ref
from migrate.objects import ACTIVE, DELETED, Experiment
from migrate.origins import ORIGIN, SOURCE, experiment_origin
from migrate.outcomes import Loss, TaskStatus
from migrate.tasks.existing_experiments import experiments_on, is_ours
from migrate.tasks.experiment import kept_of_experiment, missing_tags, wanted_experiment
from migrate.tasks.outcomes import copies_beside

TRASH_HINT = (
    "choose: --if-trashed restore (takes it out of the trash with all its runs, and adds to it) "
    "or --if-trashed rename (leaves it there, and copies under another name)"
)


def ask_for_copies(draft: Draft) -> None:
    """Ask ahead for the experiments of the target."""
    draft.ahead.begin(experiments_on, draft.target)


def match_experiments(draft: Draft) -> None:
    """Find the experiments that are on the target: copies of ours by origin, others by name.

    Raises ``UsageError`` when a name is held by the trash and the user has not chosen.
    """
    draft.existing = draft.ahead.take(experiments_on, draft.target)
    originals = {experiment_origin(item): item for item in draft.experiments.values()}
    undecided = []
    for node in draft.containers():
        experiment = draft.experiments[node.ref.id]
        copy = draft.existing.find(dataclasses.replace(experiment, name=node.name))
        if copy is None:
            continue
        original = originals.get(copy.tags.get(ORIGIN, ""), experiment)
        owner = draft.nodes[original.ref]
        if owner is not node and owner.selected and _to_be_renamed(draft, owner, copy):
            # The name is free for this one as soon as the other has gone from it.
            draft.need(owner.ref, node.ref)
            continue
        ours = is_ours(copy, experiment)
        same = [
            it.experiment_id
            for it in draft.existing.copies_of(experiment)
            if it.lifecycle_stage == ACTIVE
        ]
        node.losses += copies_beside(node.ref.kind, same)
        if copy.lifecycle_stage == DELETED and experiment.lifecycle_stage != DELETED:
            if draft.policy.if_trashed == "fail":
                undecided.append(copy.name)
                continue
            if draft.policy.if_trashed == "rename" and not ours:
                node.name = _free_name(copy.name, draft.existing.by_name)
                node.reason = f"{copy.name!r} is in the target's trash; copied under another name"
                draft.collisions.append(node.reason)
                continue
        _adopt(draft, node, experiment, copy, ours)
    if undecided:
        names = ", ".join(map(repr, undecided[:5])) + (" and more" if len(undecided) > 5 else "")
        raise UsageError(
            f"{len(undecided)} experiment(s) of the source are in the target's trash: {names}",
            TRASH_HINT,
        )


def _adopt(draft: Draft, node: Node, experiment: Experiment, copy: Experiment, ours: bool) -> None:
    node.target_id = copy.experiment_id
    wanted, _ = wanted_experiment(experiment, draft.target_can, draft.policy)
    renamed = ours and _to_be_renamed(draft, node, copy)
    if not renamed:
        node.name = copy.name
    tags = missing_tags(copy, wanted, experiment)
    node.action, node.reason = Action.ADOPT, "copied before" if ours else "same name on the target"
    if not ours:
        draft.collisions.append(
            f"experiment {copy.name!r} is on the target already: runs are added to it"
        )
        node.losses += kept_of_experiment(copy, wanted)
    trashed = copy.lifecycle_stage == DELETED
    if renamed or (tags and not trashed) or (trashed and experiment.lifecycle_stage != DELETED):
        node.action, node.reason = Action.UPDATE, "changed at the source since"
        if renamed and node.name != experiment.name:
            node.reason = f"copied before as {copy.name!r}, renamed as the rename file says"
    elif trashed or not (tags or draft.policy.permissions):
        node.status = TaskStatus.DONE


def _to_be_renamed(draft: Draft, node: Node, copy: Experiment) -> bool:
    """Say whether a copy of ours has to get another name: that of a rule, or its original's.

    A name the copy was given on purpose stays, until the source changes its own.
    """
    experiment = draft.experiments[node.ref.id]
    by_rule = draft.renames.name_for(node.ref.kind, experiment.name)
    if by_rule != experiment.name:
        return copy.name != by_rule
    in_tags = draft.target_can.bookkeeping is Bookkeeping.TAGS
    known_as = copy.tags.get(SOURCE + "name") if in_tags else copy.name
    return known_as not in (None, experiment.name)


def _free_name(name: str, taken: Collection[str]) -> str:
    number = 1
    while True:
        candidate = f"{name} (migrated{f' {number}' if number > 1 else ''})"
        if candidate not in taken:
            return candidate
        number += 1


def _is_copy(draft: Draft, node: Node) -> bool:
    """Say whether the experiment a node was matched with is a copy made by this tool."""
    copy = draft.existing.by_id.get(node.target_id)
    return copy is not None and is_ours(copy, draft.experiments[node.ref.id])


def add_deletions(draft: Draft) -> None:
    """Add the last step of deleted experiments, and reopen copies that need another write."""
    last: dict[Ref, Ref] = {}
    for node in draft.containers():
        if not node.deleted:
            continue
        held = draft.held_by(node.ref)
        work = [run for run in held if run.status is TaskStatus.PENDING]
        copy = draft.existing.by_id.get(node.target_id)
        trashed = copy is not None and copy.lifecycle_stage == DELETED
        if trashed and not work:
            node.status = TaskStatus.DONE
            continue
        if foreign := _foreign(draft, node):
            reason = f"the target's holds {foreign} of another origin: it stays active"
            node.losses += (Loss("deletion", reason),)
            continue
        if node.target_id and not trashed and not _is_copy(draft, node):
            node.warnings += ("deleted at the source; stays active, being the target's own",)
            continue
        if trashed:
            node.action, node.status = Action.UPDATE, TaskStatus.PENDING
            node.reason = "reopened for runs that are not complete, then deleted again"
            for run in held:
                run.status = TaskStatus.PENDING
        why = "deleted at the source: deleted last, when its runs are complete"
        deletion = add_deletion(draft, node, why)
        for item in held:
            draft.need(item.ref, deletion)
            if item.ref.deletion in draft.nodes:
                draft.need(item.ref.deletion, deletion)
            last[item.ref] = deletion
    follow_with_versions(draft, last)


def _foreign(draft: Draft, node: Node) -> str:
    """Say what the copy of an experiment holds of another origin."""
    counts = draft.foreign.get(node.ref.id, {})
    return ", ".join(
        f"{count} {kind.plural if count > 1 else kind}" for kind, count in counts.items() if count
    )
