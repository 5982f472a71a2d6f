"""Step that matches registered models and versions with those on the target, and gives numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from migrate.graph.draft import Draft, Node
from migrate.graph.registry import tell_of_missing
from migrate.kinds import MODEL_KINDS, VERSION_KINDS, Action, Ref, experiment_ref, run_ref
from migrate.objects import NO_RUN, ModelVersion, RegisteredModel, VersionRun
from migrate.outcomes import TaskStatus
from migrate.tasks.collisions import (
    kept_of_model,
    without_taken,
)
from migrate.tasks.existing_versions import (
    ExistingVersions,
    existing_models,
    existing_versions,
)
from migrate.tasks.model_version import needs_write, wanted_version
from migrate.tasks.outcomes import copies_beside
from migrate.tasks.registered_model import (
    changes_of_model,
    experiments_named,
    is_ours,
    is_up_to_date,
    wanted_registered_model,
)
from migrate.tasks.version_numbers import USED_UP_HINT, is_placeholder
from migrate.tasks.version_sources import VersionSource, named_by

#: Numbers passed over for one version, from which on the plan tells what that costs.
TOLD_GAP = 50


def match_registry(draft: Draft) -> None:
    """Find registered models by name and versions by origin, and plan every version's number."""
    models = [node for kind in MODEL_KINDS for node in draft.of_kind(kind)]
    if not models:
        return
    there = existing_models(draft.target, dict.fromkeys(node.name for node in models))
    existing = existing_versions(draft.target, list(there.values()))
    wanted = _versions_by_model(draft)
    for node in models:
        of_model = wanted.get(node.ref, [])
        copy = there.get(node.name)
        if copy is None:
            _number(draft, of_model, taken=0, exact=True)
        else:
            _match(draft, node, copy, existing[copy.name], of_model)
    _need_earlier_copies(draft)


def _versions_by_model(draft: Draft) -> dict[Ref, list[Node]]:
    found: dict[Ref, list[Node]] = {}
    for kind in VERSION_KINDS:
        for node in draft.of_kind(kind):
            found.setdefault(draft.versions[node.ref].model, []).append(node)
    for nodes in found.values():
        nodes.sort(key=lambda node: draft.versions[node.ref].version)
    return found


def _match(
    draft: Draft,
    node: Node,
    copy: RegisteredModel,
    existing: ExistingVersions,
    wanted: Sequence[Node],
) -> None:
    ours = is_ours(copy, draft.registered[node.ref], draft.target_can)
    spoilt = ours and _is_spoilt(draft, wanted, existing)
    if draft.policy.replaces and (spoilt or not ours):
        node.reason = "replaces the one on the target, as --delete-model says"
        draft.collisions.append(
            f"{node.ref.kind} {copy.name!r} of the target is deleted and made anew"
        )
        _number(draft, wanted, taken=0, exact=True)
        return
    _adopt_model(draft, node, copy, ours=ours)
    taken = existing.taken_aliases(draft.versions_of(node.ref), draft.policy)
    left = [item for item in wanted if not _adopt_version(draft, item, existing, taken, exact=ours)]
    for item in left:
        item.losses += without_taken(draft.versions[item.ref], taken)[1]
    if not ours:  # of a copy of ours, those under a number that is not their own are removed
        for item in wanted:
            doubles = [it.ref.id for it in existing.copies_of(draft.versions[item.ref])]
            item.losses += copies_beside(item.ref.kind, doubles[::-1])
    _number(draft, left, taken=existing.highest, exact=ours)
    strays = ours and any(_is_stray(draft, item, existing) for item in wanted)
    if strays or any(map(is_placeholder, existing.all)):
        for item in filter(lambda item: item.selected, wanted):
            # It looks for what a try that was killed has left.
            item.first_free, item.status = 0, TaskStatus.PENDING


def _adopt_model(draft: Draft, node: Node, copy: RegisteredModel, *, ours: bool) -> None:
    """Match a registered model with what has its name on the target."""
    model = draft.registered[node.ref]
    node.target_id = copy.name
    node.action, node.reason = Action.ADOPT, "copied before" if ours else "same name on the target"
    experiments = {
        ref: draft.nodes[ref].target_id
        for ident in experiments_named(model)
        if (ref := experiment_ref(ident)) in draft.nodes and draft.nodes[ref].target_id
    }
    as_wanted, node.losses = wanted_registered_model(
        model, experiments, draft.target_can, draft.policy
    )
    as_wanted = dataclasses.replace(as_wanted, name=node.name)
    if not ours:
        changed = changes_of_model(copy, as_wanted, model)
        node.losses += tuple(kept_of_model(copy, changed, model))
        draft.collisions.append(
            f"{node.ref.kind} {copy.name!r} is on the target already: its versions stay, new ones "
            "are added (--delete-model replaces it)"
        )
    if is_up_to_date(copy, as_wanted, model):
        if not draft.policy.permissions:
            node.status = TaskStatus.DONE
    else:
        node.action, node.reason = Action.UPDATE, "changed at the source since"


