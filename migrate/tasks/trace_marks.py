"""Marks of whole copies of traces that are written before all of the copy is there.

On a server a trace comes in two requests: what is told of it, then its spans. A mark that comes
last takes a third. One that is sealed comes with the first: it counts once the spans are there, and
only while the copy shows what it was to show, since a server may reckon that anew from spans.
"""

from __future__ import annotations

from migrate.origins import MARK
from migrate.tasks.fingerprint import digest_of
from migrate.traces import Trace, shown

_SEAL = "+"
#: What servers reckon from spans, beside the fields of a trace (``log_spans`` of MLflow's stores).
_RECKONED = ("tokenUsage", "cost", "session", "user")


def sealed(mark: str, wanted: Trace) -> str:
    """Return a mark that counts for a copy with spans that shows what is ``wanted``."""
    return f"{mark}{_SEAL}{_seal(wanted)}"


def told_mark(copy: Trace) -> str:
    """Return the mark of a copy that is whole; empty for any other."""
    mark, sealed_with, seal = copy.tags.get(MARK, "").partition(_SEAL)
    if sealed_with and not (copy.has_stored_spans and seal == _seal(copy)):
        return ""
    return mark


def _seal(trace: Trace) -> str:
    reckoned = (trace.metadata.get(f"mlflow.trace.{word}") for word in _RECKONED)
    return digest_of(
        [
            trace.request_time,
            trace.execution_duration or None,
            trace.state,
            trace.client_request_id or None,
            trace.request_preview or None,
            trace.response_preview or None,
            [text and shown("metadata", text) for text in reckoned],
        ]
    )
