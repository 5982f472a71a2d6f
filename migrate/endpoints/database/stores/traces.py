"""The traces of a database (MLflow 2.14), with their spans as far as it has these itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from migrate.endpoints.artifacts.unserved import UnservedArtifacts
from migrate.endpoints.database.assessments import COLUMNS as ASSESSMENT
from migrate.endpoints.database.assessments import assessment_from
from migrate.endpoints.database.reading import Database, Row, among, between, is_
from migrate.endpoints.database.spans import span_from
from migrate.endpoints.database.stores.archive import archived_spans
from migrate.endpoints.database.stores.contained import PAGE, ContainedStore
from migrate.endpoints.database.stores.entries import grouped, numbers, readable, texts_by
from migrate.endpoints.shapes import (
    ident,
    integer,
    number,
    parse_json,
    required_count,
    required_text,
    text,
    text_or_none,
    told_id,
)
from migrate.endpoints.stores import Bookkeeping, Identity
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import Malformed
from migrate.kinds import Kind, Ref
from migrate.objects import Loss
from migrate.traces import (
    ARCHIVE_LOCATION_TAG,
    EVER,
    OLDER_STATES,
    SOURCE_RUN,
    SPANS_LOCATION_TAG,
    Assessment,
    PromptLink,
    Spans,
    Stretch,
    Trace,
    prompts_named,
)

_NAME_TAG = "mlflow.traceName"
_SESSION = "mlflow.trace.session"
#: What metadata says in JSON, and the columns that have it since MLflow 3.17, by the same names.
_COUNTED = {
    "mlflow.trace.tokenUsage": (
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation_input_tokens_above_1hr",
    )
}
_COSTS = {"mlflow.trace.cost": ("input_cost", "output_cost", "total_cost")}
_SIZES = "mlflow.trace.sizeStats"
_KEPT, _ARCHIVED = "TRACKING_STORE", "ARCHIVE_REPO"
_TIME = "timestamp_ms"
#: Words for what a trace is linked to.
_RUN, _PROMPT = "run", "prompt_version"


class TraceStore(ContainedStore[Trace]):
    """Implements the half of ``migrate.endpoints.stores.TraceStore`` that reads.

    Where the spans of a trace are in neither a table nor an archive, they are among its files.
    """

    kind = Kind.TRACE
    table = "trace_info"
    key = "request_id"
    columns = (
        "request_id",
        "experiment_id",
        _TIME,
        "execution_time_ms",
        "status",
        "client_request_id",
        "request_preview",
        "response_preview",
        "trace_name",
        "session_id",
        *(name for names in (*_COUNTED.values(), *_COSTS.values()) for name in names),
    )
    identity = Identity.KEPT
    bookkeeping = Bookkeeping.TAGS
    hides_spans = False
    tells_links = True
    tells_spans = False

    def __init__(
        self, database: Database, unreadable: UnreadableObjects, artifacts: UnservedArtifacts
    ) -> None:
        super().__init__(database, unreadable)
        self._artifacts = artifacts

    def list(self, experiment_ids: Sequence[str]) -> Iterator[Trace]:
        """See ``Store.list``."""
        for experiment_id in experiment_ids:
            self._unreadable.forget(self.kind, experiment_id)
            yield from self.within(experiment_id)

    def within(self, container: str, stretch: Stretch = EVER) -> Iterator[Trace]:
        """See ``TraceStore.within``."""
        where = (among("experiment_id", numbers([container])), *between(_TIME, *stretch))
        in_order = (_TIME, self.key)
        for page in self._database.pages(self.table, self.columns, in_order, PAGE, *where):
            yield from self._whole(page)

    def spans(self, ids: Sequence[str]) -> Mapping[str, Spans]:
        """See ``TraceStore.spans``. Raises ``Malformed``, and ``DirectoryError`` of an archive."""
        tags = self._texts("trace_tags", ids)
        found: dict[str, Spans] = {}
        kept = []
        for trace_id in ids:
            if tags[trace_id].get(SPANS_LOCATION_TAG) == _ARCHIVED:
                location = tags[trace_id].get(ARCHIVE_LOCATION_TAG, "")
                found[trace_id] = archived_spans(self._artifacts, trace_id, location)
            else:
                kept.append(trace_id)
        columns = ("trace_id", "content", "parent_span_id", "start_time_unix_nano", "span_id")
        rows = grouped(self._database.rows_of("spans", columns, "trace_id", kept), "trace_id")
        for trace_id in kept:
            found[trace_id] = [
                span_from(text(row, "content")) for row in _root_first(rows[trace_id])
            ]
        return found

    def _texts(self, table: str, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        columns = ("request_id", "key", "value")
        return texts_by(self._database.rows_of(table, columns, "request_id", ids), "request_id")

    def _links(self, ids: Sequence[str]) -> Mapping[str, Sequence[Row]]:
        ends = (is_("source_type", "trace"), among("destination_type", (_RUN, _PROMPT)))
        columns = ("source_id", "destination_type", "destination_id")
        rows = self._database.rows_of("entity_associations", columns, "source_id", ids, *ends)
        return grouped(rows, "source_id")

    def _whole(self, rows: Sequence[Row]) -> Iterator[Trace]:
        ids = [row["request_id"] for row in rows]
        tags, metadata = (self._texts(it, ids) for it in ("trace_tags", "trace_request_metadata"))
        said = grouped(
            self._database.rows_of("assessments", ASSESSMENT, "trace_id", ids), "trace_id"
        )
        links = self._links(ids)
        counts = self._database.counts("spans", ("trace_id",), among("trace_id", ids))
        kept = {row[0]: int(row[1]) for row in counts}

        def trace(row: Row) -> Trace:
            trace_id = row["request_id"]
            of_it = _tags(row, tags[trace_id])
            known = {**metadata[trace_id], **_promoted(row)}
            losses: list[Loss] = []
            state = required_text(row, "status")
            assessments = _assessments(said[trace_id], losses)
            if of_it.get(SPANS_LOCATION_TAG) == _KEPT:
                losses += _missing_spans(trace_id, known, kept.get(trace_id, 0))
            return Trace(
                trace_id=ident(row, "request_id"),
                experiment_id=ident(row, "experiment_id"),
                request_time=required_count(row, _TIME),
                execution_duration=integer(row, "execution_time_ms"),
                state=OLDER_STATES.get(state, state),
                client_request_id=text_or_none(row, "client_request_id"),
                request_preview=text_or_none(row, "request_preview"),
                response_preview=text_or_none(row, "response_preview"),
                metadata=known,
                tags=of_it,
                assessments=assessments,
                linked_runs=_linked_runs(links[trace_id], known),
                more_prompts=_more_prompts(links[trace_id], of_it),
                losses=tuple(losses),
            )

        return readable(
            rows,
            trace,
            lambda row: (Ref(Kind.TRACE, str(row["request_id"])), str(row["experiment_id"])),
            self.table,
            self._unreadable,
        )


def _tags(row: Row, tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a trace with its name, which is in a column since MLflow 3.17."""
    found = dict(tags)
    if row["trace_name"] is not None:
        found[_NAME_TAG] = text(row, "trace_name")
    if found.get(SPANS_LOCATION_TAG) not in (_KEPT, _ARCHIVED):
        found.pop(SPANS_LOCATION_TAG, None)  # they are in a file
    return found


