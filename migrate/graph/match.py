"""Steps that match what is planned with what is on the target already."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from migrate.endpoints.answers import Copy
from migrate.endpoints.stores import Bookkeeping
from migrate.errors import UsageError
from migrate.graph.draft import Draft, Node
from migrate.kinds import Action, Kind, run_ref
from migrate.objects import ACTIVE, DELETED, NO_LINKS, Experiment
from migrate.origins import ORIGIN, SOURCE, experiment_origin
from migrate.outcomes import Loss, TaskStatus
from migrate.tasks.existing_experiments import experiments_on, is_ours
from migrate.tasks.experiment import kept_of_experiment, missing_tags, wanted_experiment
from migrate.tasks.fingerprint import quick_half, quick_mark, with_links
from migrate.tasks.outcomes import copies_beside

TRASH_HINT = (
    "choose: --if-trashed restore (takes it out of the trash with all its runs, and adds to it) "
    "or --if-trashed rename (leaves it there, and copies under another name)"
)


def match_experiments(draft: Draft) -> None:
    """Find the experiments that are on the target: copies of ours by origin, others by name.

    Raises ``UsageError`` when a name is held by the trash and the user has not chosen.
    """
    draft.existing = experiments_on(draft.target)
    originals = {experiment_origin(item): item for item in draft.experiments.values()}
    undecided = []
    for node in draft.of_kind(Kind.EXPERIMENT):
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
    by_rule = draft.renames.name_for(Kind.EXPERIMENT, experiment.name)
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


def match_runs(draft: Draft) -> None:
    """Find the copies of runs by origin, one search for each experiment that is there.

    Also those of runs that are left out now: a run that names one of them still finds it.
    """
    there = [node for node in draft.of_kind(Kind.EXPERIMENT) if node.target_id]
    with ThreadPoolExecutor(max(1, min(draft.workers, len(there)))) as pool:
        copies_in = pool.map(lambda node: draft.target.runs.find(node.target_id), there)
        copies = dict(zip((node.ref.id for node in there), copies_in, strict=True))
    copied: list[tuple[Node, list[Copy]]] = []
    for node in draft.nodes.values():
        found = copies.get(node.container, {}).get(node.ref.id)
        if found and node.ref.kind is Kind.RUN:
            node.target_id, node.mark = found[0].target_id, found[0].mark
            copied.append((node, found))
    if not draft.target_can.archive:
        _count_foreign(draft, copies)
    _link_to_earlier_copies(draft)
    for node, found in copied:
        if node.selected:
            _decide(draft, node, found[0])
            node.losses += copies_beside(node.ref.kind, [copy.target_id for copy in found])


def _count_foreign(draft: Draft, copies: Mapping[str, Mapping[str, object]]) -> None:
    """Count the runs in each experiment of the target that are copies of another source's."""
    for experiment_id, by_origin in copies.items():
        foreign = [it for it in by_origin if run_ref(it) not in draft.nodes]
        draft.foreign[experiment_id] = len(foreign)


def _link_to_earlier_copies(draft: Draft) -> None:
    """Draw the edge from a run that is left out, but was copied before, to one that names it."""
    for node in draft.of_kind(Kind.RUN):
        for run_id in node.mentions.values():
            other = draft.nodes.get(run_ref(run_id))
            if other is not None and not other.selected and other.target_id:
                draft.need(other.ref, node.ref)


def _decide(draft: Draft, run: Node, copy: Copy) -> None:
    """Choose what to do with a run that has a copy."""
    if copy.unreadable:
        run.fail_to_adopt(copy.unreadable)
        return
    if draft.target_can.keeps_id(Kind.RUN):
        content, orphans = with_links(run.content, draft.links.get(run.ref.id, NO_LINKS)), []
    else:
        content, orphans = run.content, orphan_mentions(draft, run)
    unchanged = quick_half(run.mark) == quick_mark(content, orphans, draft.policy.in_mark)
    if not run.mark:
        run.action, run.reason = Action.ADOPT, "half-made by an earlier attempt: completed"
    elif not unchanged:
        run.action, run.reason = Action.UPDATE, "changed at the source since it was copied"
    else:
        run.action, run.reason = Action.ADOPT, "copied before: checked for new points and files"
        frozen = draft.experiments[run.container].lifecycle_stage == DELETED
        # A deleted experiment takes no writes, so what a search shows of its runs is all. Only
        # deleting and restoring come after the mark.
        trusted = frozen or (draft.quick and not run.unsettled and not copy.losses)
        if trusted and (copy.lifecycle_stage == DELETED) == run.deleted:
            run.status, run.reason = TaskStatus.DONE, "copied before, unchanged"
            run.losses += copy.losses


def orphan_mentions(draft: Draft, run: Node) -> list[str]:
    """Return the reference tags of a run whose run is not among those copied."""

    def has_copy(run_id: str) -> bool:
        other = run_ref(run_id)
        return other == run.ref or bool(draft.graph.has_edge(other, run.ref))

    return [tag for tag, run_id in run.mentions.items() if not has_copy(run_id)]


def _is_copy(draft: Draft, node: Node) -> bool:
    """Say whether the experiment a node was matched with is a copy made by this tool."""
    copy = draft.existing.by_id.get(node.target_id)
    return copy is not None and is_ours(copy, draft.experiments[node.ref.id])


def add_deletions(draft: Draft) -> None:
    """Add the last step of deleted experiments, and reopen copies that need another write."""
    for node in draft.of_kind(Kind.EXPERIMENT):
        if not node.deleted:
            continue
        held = draft.held_by(node.ref.id)
        work = [run for run in held if run.status is TaskStatus.PENDING]
        copy = draft.existing.by_id.get(node.target_id)
        trashed = copy is not None and copy.lifecycle_stage == DELETED
        if trashed and not work:
            node.status = TaskStatus.DONE
            continue
        if foreign := draft.foreign.get(node.ref.id):
            runs = f"{foreign} run{'s' if foreign > 1 else ''}"
            reason = f"the target's holds {runs} of another origin: it stays active"
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
        deletion = Node(
            ref=node.ref.deletion,
            name=node.name,
            container=node.ref.id,
            reason="deleted at the source: deleted last, when its runs are complete",
        )
        draft.add(deletion)
        draft.need(node.ref, deletion.ref)
        for run in held:
            draft.need(run.ref, deletion.ref)
            if run.ref.deletion in draft.nodes:
                draft.need(run.ref.deletion, deletion.ref)
            # A server may refuse a version whose run or logged model is in the trash.
            for version in list(draft.graph.successors(run.ref)):
                if version.kind is Kind.MODEL_VERSION:
                    draft.follow(version, deletion.ref)
