"""Copies a slice of traces: a few at a time, so that no more of them is in memory.

For each group: the infos with their assessments, the spans of all in one request, what overrides
other assessments, a look at what the target shows, and the mark of each at last. All of these may
be repeated, so whatever was cut off is done again for traces without their mark.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.stores import TraceStore, traces_of
from migrate.errors import (
    DirectoryError,
    EndpointError,
    Malformed,
    NoSuchRoute,
    NotFound,
    NotPermitted,
    Refused,
)
from migrate.origins import MARK, losses_from_tags
from migrate.outcomes import Loss, LossCode, Outcome, TaskStatus
from migrate.tasks.batches import Batch, Job
from migrate.tasks.files import copy_files, root_for
from migrate.tasks.outcomes import failed, why_missing
from migrate.tasks.trace import (
    Slice,
    anything,
    differences,
    lost_trace,
    mark,
    slice_from,
    wanted_trace,
    with_added,
)
from migrate.tasks.trace_marks import sealed, told_mark
from migrate.tasks.trace_todo import (
    Todo,
    assessment_of,
    files_of,
    has_files,
    has_other_fields,
    is_whole,
    lost_kinds,
    says_otherwise,
    spans_of,
)
from migrate.traces import (
    ARTIFACT_LOCATION_TAG,
    SIZE_BYTES,
    SPANS_FILE,
    Assessment,
    Trace,
)

#: Traces in memory with their spans: so many, or of so many bytes as their metadata tells.
GROUP = 50
GROUP_BYTES = 4 << 20
#: From so many traces on, one call for their marks and a look at them are cheaper than a call each.
SEVERAL = 4
#: Assumed of one that does not tell its size.
USUAL_BYTES = 50_000


def copy_slices(batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
    """Copy the traces of slices; yield an outcome per job."""
    ours, theirs = traces_of(source), traces_of(target)
    if ours is None or theirs is None:
        raise EndpointError("traces cannot be copied between these two ends")
    for job in batch.jobs:
        started = time.monotonic()
        try:
            covered = slice_from(job.ref.id)
            if covered is None:
                raise why_missing(source, job)
            slicing = _Slicing(job, batch.target_container, source, target, ours, theirs)
            outcome = slicing.copied(covered)
            if source.unreadable.of(job.ref) is not None:  # an export may lack part of it
                raise why_missing(source, job)
        except Exception as problem:
            yield failed(job, problem, "", time.monotonic() - started)
        else:
            yield dataclasses.replace(outcome, seconds=time.monotonic() - started)


class _Slicing:
    """One try at one slice."""

    def __init__(
        self,
        job: Job,
        container: str,
        source: Source,
        target: Target,
        ours: TraceStore,
        theirs: TraceStore,
    ) -> None:
        self._job = job
        self._container = container
        self._source = source
        self._target = target
        self._ours = ours
        self._theirs = theirs
        self._can = target.capabilities()
        # In an archive what a trace names is named as it was.
        self._has_copy = anything if self._can.archive else job.copies.__contains__
        self._losses: list[Loss] = []
        self._warnings: list[str] = []
        self._written = 0
        self._files = self._bytes = 0

    def copied(self, covered: Slice) -> Outcome:
        """Bring the copies of a slice to what the source holds now."""
        for group in groups(self._ours.within(covered.experiment_id, covered.stretch)):
            self._copy(group)
        here = Slice(self._container, covered.first, covered.last)
        return Outcome(
            ref=self._job.ref,
            status=TaskStatus.DONE,
            target_id=here.id,
            wrote=self._written > 0,
            written=self._written,
            bytes_sent=self._bytes,
            files_sent=self._files,
            losses=tuple(dict.fromkeys(self._losses)),
            warnings=tuple(dict.fromkeys(self._warnings)),
        )

    def _copy(self, traces: Sequence[Trace]) -> None:
        found = self._theirs.read([trace.trace_id for trace in traces])
        existing = {copy.trace_id: copy for copy in found}
        planned = (self._planned(trace, existing.get(trace.trace_id)) for trace in traces)
        todo = [it for it in planned if it is not None]
        if not todo:
            return
        self._read_spans([it for it in todo if it.trace.has_stored_spans])
        begun = [it for it in todo if self._begin(it)]
        self._add_spans([it for it in begun if it.spans])
        for it in begun:
            self._override(it)
            self._link_prompts(it)
        self._link_runs(begun)
        self._finish(begun)

    def _planned(self, trace: Trace, copy: Trace | None) -> Todo | None:
        """Return what is to be written of a trace; None where nothing is."""
        job = self._job
        if copy is not None and copy.experiment_id != self._container:
            where = f"experiment {copy.experiment_id} of the target has one of this id already"
            self._losses.append(lost_trace(trace.trace_id, where))
            return None
        due = mark(trace, self._has_copy)
        if ARTIFACT_LOCATION_TAG in trace.tags:
            place = root_for(self._source, self._target, files_of(trace)).uri
            trace = dataclasses.replace(trace, tags={**trace.tags, ARTIFACT_LOCATION_TAG: place})
        wanted = wanted_trace(trace, self._container, job.copies, self._can)
        self._warnings += wanted.warnings
        if copy is not None and told_mark(copy) == due and not job.repairs:
            self._losses += losses_from_tags(copy.tags)
            return None
        record = wanted.record
        if copy is not None and not (job.repairs or self._can.archive):
            record = with_added(record, copy)
        return Todo(trace, record, due, copy, losses=list(wanted.losses))

    def _read_spans(self, todo: Sequence[Todo]) -> None:
        """Read the spans of all in one call, and one by one where that fails.

        A copy without spans that are there gets no mark, so that they are asked for again.
        """
        if not todo:
            return
        try:
            found = self._ours.spans([it.trace.trace_id for it in todo])
        except (DirectoryError, Malformed) as problem:
            if len(todo) > 1:
                for it in todo:
                    self._read_spans([it])
                return
            [it] = todo
            it.mark = ""
            it.losses.append(Loss(spans_of(it), problem.message, LossCode.NOT_DELIVERED))
            return
        for it in todo:
            it.spans = found.get(it.trace.trace_id, ())
            if not self._can.span_kinds:
                it.losses += lost_kinds(it)

    def _begin(self, it: Todo) -> bool:
        """Write a trace without its spans; where it is refused, it is a loss by name.

        Where nothing but spans follows, its mark comes along.
        """
        wanted = it.wanted
        if self._theirs.tells_spans and it.mark and it.spans and not it.has_more:
            tags = {**wanted.tags, MARK: sealed(it.mark, wanted)}
            wanted = dataclasses.replace(wanted, tags=tags)
        try:
            self._theirs.create(self._container, wanted, it.there)
        except (Refused, NotFound) as problem:
            if it.wanted.assessments and isinstance(problem, Refused):
                return self._begin_bare(it)
            self._losses.append(lost_trace(it.trace.trace_id, problem.message))
            return False
        return True

    def _begin_bare(self, it: Todo) -> bool:
        """Write a trace without assessments, then with more and more: one may be what is refused.

        MLflow 3.10 knows no references to issues.
        """
        bare = dataclasses.replace(it.wanted, assessments=())
        try:
            self._theirs.create(self._container, bare, it.there)
        except (Refused, NotFound) as problem:
            self._losses.append(lost_trace(it.trace.trace_id, problem.message))
            return False
        said: list[Assessment] = []
        for assessment in it.wanted.assessments:
            if not assessment.get("overrides"):
                record = dataclasses.replace(bare, assessments=(*said, assessment))
                try:
                    self._theirs.create(self._container, record, it.there)
                    said.append(assessment)
                except Refused as problem:
                    it.losses.append(Loss(assessment_of(it, assessment), problem.message))
        return True

    def _override(self, it: Todo) -> None:
        """Add the assessments that override others; one that is refused is a loss by name."""
        for assessment in it.wanted.assessments:
            if assessment.get("overrides"):
                try:
                    self._theirs.override(it.trace.trace_id, assessment)
                except Refused as problem:
                    it.losses.append(Loss(assessment_of(it, assessment), problem.message))

    def _add_spans(self, todo: Sequence[Todo]) -> None:
        """Send the spans of all in one request, and one by one where that is refused."""
        if not todo:
            return
        try:
            self._theirs.add_spans(self._container, {it.trace.trace_id: it.spans for it in todo})
        except (Refused, Malformed) as problem:
            if len(todo) > 1:
                for it in todo:
                    self._add_spans([it])
            else:
                [it] = todo
                it.losses.append(Loss(spans_of(it), problem.message))

    def _link_prompts(self, it: Todo) -> None:
        if not (prompts := it.wanted.linked_prompts):
            return
        try:
            self._theirs.link_prompts(it.trace.trace_id, prompts)
        except (NoSuchRoute, NotFound, Refused) as problem:
            reason = f"they are in a tag only: {problem.message}"
            it.losses.append(Loss(f"links of trace {it.trace.trace_id} to prompts", reason))

    def _link_runs(self, begun: Sequence[Todo]) -> None:
        """Link all to the runs that their metadata does not name, those of a run in one call."""
        linked: dict[str, list[Todo]] = {}
        for it in begun:
            for run_id in it.wanted.linked_runs:
                linked.setdefault(run_id, []).append(it)
        for run_id, todo in linked.items():
            try:
                self._theirs.link_to_run(run_id, [it.trace.trace_id for it in todo])
            except (NoSuchRoute, NotFound, Refused) as problem:
                for it in todo:
                    what = f"link of trace {it.trace.trace_id} to run {run_id}"
                    it.losses.append(Loss(what, problem.message))

    def _finish(self, begun: Sequence[Todo]) -> None:
        """Put right what the spans have changed, send files, and write the marks."""
        shown = self._shown(begun)
        left = [it for it in begun if not is_whole(it, shown[it.trace.trace_id])]
        self._written += len(begun) - len(left)
        begun = left
        # Spans make the server reckon times and previews anew.
        reckoned = [it for it in begun if has_other_fields(it.wanted, shown[it.trace.trace_id])]
        for it in reckoned:
            wanted = dataclasses.replace(it.wanted, assessments=())
            self._theirs.create(self._container, wanted, shown[it.trace.trace_id])
        redone = {it.trace.trace_id for it in reckoned}
        shown |= self._shown(reckoned)
        forgotten = [it for it in reckoned if says_otherwise(it, shown[it.trace.trace_id])]
        for it in forgotten:
            self._override(it)
        shown |= self._shown(forgotten)
        whole: list[Todo] = []
        for it in begun:
            copy = shown[it.trace.trace_id]
            differing = [what for what, _, _ in differences(it.wanted, copy)]
            reason = "the target keeps it otherwise than it was written"
            known = {loss.what for loss in it.losses}
            it.losses += [
                Loss(lost, reason)
                for what in differing
                if not what.startswith("tag ")  # those come last
                and (lost := f"{what} of trace {copy.trace_id}") not in known
            ]
            self._copy_files(it, copy)
            # With a span, what was put right would be reckoned anew once more.
            if it.mark and it.spans and not (differing or it.losses or copy.trace_id in redone):
                whole.append(it)
        shown |= self._marked(whole)
        for it in begun:
            try:
                self._theirs.finish(shown[it.trace.trace_id], it.wanted, it.mark, it.losses)
            except Refused as problem:  # a database takes nothing before
                self._losses.append(lost_trace(it.trace.trace_id, problem.message))
                continue
            self._losses += it.losses
            self._written += 1

    def _marked(self, whole: Sequence[Todo]) -> dict[str, Trace]:
        """Write the marks of traces that lack nothing else in one call; return what is shown."""
        if len(whole) < SEVERAL or self._can.archive:
            return {}
        marks = {it.trace.trace_id: it.mark for it in whole}
        spans = {it.trace.trace_id: it.spans for it in whole}
        try:
            self._theirs.mark(self._container, marks, spans)
        except (Refused, Malformed):
            return {}  # each is sent by itself
        return self._shown(whole)

    def _shown(self, todo: Sequence[Todo]) -> dict[str, Trace]:
        """Return what the target shows of traces. Raises where one is not there."""
        ids = [it.trace.trace_id for it in todo]
        shown = {copy.trace_id: copy for copy in self._theirs.read(ids)} if ids else {}
        if missing := [ident for ident in ids if ident not in shown]:
            raise EndpointError(f"the target does not show trace {missing[0]}, which was written")
        return shown

    def _copy_files(self, it: Todo, copy: Trace) -> None:
        """Send the spans that are kept in a file, and attachments."""
        if not has_files(it.trace, it.spans):
            return
        ours, theirs = files_of(it.trace), files_of(copy)
        try:
            files = self._source.artifacts.list(ours)
            if self._ours.hides_spans and not any(file.path == SPANS_FILE for file in files):
                hidden = "this release of MLflow gives none, unless they are in a file"
                it.losses.append(Loss(spans_of(it), hidden))
            sent = copy_files(
                self._source.artifacts,
                ours,
                files,
                self._target,
                theirs,
                fresh=False,
                attempt=self._job.attempt,
            )
        except (Refused, NotFound, NotPermitted) as problem:
            it.losses.append(Loss(f"files of trace {it.trace.trace_id}", problem.message))
            return
        self._files += sent.files
        self._bytes += sent.bytes
        it.losses += sent.losses


def groups(traces: Iterable[Trace]) -> Iterator[list[Trace]]:
    """Yield traces in lists that are small enough to hold with their spans."""
    group: list[Trace] = []
    size = 0
    for trace in traces:
        told = trace.metadata.get(SIZE_BYTES, "")
        # A text may be longer than any number is.
        size += int(told) if told.isdecimal() and len(told) < len(str(sys.maxsize)) else USUAL_BYTES
        group.append(trace)
        if len(group) == GROUP or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
