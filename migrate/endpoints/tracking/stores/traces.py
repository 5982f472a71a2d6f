"""Traces of a tracking server since MLflow 3.6, which keeps their spans and gives many at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from migrate.endpoints.shapes import Object, ident, member, objects, required, told_id
from migrate.endpoints.stores import Bookkeeping, Found, Identity, traces_found
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.session import TRIES
from migrate.endpoints.tracking.http.silence import has_items
from migrate.endpoints.tracking.parts import API, NEWER_API, TRACES, TRACES_WITH_SPANS
from migrate.endpoints.tracking.searches.search import chunks
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.endpoints.tracking.traces_wire import trace_from, trace_to
from migrate.errors import (
    Malformed,
    MigrateError,
    NoSuchRoute,
    NotAuthenticated,
    NotFound,
    Refused,
    Unavailable,
)
from migrate.kinds import Kind
from migrate.objects import Loss
from migrate.origins import MARK, losses_to_tags
from migrate.traces import EVER, SERVER_TAGS, Assessment, PromptLink, Spans, Stretch, Trace

PER_PAGE = 500
#: Ids in one call, which go with the address of a GET.
PER_CALL = 100
FORM = Form(Kind.TRACE, lambda entry: Told(told_id(entry, "trace_id")))
_OTLP = "/v1/traces"
NO_MARKS: Mapping[str, str] = MappingProxyType({})
#: An id that follows from the spans' own; for any other, spans would make another trace.
_TAKES_SPANS = re.compile("tr-[0-9a-f]{32}")
_SPANS = f"{NEWER_API}/traces/batchGet"
_INFOS = f"{NEWER_API}/traces/batchGetInfos"


class ServerTraces(RecordStore[Trace]):
    """See ``TraceStore``."""

    kind = Kind.TRACE
    part = TRACES_WITH_SPANS
    identity = Identity.KEPT
    bookkeeping = Bookkeeping.TAGS
    hides_spans = False
    tells_links = False

    #: Whether infos are read one by one: the server is of before 3.11, and has no route for many.
    _one_by_one = False

    @property
    def tells_spans(self) -> bool:
        """See ``TraceStore.tells_spans``: MLflow 3.6 says of every trace that it has some."""
        return not self._one_by_one

    # -- reading ----------------------------------------------------------------------------

    def list(self, containers: Sequence[str]) -> Iterator[Trace]:
        """See ``Store.list``."""
        for container in containers:
            yield from self.within(container)

    def holders(self, containers: Sequence[str]) -> Iterator[str]:
        """See ``TellsHolders``: many experiments are asked about in one search."""
        for chunk in chunks(containers):
            if len(chunk) == 1 or self._may_hold(chunk):
                yield from chunk

    def _may_hold(self, containers: Sequence[str]) -> bool:
        """Say whether a search shows a trace of one of these, or fails: each is asked for then."""
        asked = {"locations": [*map(_place_of, containers)], "max_results": 1}
        try:
            return any(has_items(page) for page in self._http.pages(TRACES.path, asked))
        except NotAuthenticated:
            raise
        except MigrateError:
            return True

    def within(self, container: str, stretch: Stretch = EVER) -> Iterator[Trace]:
        """See ``TraceStore.within``."""
        request = {"locations": [_place_of(container)], **in_order(stretch)}
        pages = self._http.pages(TRACES.path, request)
        return self._entries.all(pages, "traces", FORM, trace_from)

    def read(self, ids: Sequence[str]) -> Sequence[Trace]:
        """See ``Store.read``."""
        return [trace for some in _chunks(ids) for trace in self._read_some(some)]

    def _read_some(self, ids: Sequence[str]) -> Sequence[Trace]:
        try:
            page = self._http.post(_INFOS, {"trace_ids": [*ids]}, idempotent=True)
        except (NoSuchRoute, Refused) as problem:
            # It came with 3.11; before, its address is that of one trace, and takes no POST.
            if isinstance(problem, Refused) and problem.code:
                raise
            self._one_by_one = True
            return [trace for ident in ids for trace in self._read_one(ident)]
        return [trace_from(body) for body in objects(page, "trace_infos")]

    def _read_one(self, trace_id: str) -> Iterator[Trace]:
        if "/" in trace_id:
            return
        try:
            answer = self._http.get(_path(trace_id))
        except NotFound:
            return
        yield trace_from(required(required(answer, "trace"), "trace_info"))

    def spans(self, ids: Sequence[str]) -> Mapping[str, Spans]:
        """See ``TraceStore.spans``."""
        found: dict[str, Spans] = {}
        for some in _chunks(ids):
            answer = self._http.get(_SPANS, [("trace_ids", ident) for ident in some])
            for body in objects(answer, "traces"):
                found[ident(member(body, "trace_info"), "trace_id")] = objects(body, "spans")
        return found

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Trace]]]:
        """See ``Store.find``."""
        traces = self.within(container) if keys is None else self.read([*keys])
        return traces_found(traces, container)

    # -- writing ----------------------------------------------------------------------------

    def create(self, container: str, wanted: Trace, there: Trace | None = None) -> Trace:
        """See ``TraceStore.create``.

        Before 3.13 MLflow fails to write a trace anew that has more than it is sent, so the tags
        that are there go along; assessments only where it does not do without, since it then
        forgets which of them are overridden.
        """
        if self._one_by_one and "/" in wanted.trace_id:
            raise Refused(
                "its id has a slash, and servers before MLflow 3.11 have no route that shows it"
            )
        body = trace_to(wanted if there is None else _over(there, wanted))
        body["trace_location"]["mlflow_experiment"]["experiment_id"] = container
        new = [it for it in wanted.assessments if not it.get("overrides")]
        ids = {it.get("assessment_id") for it in new}
        said = () if there is None else there.assessments
        old = [it for it in said if it.get("assessment_id") not in ids]
        if old:
            with suppress(Refused, Unavailable):  # the database's own words: worth another try
                return self._post(body, new, tries=1)
        return self._post(body, [*new, *old])

    def _post(
        self, body: dict[str, Any], assessments: Sequence[Assessment], tries: int = TRIES
    ) -> Trace:
        request = {"trace": {"trace_info": {**body, "assessments": assessments}}}
        answer = self._http.post(f"{NEWER_API}/traces", request, idempotent=True, tries=tries)
        return trace_from(required(required(answer, "trace"), "trace_info"))

    def add_spans(self, container: str, spans: Mapping[str, Spans]) -> None:
        """See ``TraceStore.add_spans``."""
        if odd := [ident for ident in spans if not _TAKES_SPANS.fullmatch(ident)]:
            form = "its id is not of the form that servers take spans for (tr- and 32 digits)"
            raise Refused(f"{odd[0]!r}: {form}")
        headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": container}
        self._http.post_message(_OTLP, _message(spans), headers)

    def mark(self, container: str, marks: Mapping[str, str], spans: Mapping[str, Spans]) -> None:
        """See ``TraceStore.mark``.

        What is said of the origin of spans becomes tags of their trace, so one of them, which is
        there and stays as it is, takes the mark along.
        """
        headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": container}
        one_each = {ident: spans[ident][:1] for ident in marks}
        self._http.post_message(_OTLP, _message(one_each, marks), headers)

    def link_prompts(self, trace_id: str, prompts: Sequence[PromptLink]) -> None:
        """See ``TraceStore.link_prompts``."""
        versions = [{"name": it.name, "version": it.version} for it in prompts]
        body = {"trace_id": trace_id, "prompt_versions": versions}
        self._http.post(f"{API}/traces/link-prompts", body, idempotent=True)

    def link_to_run(self, run_id: str, trace_ids: Sequence[str]) -> None:
        """See ``TraceStore.link_to_run``."""
        for some in _chunks(trace_ids):
            body = {"trace_ids": [*some], "run_id": run_id}
            self._http.post(f"{API}/traces/link-to-run", body, idempotent=True)

    def override(self, trace_id: str, assessment: Assessment) -> None:
        """See ``TraceStore.override``."""
        path = f"{_path(trace_id)}/assessments"
        add = partial(self._http.post, path, {"assessment": assessment}, idempotent=True)
        # In which words one that is there already is refused is for the database to say.
        with suppress(Refused, Unavailable):
            add(tries=1)
            return
        # Only adding it takes the other one's validity.
        one = f"{path}/{quote(str(assessment.get('assessment_id')), safe='')}"
        with suppress(NotFound):
            self._http.change("DELETE", one, {})
        add()

    def finish(
        self, copy: Trace, wanted: Trace, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``."""
        tags = {**wanted.tags, **losses_to_tags(losses)}
        if "/" in copy.trace_id:  # no route takes such an id, so that the mark goes with all else
            whole = dataclasses.replace(wanted, tags={**tags, MARK: mark}, assessments=())
            self.create(copy.experiment_id, whole, copy)
            return ()
        for key in copy.tags.keys() - tags.keys() - SERVER_TAGS - {MARK}:
            self._change("DELETE", copy.trace_id, {"key": key})
        for key, value in tags.items():
            if key not in SERVER_TAGS and copy.tags.get(key) != value:
                self._change("PATCH", copy.trace_id, {"key": key, "value": value})
        if mark and copy.tags.get(MARK) != mark:
            self._change("PATCH", copy.trace_id, {"key": MARK, "value": mark})
        return ()

    def _change(self, method: str, trace_id: str, body: Mapping[str, str]) -> None:
        try:
            self._http.change(method, f"{_path(trace_id)}/tags", body)
        except NotFound:
            if method != "DELETE":
                raise

    def delete(self, copy: Trace) -> None:
        """See ``Store.delete``."""
        body = {"experiment_id": copy.experiment_id, "request_ids": [copy.trace_id]}
        self._http.post(f"{NEWER_API}/traces/delete-traces", body, idempotent=True)