def _adopt_version(
    draft: Draft,
    node: Node,
    existing: ExistingVersions,
    taken: Mapping[str, int],
    *,
    exact: bool,
) -> bool:
    """Match a version with its copy; False when there is none under the right number."""
    version = draft.versions[node.ref]
    copies = existing.copies_of(version)
    if not copies or (exact and copies[-1].version != version.version):
        return False
    copy = copies[-1]
    node.target_id, node.number = copy.ref.id, copy.version
    node.first_free = copy.version
    node.action, node.reason = Action.ADOPT, "copied before"
    source = VersionSource(copy.source, copy.run_id, copy.model_id)
    copies_of_runs = {
        ref: draft.nodes[ref].target_id
        for ref in named_by(version)
        if ref in draft.nodes and draft.nodes[ref].target_id
    }
    wanted = wanted_version(
        version,
        copy.name,
        source,
        copies_of_runs,
        draft.target_can,
        draft.policy,
        _run_of(draft, version),
        aliases=draft.registered[version.model].aliases,
    )
    as_wanted, losses = without_taken(wanted.version, taken)
    node.losses = wanted.losses + losses
    if needs_write(copy, as_wanted):
        node.action, node.reason = Action.UPDATE, "changed at the source since"
    elif draft.policy.version_models and not version.is_of_prompt:
        node.reason = "copied before: checked for its files"
    else:
        node.status = TaskStatus.DONE
    if copy.version != version.version:
        node.warnings += (f"version {version.version} is version {copy.version} on the target",)
    return True


def _run_of(draft: Draft, version: ModelVersion) -> VersionRun:
    """Return what the plan knows of a version's run: where its files are, the task asks."""
    run = draft.nodes.get(run_ref(version.run_id))
    return NO_RUN if run is None else VersionRun("", draft.experiments[run.container].name)


def _number(draft: Draft, nodes: Sequence[Node], *, taken: int, exact: bool) -> None:
    """Give new versions their numbers, in order; ``taken`` is the highest one on the target."""
    following = taken + 1
    passed_over = 0
    for node in nodes:
        number = draft.versions[node.ref].version
        counts = draft.target_can.counts(node.ref.kind)
        gap = max(0, number - following) if counts else 0
        passed_over += gap
        if passed_over > draft.policy.most_placeholders:
            passed_over -= gap
            node.refuse(_too_far(number, gap))
            continue
        if gap >= TOLD_GAP:
            node.warnings += (f"before it, {gap:,} numbers are passed over: {_price(gap)}",)
        node.first_free = following
        if exact and number < following and counts:
            # Looked at before it is tried: trying would use up another number.
            node.first_free = 0
            node.warnings += (f"number {number} is used up on the target: {USED_UP_HINT}",)
        if exact or number >= following:
            node.number = number
            following = max(following, number + 1)
            continue
        node.warnings += (f"version {number} is expected to become version {following}",)
        if not counts:  # they are made in any order, so that the next one is not always this one
            node.number = following
        following += 1


def _price(gap: int) -> str:
    return f"a placeholder is made and deleted for each, {2 * gap:,} requests"


def _too_far(number: int, gap: int) -> str:
    return (
        f"its number {number:,} lies behind a gap of {gap:,}: {_price(gap)}; "
        "if it is to be copied, allow that with --most-placeholders"
    )


def _is_spoilt(draft: Draft, wanted: Sequence[Node], existing: ExistingVersions) -> bool:
    """Say whether a copy of ours can no longer get every version under its number."""
    if not any(draft.target_can.counts(node.ref.kind) for node in wanted):
        return False
    versions = [draft.versions[node.ref] for node in wanted]
    missing = [version for version in versions if not existing.copies_of(version)]
    return any(version.version <= existing.highest for version in missing)


def _is_stray(draft: Draft, node: Node, existing: ExistingVersions) -> bool:
    """Say whether the copy stands under a number that is not its own, left by a killed try."""
    version = draft.versions[node.ref]
    return any(copy.version != version.version for copy in existing.copies_of(version)[-1:])


def _need_earlier_copies(draft: Draft) -> None:
    """Draw the edge from what is left out, but was copied before, to a version that names it."""
    for node in [node for kind in sorted(VERSION_KINDS) for node in draft.of_kind(kind)]:
        for ref in named_by(draft.versions[node.ref]):
            draft.need_earlier_copy(ref, node.ref)
        tell_of_missing(draft, node)