def _promoted(row: Row) -> dict[str, str]:
    """Return the metadata that is in columns since MLflow 3.17, as the API gives it."""
    found = {} if row["session_id"] is None else {_SESSION: text(row, "session_id")}
    for read, by_key in ((integer, _COUNTED), (number, _COSTS)):
        for key, names in by_key.items():
            if told := {name: read(row, name) for name in names if row[name] is not None}:
                found[key] = json.dumps(told)
    return found


def _linked_runs(links: Sequence[Row], metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the runs that a trace is linked to, but for the one that its metadata names."""
    return tuple(sorted(_ends(links, _RUN) - {metadata.get(SOURCE_RUN, "")}))


def _more_prompts(links: Sequence[Row], tags: Mapping[str, str]) -> tuple[PromptLink, ...]:
    """Return the versions of prompts that a trace is linked to, but for those of its tag."""
    ends = (it.rpartition("/") for it in _ends(links, _PROMPT))
    found = {PromptLink(name, version) for name, _, version in ends}
    return tuple(sorted(found.difference(prompts_named(tags))))


def _ends(links: Sequence[Row], kind: str) -> set[str]:
    return {str(row["destination_id"]) for row in links if row["destination_type"] == kind}


def _assessments(rows: Sequence[Row], losses: list[Loss]) -> tuple[Assessment, ...]:
    """Return what was said of a trace, in order; what cannot be read is a loss."""
    found: list[tuple[int, str, Assessment]] = []
    for row in rows:
        try:
            said = assessment_from(row)
        except Malformed as problem:
            losses.append(Loss(f"assessment {told_id(dict(row), 'assessment_id')}", str(problem)))
        else:
            found.append((integer(row, "created_timestamp") or 0, said["assessment_id"], said))
    return tuple(said for _, _, said in sorted(found, key=lambda it: it[:2]))


def _missing_spans(trace_id: str, metadata: Mapping[str, str], there: int) -> Sequence[Loss]:
    """Return what is lost of the spans of a trace that says itself how many it has."""
    try:
        told = parse_json(metadata.get(_SIZES) or "{}")
        wanted = (integer(told, "num_spans") or 0) if isinstance(told, dict) else 0
    except (ValueError, Malformed):
        return ()
    if there >= wanted:
        return ()
    return (Loss(f"spans of trace {trace_id}", f"the database has {there} of {wanted}"),)


def _root_first(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the spans of a trace in the order of the API."""
    return sorted(
        rows,
        key=lambda row: (
            row["parent_span_id"] is not None,
            integer(row, "start_time_unix_nano") or 0,
            row["span_id"],
        ),
    )
