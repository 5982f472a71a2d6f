"""Steps for traces, which are planned in slices: one task for many of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrate.endpoints.protocols import Source
from migrate.endpoints.stores import TraceStore, holders_of, traces_of
from migrate.errors import MigrateError
from migrate.graph.draft import Draft, Node
from migrate.kinds import Action, Kind, experiment_ref
from migrate.objects import readable_time
from migrate.origins import MARK, losses_from_tags
from migrate.outcomes import TaskStatus
from migrate.plans import Because, Damage
from migrate.tasks.trace import Slice, SliceFacts, content_of, mark, slices
from migrate.tasks.trace_marks import told_mark
from migrate.traces import Trace


def ask_for_traces(draft: Draft) -> None:
    """Ask ahead which of the experiments selected have traces."""
    if draft.selection.takes_traces:
        draft.ahead.begin(_holders, draft.source, draft.container_ids())


def _holders(source: Source, containers: tuple[str, ...]) -> Sequence[str]:
    store = traces_of(source)
    return list(holders_of(store, containers)) if store is not None else ()


def discover_traces(draft: Draft) -> None:
    """Add the traces of the experiments selected, in slices; count them where none are taken."""
    store = traces_of(draft.source)
    if store is None or not draft.selection.takes_traces:
        return
    takes_them = traces_of(draft.target) is not None
    for ident in draft.ahead.take(_holders, draft.source, draft.container_ids()):
        try:
            for facts in slices(_selected(draft, store, ident)):
                if takes_them:
                    _add(draft, facts)
                else:
                    kind = facts.slice.ref.kind
                    draft.unsupported[kind] = draft.unsupported.get(kind, 0) + facts.count
        except MigrateError as problem:
            what = f"not all traces of {experiment_ref(ident)} could be listed"
            draft.unknown.append(f"source: {what}: {problem.message}")
    _tell_of_links(draft)


def _tell_of_links(draft: Draft) -> None:
    """Say what no list tells, where there may be some."""
    store = traces_of(draft.source)
    tells = store is not None and store.tells_links
    if draft.slices and draft.of_kind(Kind.RUN) and not tells:
        draft.notes.append(
            "links of traces to runs are copied as far as the metadata of the traces names them: "
            "MLflow lists no others"
        )


def _selected(draft: Draft, store: TraceStore, experiment_id: str) -> Iterator[Trace]:
    return store.within(experiment_id, draft.selection.traces_within)


def _add(draft: Draft, facts: SliceFacts) -> None:
    covered = facts.slice
    experiment = experiment_ref(covered.experiment_id)
    node = Node(
        ref=covered.ref,
        name=_name(covered, facts.count),
        container=covered.experiment_id,
        content=facts.content,
        count=facts.count,
        because=(Because("in", experiment),),
    )
    draft.add(node)
    draft.slices[node.ref] = covered
    draft.needs[node.ref] = facts.needs
    if damaged := [draft.damaged[ref] for ref in facts.refs if ref in draft.damaged]:
        # A comparison names traces, and their slice is what mends them.
        mendable = tuple(dict.fromkeys(what for one in damaged for what in one.mendable))
        lasting = tuple(loss for one in damaged for loss in one.lasting)
        draft.damaged = {**draft.damaged, node.ref: Damage(mendable=mendable, lasting=lasting)}


def _name(covered: Slice, count: int) -> str:
    first, last = readable_time(covered.first), readable_time(covered.last)
    word = f"{count} trace{'s' if count > 1 else ''}"
    return f"{word} of {first}" if first == last else f"{word} of {first} to {last}"


def match_traces(draft: Draft) -> None:
    """Find the copies that are on the target, one search for each slice of what is there."""
    store = traces_of(draft.target)
    if store is None:
        return
    for ref, covered in draft.slices.items():
        node = draft.nodes[ref]
        place = draft.nodes[experiment_ref(covered.experiment_id)].target_id
        if node.selected and place:
            _match(draft, node, store, covered._replace(experiment_id=place))


def _content(draft: Draft, node: Node) -> str:
    """Return what the marks of whole copies of a slice come to.

    Where something that it names has no copy, they say so, and it is read once more.
    """
    covered, store = draft.slices[node.ref], traces_of(draft.source)
    named = (need.ref for need in draft.needs[node.ref])
    if draft.target_can.archive or all(map(draft.will_have_copy, named)):
        return node.content
    if store is None:
        return ""
    traces = store.within(covered.experiment_id, covered.stretch)
    return content_of((trace.trace_id, mark(trace, draft.will_have_copy)) for trace in traces)


def _match(draft: Draft, node: Node, store: TraceStore, there: Slice) -> None:
    copies = [
        copy for copy in store.within(there.experiment_id, there.stretch) if copy.tags.get(MARK)
    ]
    if not copies:
        return
    node.target_id = there.id
    if content_of((copy.trace_id, told_mark(copy)) for copy in copies) == _content(draft, node):
        node.action, node.status = Action.ADOPT, TaskStatus.DONE
        node.reason = "copied before, unchanged"
        node.losses += tuple(loss for copy in copies for loss in losses_from_tags(copy.tags))
    else:
        node.action = Action.UPDATE
        node.reason = "some are new at the source, or changed since they were copied"
