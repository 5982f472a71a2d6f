"""The traces of an export, in the order in which they began."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import RLock
from typing import NamedTuple

from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.stores.trace_folders import TraceFolders
from migrate.endpoints.stores import Bookkeeping, Found, Identity, traces_found
from migrate.errors import NotFound
from migrate.kinds import Kind
from migrate.objects import Loss
from migrate.traces import (
    EVER,
    SERVER_TAGS,
    SPANS_LOCATION_TAG,
    Assessment,
    PromptLink,
    Spans,
    Stretch,
    Trace,
)


class _Began(NamedTuple):
    """When a trace began (epoch milliseconds), and its id."""

    time: int
    trace_id: str


class TraceStore:
    """Implements ``migrate.endpoints.stores.TraceStore`` for an export.

    What is in an experiment is looked through once, for when each trace began; after that they are
    read one by one. A trace is written when it is finished, in one step: until then the earlier
    copy is seen by others, and what is being written by who writes it. Methods raise
    ``DirectoryError`` beside what the protocol says, and those that write ``StorageFull``.
    """

    kind = Kind.TRACE
    identity = Identity.KEPT
    bookkeeping = Bookkeeping.TAGS
    hides_spans = False
    tells_links = False
    tells_spans = False

    def __init__(self, export: Export, folders: TraceFolders) -> None:
        self._export = export
        self._folders = folders
        self._lock = RLock()
        self._times: dict[str, Sequence[_Began]] = {}

    def list(self, containers: Sequence[str]) -> Iterator[Trace]:
        """See ``Store.list``."""
        for container in containers:
            yield from self.within(container)

    def within(self, container: str, stretch: Stretch = EVER) -> Iterator[Trace]:
        """See ``TraceStore.within``. What cannot be read is left out, and reported."""
        began = self._began(container)
        first = 0 if stretch.first is None else bisect_left(began, (stretch.first,))
        last = len(began) if stretch.last is None else bisect_left(began, (stretch.last + 1,))
        for it in began[first:last]:
            yield from self._folders.read_in(container, it.trace_id)

    def read(self, ids: Sequence[str]) -> Sequence[Trace]:
        """See ``Store.read``; of one that is being written, what it is to be."""
        return [trace for ident in ids for trace in self._read_one(ident)]

    def _read_one(self, ident: str) -> Sequence[Trace]:
        writer = self._folders.begun(ident)
        if writer is None:
            return self._folders.read([ident])
        where = {SPANS_LOCATION_TAG: ""} if writer.has_spans else {}
        return [replace(writer.trace, tags={**writer.trace.tags, **where})]

    def spans(self, ids: Sequence[str]) -> Mapping[str, Spans]:
        """See ``TraceStore.spans``."""
        return {ident: self._folders.spans(ident) for ident in ids}

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Trace]]]:
        """See ``Store.find``."""
        traces = self.within(container) if keys is None else self.read([*keys])
        return traces_found(traces, container)

    def create(self, container: str, wanted: Trace, there: Trace | None = None) -> Trace:
        """See ``TraceStore.create``. Takes assessments that override others as well."""
        self._export.require_writable()
        tags = {key: value for key, value in wanted.tags.items() if key not in SERVER_TAGS}
        copy = replace(wanted, experiment_id=container, tags=tags)
        self._folders.begin(copy)
        return copy

    def add_spans(self, container: str, spans: Mapping[str, Spans]) -> None:
        """See ``TraceStore.add_spans``. Raises ``Malformed``."""
        for ident, of_trace in spans.items():
            writer = self._folders.begun(ident)
            if writer is None:
                raise NotFound(f"trace {ident} is not being written in {self._export.path}")
            writer.add_spans(of_trace)

    def mark(self, container: str, marks: Mapping[str, str], spans: Mapping[str, Spans]) -> None:
        """See ``TraceStore.mark``: here each is written with its trace."""

    def link_prompts(self, trace_id: str, prompts: Sequence[PromptLink]) -> None:
        """See ``TraceStore.link_prompts``: a tag says it here."""

    def link_to_run(self, run_id: str, trace_ids: Sequence[str]) -> None:
        """See ``TraceStore.link_to_run``: the record of each says it here."""

    def override(self, trace_id: str, assessment: Assessment) -> None:
        """See ``TraceStore.override``: it is there since the trace was created."""

    def finish(
        self, copy: Trace, wanted: Trace, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``. Raises ``NotFound`` for what is not being written."""
        writer = self._folders.begun(copy.trace_id)
        if writer is None:
            raise NotFound(f"trace {copy.trace_id} is not being written in {self._export.path}")
        writer.finish(writer.trace, mark, losses)
        self._folders.ended(copy.trace_id)
        self._forget_times(writer.trace.experiment_id)
        return ()

    def delete(self, copy: Trace) -> None:
        """See ``Store.delete``."""
        self._export.require_writable()
        self._folders.remove(copy.trace_id)
        self._forget_times(copy.experiment_id)

    def _forget_times(self, container: str) -> None:
        with self._lock:
            self._times.pop(container, None)

    def _began(self, container: str) -> Sequence[_Began]:
        """Return when the traces of an experiment began, oldest first."""
        with self._lock:
            if container not in self._times:
                every = self._folders.list([container])
                self._times[container] = sorted(
                    _Began(it.request_time, it.trace_id) for it in every
                )
            return self._times[container]
