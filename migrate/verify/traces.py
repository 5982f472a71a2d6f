"""Compares traces: what a search shows of them, their spans, and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from migrate.endpoints.stores import TraceStore, holders_of, traces_of
from migrate.kinds import Ref
from migrate.objects import Experiment
from migrate.origins import losses_from_tags
from migrate.tasks.model_files import Rewrites
from migrate.tasks.trace import differences, needs_of, wanted_trace
from migrate.tasks.trace_marks import told_mark
from migrate.tasks.trace_slice import groups
from migrate.tasks.trace_todo import files_of, has_files
from migrate.traces import Spans, Trace, span_kind
from migrate.verify.copies import Copies
from migrate.verify.files import compare_files
from migrate.verify.result import MISSING, Comparison, Ends


def trace_parts(
    ends: Ends, copies: Copies, pairs: Iterable[tuple[Experiment, Experiment]]
) -> Iterator[Callable[[], Comparison]]:
    """Yield what compares the traces of these experiments with those in their copies."""
    ours, theirs = traces_of(ends.source), traces_of(ends.target)
    if ours is None or not ends.selection.takes_traces:
        return
    copy_of = {experiment.experiment_id: copy for experiment, copy in pairs}
    for ident in holders_of(ours, list(copy_of)):
        for group in groups(ours.within(ident, ends.selection.traces_within)):
            if theirs is None:
                takes_none = f"{ends.target.capabilities().description} takes no traces"
                yield partial(Comparison, unknown=[f"not compared: {takes_none}"])
                break
            comparing = _Comparing(ends, copies, ours, theirs, copy_of[ident].experiment_id)
            yield partial(comparing.result, group)


class _Comparing:
    """The traces of one experiment."""

    def __init__(
        self, ends: Ends, copies: Copies, ours: TraceStore, theirs: TraceStore, container: str
    ) -> None:
        self._ends = ends
        self._copies = copies
        self._ours = ours
        self._theirs = theirs
        self._container = container
        self._can = ends.target.capabilities()

    def result(self, traces: Sequence[Trace]) -> Comparison:
        """Compare a group that is small enough to hold with its spans."""
        result = Comparison()
        ids = [trace.trace_id for trace in traces]
        found = {copy.trace_id: copy for copy in self._theirs.read(ids)}
        known = [trace for trace in traces if trace.trace_id in found]
        with_spans = [trace.trace_id for trace in known if trace.has_stored_spans]
        spans, copied = (
            self._ours.spans(with_spans),
            self._theirs.spans([ident for ident in with_spans if found[ident].has_stored_spans]),
        )
        for trace in traces:
            ref, copy = trace.ref, found.get(trace.trace_id)
            result.compared[ref.kind] += 1
            if copy is None or copy.experiment_id != self._container:
                where = f"experiment {copy.experiment_id}" if copy else "the target"
                detail = f"it is in {where}" if copy else f"it is not on {where}"
                result.differs(ref, MISSING, detail, of_copy=False)
                continue
            result.declare(ref, losses_from_tags(copy.tags))
            result.check_mark(ref, told_mark(copy))
            self._compare_info(ref, trace, copy, result)
            mine = spans.get(trace.trace_id, ())
            kept = copied.get(trace.trace_id, ())
            _compare_spans(ref, mine, kept, self._can.span_kinds, result)
            if has_files(trace, mine):
                compare_files(self._ends, ref, files_of(trace), files_of(copy), Rewrites(), result)
        return result

    def _compare_info(self, ref: Ref, trace: Trace, copy: Trace, result: Comparison) -> None:
        copies = self._copies.ids(need.ref for need in needs_of(trace))
        wanted = wanted_trace(trace, self._container, copies, self._can)
        found = list(differences(wanted.record, copy))
        # What had no copy then may have one by now: the next run completes it.
        alone = wanted_trace(trace, self._container, {}, self._can)
        if found and any(differences(alone.record, copy)):
            for what, old, new in found:
                result.check(ref, what, old, new)


def _compare_spans(
    ref: Ref, spans: Spans, copied: Spans, with_kinds: bool, result: Comparison
) -> None:
    """Compare spans member by member; they have no order."""

    def by_id(some: Spans) -> dict[str, Mapping[str, Any]]:
        return {
            str(it.get("span_id")): {**it, "kind": span_kind(it) if with_kinds else ""}
            for it in some
        }

    mine, theirs = by_id(spans), by_id(copied)
    differing = [ident for ident in mine if mine[ident] != theirs.get(ident)]
    if differing or len(theirs) > len(mine):
        result.differs(
            ref,
            f"spans of trace {ref.id}",
            f"of {len(mine)} spans {len(differing)} are missing or differ, and "
            f"{len(theirs.keys() - mine.keys())} are only on the target",
        )
