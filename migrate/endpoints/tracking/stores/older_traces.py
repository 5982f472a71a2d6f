"""Traces of tracking servers before MLflow 3.6, which keep spans in files; they are only read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from migrate.endpoints.shapes import Object, count, ident, integer, member, pairs, required_text
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.parts import API, OLDER_TRACES, TRACES
from migrate.endpoints.tracking.stores.traces import ServerTraces, in_order
from migrate.errors import NotFound
from migrate.kinds import Kind
from migrate.traces import EVER, OLDER_STATES, Stretch, Trace


class TracesBefore3_6(ServerTraces):
    """Those of MLflow 3.2 to 3.5.

    Spans that came in by OpenTelemetry are in the database since 3.4, and no call gives them.
    """

    part = TRACES
    hides_spans = True


class TracesBefore3_2(ServerTraces):
    """Those of MLflow 2.14 to 3.1: without assessments, previews and request ids of clients."""

    part = OLDER_TRACES

    def holders(self, containers: Sequence[str]) -> Iterator[str]:
        """See ``TellsHolders``: each is asked for."""
        yield from containers

    def within(self, container: str, stretch: Stretch = EVER) -> Iterator[Trace]:
        """See ``TraceStore.within``."""
        request = {"experiment_ids": [container], **in_order(stretch)}
        pages = self._http.get_pages(OLDER_TRACES.path, request)
        return self._entries.all(pages, "traces", _TRACE, older_trace_from)

    def read(self, ids: Sequence[str]) -> Sequence[Trace]:
        """See ``Store.read``."""
        return [trace for one in ids for trace in self._read_one(one)]

    def _read_one(self, trace_id: str) -> Iterator[Trace]:
        try:
            answer = self._http.get(f"{API}/traces/{trace_id}/info")
        except NotFound:
            return
        yield older_trace_from(member(answer, "trace_info"))


def _told(entry: Any) -> Told:
    found = entry.get("request_id") if isinstance(entry, dict) else None
    return Told(found if isinstance(found, str) else "")


_TRACE = Form(Kind.TRACE, _told)


def older_trace_from(body: Object) -> Trace:
    """Read the info of a trace, of MLflow's second version of these. Raises ``Malformed``."""
    state = required_text(body, "status")
    required_text(body, "timestamp_ms")
    return Trace(
        trace_id=ident(body, "request_id"),
        experiment_id=ident(body, "experiment_id"),
        request_time=count(body, "timestamp_ms"),
        execution_duration=integer(body, "execution_time_ms"),
        state=OLDER_STATES.get(state, state),
        metadata=pairs(body, "request_metadata"),
        tags=pairs(body, "tags"),
    )