def _over(there: Trace, wanted: Trace) -> Trace:
    """Return what is wanted with the tags and metadata besides that a trace has."""
    tags = {key: text for key, text in there.tags.items() if key not in SERVER_TAGS}
    return dataclasses.replace(
        wanted, tags={**tags, **wanted.tags}, metadata={**there.metadata, **wanted.metadata}
    )


def _place_of(experiment_id: str) -> Mapping[str, Any]:
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}


def in_order(stretch: Stretch) -> dict[str, Any]:
    """Return what a search for the traces of a stretch is asked with, oldest first."""
    bounds = ((">=", stretch.first), ("<=", stretch.last))
    return {
        "max_results": PER_PAGE,
        # Pages are counted off: traces of one moment need an order as well.
        "order_by": ["timestamp_ms ASC", "request_id ASC"],
        "filter": " AND ".join(f"timestamp_ms {it} {ms}" for it, ms in bounds if ms is not None),
    }


def _message(spans: Mapping[str, Spans], marks: Mapping[str, str] = NO_MARKS) -> bytes:
    """Return the request of OpenTelemetry's protocol that holds the spans of several traces.

    Raises ``Malformed`` for what is none.
    """
    from google.protobuf.json_format import ParseDict, ParseError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    every: list[Any] = []
    for trace_id, of_trace in spans.items():
        mark = marks.get(trace_id)
        said = [{"key": MARK, "value": {"stringValue": mark}}] if mark else []
        one = {"resource": {"attributes": said}, "scopeSpans": [{"spans": list(of_trace)}]}
        every.append(one)
    scope: Object = {"resourceSpans": every}
    try:
        message: bytes = ParseDict(scope, ExportTraceServiceRequest()).SerializeToString()
    except ParseError as problem:
        raise Malformed(f"a span is not of OpenTelemetry's form: {problem}") from None
    return message


def _path(trace_id: str) -> str:
    return f"{NEWER_API}/traces/{quote(trace_id, safe='')}"


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), PER_CALL):
        yield ids[start : start + PER_CALL]
