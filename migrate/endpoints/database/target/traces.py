"""The traces of a database that is written to; each is there whole, with its spans, or not."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from threading import Lock

from migrate.endpoints.artifacts.unserved import UnservedArtifacts
from migrate.endpoints.database.reading import Row, among, is_
from migrate.endpoints.database.stores.traces import TraceStore
from migrate.endpoints.database.target.experiments import WrittenExperimentStore
from migrate.endpoints.database.target.trace_rows import (
    NAME_TAG,
    assessment_row,
    span_row,
    tag_rows,
    trace_rows,
)
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.endpoints.stores import Found, traces_found
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import Malformed, Refused
from migrate.objects import Loss
from migrate.origins import MARK, losses_to_tags
from migrate.traces import (
    ARTIFACT_LOCATION_TAG,
    SERVER_TAGS,
    SPANS_LOCATION_TAG,
    Assessment,
    PromptLink,
    Spans,
    Trace,
)

_TAG = ("key", "request_id")
#: Ids that are names of folders as they are, such as MLflow makes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
#: The tables of a trace, each before what it refers to.
_TABLES = {
    "spans": "trace_id",
    "assessments": "trace_id",
    "trace_tags": "request_id",
    "trace_request_metadata": "request_id",
    "trace_info": "request_id",
}


@dataclass(slots=True)
class _Begun:
    """What is given of a trace, until it is written as a whole."""

    trace: Trace
    spans: list[Row] = field(default_factory=list)
    #: What it is linked to: the words of a kind, and ids.
    links: list[tuple[str, str]] = field(default_factory=list)


class WrittenTraceStore(TraceStore):
    """Implements ``migrate.endpoints.stores.TraceStore``.

    What is begun is held in memory, and shown by ``read`` as if it were there.
    """

    def __init__(
        self,
        database: WrittenDatabase,
        unreadable: UnreadableObjects,
        artifacts: UnservedArtifacts,
        experiments: WrittenExperimentStore,
    ) -> None:
        super().__init__(database, unreadable, artifacts)
        self._written = database
        self._experiments = experiments
        self._lock = Lock()
        self._begun: dict[str, _Begun] = {}

    def read(self, ids: Sequence[str]) -> Sequence[Trace]:
        """See ``Store.read``."""
        with self._lock:
            begun = {ident: self._begun[ident].trace for ident in ids if ident in self._begun}
        return [*begun.values(), *super().read([ident for ident in ids if ident not in begun])]

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Trace]]]:
        """See ``Store.find``."""
        traces = self.within(container) if keys is None else super().read([*keys])
        return traces_found(traces, container)

    def create(self, container: str, wanted: Trace, there: Trace | None = None) -> Trace:
        """See ``TraceStore.create``; nothing is there before ``finish`` or ``mark``."""
        self._require_storable(wanted.trace_id)
        with self._lock:
            begun = self._begun.get(wanted.trace_id)
        if begun is not None and not wanted.assessments:  # once more, without what was said
            made = replace(wanted, tags=begun.trace.tags, assessments=begun.trace.assessments)
        else:
            place = self._place(container, wanted)
            said = [it for it in wanted.assessments if not it.get("overrides")]
            try:  # so that it costs this trace alone
                for assessment in said:
                    assessment_row(assessment, replace(wanted, experiment_id=container))
            except Malformed as problem:
                raise Refused(problem.message) from None
            tags = {**wanted.tags, ARTIFACT_LOCATION_TAG: place}
            made = replace(wanted, tags=tags, assessments=tuple(said))
        made = replace(made, experiment_id=container)
        with self._lock:
            spans = begun.spans if begun is not None else []
            links = begun.links if begun is not None else []
            self._begun[wanted.trace_id] = _Begun(made, spans, links)
        return made

    def add_spans(self, container: str, spans: Mapping[str, Spans]) -> None:
        """See ``TraceStore.add_spans``."""
        rows = {
            trace_id: [span_row(span, trace_id, container) for span in of_trace]
            for trace_id, of_trace in spans.items()
        }
        with self._lock:
            for trace_id, of_trace in rows.items():
                begun = self._begun[trace_id]
                begun.spans = of_trace
                tags = {**begun.trace.tags, SPANS_LOCATION_TAG: "TRACKING_STORE"}
                begun.trace = replace(begun.trace, tags=tags)

    def override(self, trace_id: str, assessment: Assessment) -> None:
        """See ``TraceStore.override``."""
        with self._lock:
            trace = self._begun[trace_id].trace
            self._begun[trace_id].trace = replace(
                trace, assessments=(*trace.assessments, assessment)
            )

    def link_prompts(self, trace_id: str, prompts: Sequence[PromptLink]) -> None:
        """See ``TraceStore.link_prompts``."""
        with self._lock:
            ends = [("prompt_version", f"{it.name}/{it.version}") for it in prompts]
            self._begun[trace_id].links += ends

    def link_to_run(self, run_id: str, trace_ids: Sequence[str]) -> None:
        """See ``TraceStore.link_to_run``."""
        with self._lock:
            for trace_id in trace_ids:
                self._begun[trace_id].links.append(("run", run_id))

    def mark(self, container: str, marks: Mapping[str, str], spans: Mapping[str, Spans]) -> None:
        """See ``TraceStore.mark``; all are written in one transaction."""
        with self._lock:
            begun = {ident: self._begun.pop(ident) for ident in marks}
        with self._written.transaction() as transaction:
            for ident, it in begun.items():
                _write(transaction, it, {**it.trace.tags, MARK: marks[ident]})

    def finish(
        self, copy: Trace, wanted: Trace, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``."""
        tags = {**wanted.tags, **losses_to_tags(losses), **({MARK: mark} if mark else {})}
        with self._lock:
            begun = self._begun.pop(copy.trace_id, None)
        of_server = {key: copy.tags[key] for key in copy.tags.keys() & SERVER_TAGS}
        if begun is not None:
            with self._written.transaction() as transaction:
                _write(transaction, begun, {**tags, **of_server})
            return ()
        surplus = copy.tags.keys() - tags.keys() - SERVER_TAGS - {MARK}
        changed = {key: text for key, text in tags.items() if copy.tags.get(key) != text}
        if surplus or changed:
            mine = is_("request_id", copy.trace_id)
            with self._written.transaction() as transaction:
                transaction.delete("trace_tags", mine, among("key", surplus))
                transaction.put("trace_tags", _TAG, tag_rows(copy.trace_id, changed))
                if NAME_TAG in changed:
                    named = {"trace_name": changed[NAME_TAG]}
                    transaction.update("trace_info", named, mine)
        return ()

    def delete(self, copy: Trace) -> None:
        """See ``Store.delete``."""
        with self._written.transaction() as transaction:
            for table, key in _TABLES.items():
                transaction.delete(table, is_(key, copy.trace_id))

    def _place(self, container: str, trace: Trace) -> str:
        """Return where the files of a trace are, or go."""
        where = (is_("request_id", trace.trace_id), is_("key", ARTIFACT_LOCATION_TAG))
        for row in self._database.rows("trace_tags", ("value",), *where):
            return str(row["value"])
        stated = trace.tags.get(ARTIFACT_LOCATION_TAG, "")
        path = ("traces", _folder(trace.trace_id), "artifacts")
        return self._experiments.place_in(container, stated, *path)

    def _require_storable(self, trace_id: str) -> None:
        length = self._written.length("trace_info", "request_id")
        if not trace_id or "\0" in trace_id or (length is not None and len(trace_id) > length):
            raise Refused(f"{trace_id[:60]!r} is no id of a trace that the database can hold")


