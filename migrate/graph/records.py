"""Steps for the kinds whose objects are records that stores list: the same for each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from migrate.endpoints.protocols import Source
from migrate.endpoints.stores import Bookkeeping, Found, Store
from migrate.errors import MigrateError
from migrate.graph.draft import Draft, Node
from migrate.graph.selection import Selection
from migrate.kinds import ON_REQUEST, Action, Kind, Ref
from migrate.objects import DELETED
from migrate.outcomes import TaskStatus
from migrate.plans import Because
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.carriers import carrier_of, record_carriers
from migrate.tasks.outcomes import copies_beside
from migrate.tasks.wanted import mark_of

#: The mark of a copy that keeps none, and that the state knows.
MADE_BEFORE = "made before"


def ask_for_records(draft: Draft) -> None:
    """Ask ahead for the objects of kinds that nothing holds."""
    _ask(draft, [carrier for carrier in _chosen(draft) if carrier.kind.container is None])


def ask_for_held_records(draft: Draft) -> None:
    """Ask ahead for the objects of kinds that experiments hold, which are known by now."""
    containers = {carrier.kind for carrier in record_carriers()}
    held = [it for it in _chosen(draft) if it.kind.container is not None]
    _ask(draft, [carrier for carrier in held if carrier.kind.container not in containers])


def _ask(draft: Draft, carriers: Iterable[RecordCarrier[Any]]) -> None:
    for carrier in carriers:
        draft.ahead.begin(_read, draft.source, carrier, _containers(draft, carrier))


def discover_records(draft: Draft) -> None:
    """Add the objects of these kinds that are in what is selected."""
    for carrier in _chosen(draft):
        read = draft.ahead.take(_read, draft.source, carrier, _containers(draft, carrier))
        _add_meant(draft, carrier, *read)
    while _take_along(draft):
        pass


def _chosen(draft: Draft) -> Sequence[RecordCarrier[Any]]:
    """Return the kinds that are not left out, those that hold others before these."""
    return [it for it in record_carriers() if not draft.selection.leaves_out_kind(it.kind)]


def _read(
    source: Source, carrier: RecordCarrier[Any], containers: tuple[str, ...] | None
) -> tuple[Store[Any] | None, Sequence[Any] | MigrateError]:
    """Find the store of a kind, and read it or say why that cannot be."""
    store = source.store(carrier.kind) if containers is not None else None
    try:
        return store, list(store.list(containers or ())) if store is not None else ()
    except MigrateError as problem:
        return store, problem


def _add_meant(
    draft: Draft,
    carrier: RecordCarrier[Any],
    store: Store[Any] | None,
    records: Sequence[Any] | MigrateError,
) -> None:
    """Add those of the objects of a kind that are selected."""
    if isinstance(records, MigrateError):
        what = f"source: whether it has {carrier.kind.plural} is not known"
        draft.unknown.append(f"{what}: {records.message}")
        return
    if store is None:
        if carrier.kind in ON_REQUEST:
            has_none = f"{draft.source_can.description} has none that can be read"
            why = draft.source_can.without.get(carrier.kind, has_none)
            draft.notes.append(f"no {carrier.kind.plural} are copied: {why}")
        return
    for record in records:
        if is_meant(carrier, record, draft.selection, draft.selects):
            _add(draft, carrier, record, store)


def _take_along(draft: Draft) -> bool:
    """Add records of kinds that are left out which others need; say whether there were any."""
    wanted = named_by_records(draft)
    found = False
    for carrier in record_carriers():
        ids = [it.id for it in wanted if it.kind is carrier.kind and it not in draft.nodes]
        store = draft.source.store(carrier.kind) if ids else None
        if store is None:
            continue
        for record in store.read(ids):
            node = _add(draft, carrier, record, store)
            node.because = (wanted[node.ref],)
            found = True
    return found


def _add(draft: Draft, carrier: RecordCarrier[Any], record: Any, store: Store[Any]) -> Node:
    """Add a record of a store of the source."""
    node = _node_of(carrier, record)
    draft.add(node)
    copies = draft.target.store(carrier.kind)
    draft.keys[node.ref] = carrier.key(record, (copies or store).identity)
    draft.needs[node.ref] = tuple(carrier.needs(record))
    return node


def _containers(draft: Draft, carrier: RecordCarrier[Any]) -> tuple[str, ...] | None:
    """Return the ids of what holds the objects that are selected; None where none can be."""
    if carrier.kind.container is None:
        return () if draft.selection.takes_all_of(carrier.kind) or carrier.belongs_to else None
    return tuple(node.ref.id for node in draft.of_kind(carrier.kind.container)) or None


def is_meant(
    carrier: RecordCarrier[Any],
    record: Any,
    selection: Selection,
    selects: Callable[[Ref], bool],
) -> bool:
    """Say whether an object is selected: what nothing holds by what it belongs to, else with all.

    ``selects`` says whether what it belongs to is.
    """
    if selection.takes_all_of(carrier.kind) or carrier.kind.container is not None:
        return True
    return any(map(selects, carrier.owners(record)))


def _node_of(carrier: RecordCarrier[Any], record: Any) -> Node:
    node = Node(
        ref=carrier.ref(record),
        name=carrier.name(record),
        container=carrier.container(record),
        content=carrier.digest(record),
    )
    if left_out := carrier.left_out(record):
        node.skip(left_out)
    elif carrier.belongs_to is not None and (owners := carrier.owners(record)):
        node.because = tuple(Because("belongs to", owner) for owner in owners)
    elif carrier.kind in ON_REQUEST:
        node.because = (Because(f"{carrier.kind.plural} are asked for"),)
    elif carrier.kind.container is None:
        node.because = (Because("the whole server is copied"),)
    else:
        node.because = (Because("in", Ref(carrier.kind.container, node.container)),)
    return node


def named_by_records(draft: Draft) -> dict[Ref, Because]:
    """Return what selected records take along, and why."""
    return {
        need.ref: Because(need.why, ref)
        for ref, needs in draft.needs.items()
        if draft.selects(ref)
        for need in needs
        if need.along
    }


def link_records(draft: Draft) -> None:
    """Draw the edges: what holds a record and what it names before the record itself."""
    for ref, needs in draft.needs.items():
        node = draft.nodes[ref]
        if not node.selected:
            continue
        if ref.kind.container is not None:
            draft.need_container(node)
        for earlier in _before(draft, node):
            draft.follow(earlier, ref)
        for need in needs:
            if need.ref != ref and draft.selects(need.ref):
                draw = draft.follow if need.soft else draft.need
                draw(need.ref, ref)


def _before(draft: Draft, node: Node) -> Iterable[Ref]:
    """Return what is beside an object and has to have ended before it."""
    carrier = carrier_of(node.ref.kind)
    earlier = carrier.after if isinstance(carrier, RecordCarrier) else None
    container = node.container if earlier and earlier.container else ""
    beside = draft.held(earlier, container) if earlier else ()
    return [other.ref for other in beside if other.selected]


def match_records(draft: Draft) -> None:
    """Find the copies that are on the target, one search for each container that is there.

    What is left out now and was copied before is found by the records that name it.
    """
    for ref, needs in draft.needs.items():
        for need in needs if draft.selects(ref) else ():
            draft.need_earlier_copy(need.ref, ref, soft=need.soft)
    for carrier in record_carriers():
        by_container: dict[str, list[Node]] = {}
        for node in draft.of_kind(carrier.kind):
            by_container.setdefault(node.container, []).append(node)
        store = draft.target.store(carrier.kind) if by_container else None
        if store is None:
            continue
        for container, nodes in by_container.items():
            place = _copy_of_container(draft, carrier.kind, container)
            keys = {draft.keys[node.ref] for node in nodes}
            found = find_all(store, place, keys) if place is not None else {}
            if store.bookkeeping is Bookkeeping.NONE:
                _match_by_state(draft, carrier, nodes, found)
            else:
                _match(draft, carrier, nodes, found)


def find_all(
    store: Store[Any], place: str, keys: Collection[str]
) -> Mapping[str, Sequence[Found[Any]]]:
    """Return the copies in a container by key, those of ``keys`` even where no list has them."""
    found = store.find(place)
    missing = set(keys) - found.keys()
    if not missing or store.bookkeeping is not Bookkeeping.NONE:
        return found
    return {**found, **store.find(place, missing)}


def _copy_of_container(draft: Draft, kind: Kind, container: str) -> str | None:
    """Return the id on the target of what holds objects; None where it is not there yet."""
    if kind.container is None:
        return ""
    return draft.nodes[Ref(kind.container, container)].target_id or None


def _match(
    draft: Draft,
    carrier: RecordCarrier[Any],
    nodes: Iterable[Node],
    found: Mapping[str, Sequence[Found[Any]]],
) -> None:
    """Match originals with copies that say whose they are."""
    for node in nodes:
        if not (copies := found.get(draft.keys[node.ref], ())):
            continue
        ids = [carrier.ref(copy.record).id for copy in copies]
        first, node.target_id = copies[0], ids[0]
        node.losses += copies_beside(node.ref.kind, ids)
        if first.unreadable:
            node.fail_to_adopt(first.unreadable)
            continue
        node.mark = first.mark
        wanted = mark_of(node.content, draft.needs[node.ref], draft.will_have_copy)
        if node.judge(node.mark, wanted):
            node.reason = "copied before, unchanged"
            if not (carrier.guarded and draft.policy.permissions):
                node.status = TaskStatus.DONE
            node.losses += first.losses


def _match_by_state(
    draft: Draft,
    carrier: RecordCarrier[Any],
    nodes: Iterable[Node],
    found: Mapping[str, Sequence[Found[Any]]],
) -> None:
    """Match originals with objects that do not say whose they are: the state knows copies of ours.

    What only has the key may be the target's own. Its task compares it, one original of a key
    after the other, so that no two take the same for their copy.
    """
    there = {carrier.ref(it.record).id for same in found.values() for it in same}
    nodes = sorted(nodes, key=lambda node: draft.made.get(node.ref) not in there)
    earlier: dict[str, list[Ref]] = {}
    for node in nodes:
        key = draft.keys[node.ref]
        said = (carrier.ref(it.record).id for it in found.get(key, ()) if it.mark)
        made = draft.made.get(node.ref) or next(said, None)
        if made in there:
            node.action, node.target_id, node.mark = Action.ADOPT, made or "", MADE_BEFORE
            node.reason = "copied before: compared"
        elif key in found:
            node.action, node.reason = Action.ADOPT, "on the target already: compared"
        if key in found and _is_done_with(draft, carrier, node):
            # What is in the trash on both sides takes no writes.
            node.status, node.reason = TaskStatus.DONE, "copied before"
        if node.status is TaskStatus.PENDING and not node.target_id:
            for ref in earlier.get(key, ()):
                draft.need(ref, node.ref)
        earlier.setdefault(key, []).append(node.ref)


def _is_done_with(draft: Draft, carrier: RecordCarrier[Any], node: Node) -> bool:
    if carrier.kind.container is None:
        return False
    container = draft.nodes[Ref(carrier.kind.container, node.container)]
    copy = draft.existing.by_id.get(container.target_id)
    return container.deleted and copy is not None and copy.lifecycle_stage == DELETED
