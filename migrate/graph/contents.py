"""Steps for what experiments hold, runs and logged models: the same for each of these kinds.

It is linked with what it names, matched with its copies, and deleted last where it is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from sys import intern

from migrate.endpoints.answers import Copy
from migrate.endpoints.protocols import Target
from migrate.graph.draft import Draft, Node
from migrate.graph.edges import circles
from migrate.in_turn import in_turn
from migrate.kinds import Ref, logged_model_ref, run_ref
from migrate.objects import DELETED, ModelLinks
from migrate.outcomes import TaskStatus
from migrate.tasks.carrier import ContainedCarrier, HasCopy
from migrate.tasks.carriers import contained_carriers
from migrate.tasks.fingerprint import quick_half
from migrate.tasks.logged_model import links_to
from migrate.tasks.model_marks import Links
from migrate.tasks.outcomes import copies_beside

NOTHING_SAID: Links = {}
#: Copies by the ids of their originals.
Found = Mapping[str, Sequence[Copy]]


def links_by_object(said: Links) -> dict[Ref, dict[str, ModelLinks]]:
    """Return what runs have ``said`` of logged models, by run id, for each run and each model."""
    found: dict[Ref, dict[str, ModelLinks]] = {}
    for run_id, links in said.items():
        found[run_ref(run_id)] = {run_id: links}
        for model_id in links.model_ids:
            ref = logged_model_ref(model_id)
            found.setdefault(ref, {}).update(links_to(model_id, {run_id: links}))
    return found


def link_contents(draft: Draft) -> None:
    """Draw the edges: experiment and what it names before an object.

    Those that write to what is deleted take turns: each has it out of the trash for a moment.
    """
    links = links_by_object(draft.links)
    for carrier in contained_carriers():
        sharing: dict[Ref, list[Ref]] = {}
        for node in draft.of_kind(carrier.kind):
            draft.need_container(node)
            said = links.get(node.ref, NOTHING_SAID) if links else NOTHING_SAID
            for ref in carrier.named(node.facts, said):
                if ref == node.ref or not draft.selects(ref):
                    continue
                draft.need(ref, node.ref)
                if carrier.writes_to_named and draft.nodes[ref].deleted:
                    sharing.setdefault(ref, []).append(node.ref)
            for ref in filter(draft.selects, carrier.comes_after(node.facts)):
                draft.follow(ref, node.ref)
        for sharers in sharing.values() if not draft.target_can.archive else ():
            for earlier, later in pairwise(sorted(sharers)):
                draft.follow(earlier, later)
        _open_circles(draft, carrier)


def _open_circles(draft: Draft, carrier: ContainedCarrier) -> None:
    """Objects that name each other in a circle cannot all wait: it is opened where it closes.

    There the reference is kept as a source tag.
    """
    refs = dict.fromkeys(node.ref for node in draft.of_kind(carrier.kind))
    for circle in circles(draft.edges.among(refs)):
        needed, by = circle[-1]
        draft.edges.remove(needed, by)
        kind = carrier.kind
        draft.nodes[by].warnings += (f"names {kind} {needed.id}, which in turn needs this {kind}",)


def copies_in(
    target: Target, searches: Sequence[tuple[ContainedCarrier, str]], at_once: int
) -> Iterator[Found]:
    """Yield what is found of a kind in an experiment of the target, for each of these, in order.

    They are searched a few ahead, and not all are held at a time.
    """
    calls = (partial(carrier.copies(target).find, place) for carrier, place in searches)
    return in_turn(min(at_once, len(searches)), calls)


def match_contents(draft: Draft) -> None:
    """Find copies by origin, one search for each experiment that is there.

    Also those of what is left out now: what names it still finds them.
    """
    places = {node.ref.id: node.target_id for node in draft.containers() if node.target_id}
    links = links_by_object(draft.links)
    carriers = [it for it in contained_carriers() if it.kind in draft.target_can.writable]
    searches = [(carrier, place) for carrier in carriers for place in places.values()]
    all_found = copies_in(draft.target, searches, draft.workers)
    for carrier in carriers:
        copied: list[Node] = []
        told: dict[Ref, Sequence[Copy]] = {}
        for container, found in zip(places, all_found, strict=False):
            copied += _note_copies(draft, carrier, container, found, told)
            if not draft.target_can.archive:
                _count_foreign(draft, carrier, container, found)
        for node in draft.of_kind(carrier.kind):
            said = links.get(node.ref, NOTHING_SAID) if links else NOTHING_SAID
            for ref in carrier.named(node.facts, said):
                draft.need_earlier_copy(ref, node.ref)
        for node in copied:
            if node.selected and not node.unreadable:
                same = told.get(node.ref, ())
                _judge(draft, carrier, node, same, links.get(node.ref, NOTHING_SAID))
                node.losses += copies_beside(node.ref.kind, [copy.target_id for copy in same])


def _note_copies(
    draft: Draft,
    carrier: ContainedCarrier,
    container: str,
    found: Found,
    told: dict[Ref, Sequence[Copy]],
) -> Iterator[Node]:
    """Note on what an experiment holds where its copy is; yield what has one.

    Copies of which there is more to say are ``told``: those that are not alone, have losses, or
    cannot be read.
    """
    for node in draft.held(carrier.kind, container):
        if same := found.get(node.ref.id):
            first = same[0]
            node.target_id, node.mark = first.target_id, first.mark
            node.copy_deleted = first.lifecycle_stage == DELETED
            if len(same) > 1 or first.losses or first.unreadable:
                told[node.ref] = same
            yield node


def _count_foreign(draft: Draft, carrier: ContainedCarrier, container: str, found: Found) -> None:
    """Count what an experiment of the target holds of another source's."""
    foreign = sum(Ref(carrier.kind, origin) not in draft.nodes for origin in found)
    draft.foreign.setdefault(container, {})[carrier.kind] = foreign