def _folder(trace_id: str) -> str:
    """Return the name of the folder of a trace: no other's, and never one that leads elsewhere."""
    if _NAME.fullmatch(trace_id):
        return trace_id
    digest = blake2b(trace_id.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{_NO_NAME.sub('_', trace_id)[:40]}~{digest}"


def _write(transaction: Transaction, begun: _Begun, tags: Mapping[str, str]) -> None:
    """Write all the rows of a trace."""
    trace = begun.trace
    row, of_tags, metadata = trace_rows(trace, tags)
    mine = is_("request_id", trace.trace_id)
    transaction.put("trace_info", ("request_id",), [row])
    transaction.delete("trace_tags", mine)
    transaction.put("trace_tags", _TAG, of_tags)
    transaction.put("trace_request_metadata", _TAG, metadata)
    said = [assessment_row(it, trace) for it in trace.assessments]
    transaction.put("assessments", ("assessment_id",), said)
    transaction.put("spans", ("trace_id", "span_id"), begun.spans)
    transaction.insert_missing("entity_associations", _links(trace.trace_id, begun.links))


def _links(trace_id: str, links: Sequence[tuple[str, str]]) -> Iterator[Row]:
    now = int(time.time() * 1000)
    for kind, ident in links:
        yield {
            "association_id": uuid.uuid4().hex,
            "source_type": "trace",
            "source_id": trace_id,
            "destination_type": kind,
            "destination_id": ident,
            "created_time": now,
        }