def _has_copy(draft: Draft, node: Node) -> HasCopy:
    """Return what says of an object that another names whether it will be there before."""
    return lambda ref: ref == node.ref or draft.edges.has(ref, node.ref)


def _judge(
    draft: Draft, carrier: ContainedCarrier, node: Node, told: Sequence[Copy], links: Links
) -> None:
    """Choose what to do with an object that has a copy, of which more may be ``told``."""
    unreadable, losses = (told[0].unreadable, told[0].losses) if told else ("", ())
    if unreadable:
        node.fail_to_adopt(unreadable)
        return
    wanted = carrier.quick_mark(
        node.facts, links, _has_copy(draft, node), draft.target_can, draft.policy
    )
    if not node.judge(quick_half(node.mark), wanted):
        return
    node.reason = intern(f"copied before: checked for {carrier.checked_for}")
    # A deleted experiment takes no writes, so what a search shows is all.
    frozen = draft.experiments[node.container].lifecycle_stage == DELETED
    trusted = frozen or (draft.quick and not node.unsettled and not losses)
    # Where it is one with the rest, deleting and restoring comes after the mark.
    if trusted and (carrier.deleted_last or node.copy_deleted == node.deleted):
        node.status, node.reason = TaskStatus.DONE, "copied before, unchanged"
        node.losses += losses


def tell_of_orphans(draft: Draft) -> None:
    """Warn of what a copy cannot say, because what its original names has no copy."""
    for carrier in contained_carriers():
        for node in draft.of_kind(carrier.kind):
            if said := carrier.warnings(node.facts, _has_copy(draft, node), draft.target_can):
                node.warnings += tuple(said)


def add_content_deletions(draft: Draft) -> None:
    """Add the last step of what is deleted, and what versions are made of until then."""
    if draft.target_can.archive or draft.target_can.flattens_models:
        return
    deletions: dict[Ref, Ref] = {}
    for carrier in contained_carriers():
        for node in draft.of_kind(carrier.kind) if carrier.deleted_last else ():
            if node.deleted and not node.copy_deleted:
                why = "deleted at the source: deleted last, when what is made of it is there"
                deletions[node.ref] = add_deletion(draft, node, why)
    follow_with_versions(draft, deletions)


def add_deletion(draft: Draft, node: Node, reason: str) -> Ref:
    """Add the step that deletes the copy of an object; return its ref."""
    deletion = node.ref.deletion
    container = node.container or node.ref.id
    draft.add(Node(ref=deletion, name=node.name, container=container, reason=reason))
    draft.need(node.ref, deletion)
    return deletion


def follow_with_versions(draft: Draft, deletions: Mapping[Ref, Ref]) -> None:
    """Have the deletions come after the versions made of the objects by which they are given.

    A server may refuse a version whose run or logged model is in the trash.
    """
    for ref, later in draft.edges.after(deletions).items() if deletions else ():
        for version in (it for it in later if it.kind.is_version):
            draft.follow(version, deletions[ref])
