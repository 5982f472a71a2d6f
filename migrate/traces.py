"""Traces of MLflow's GenAI tracking as plain records, and the stretches of time they move in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from migrate.kinds import Kind, Ref
from migrate.objects import Loss

#: Says where a trace's spans are: in the database or the archive; without it, in a file.
SPANS_LOCATION_TAG = "mlflow.trace.spansLocation"
#: Where the files of a trace are. The server gives it out.
ARTIFACT_LOCATION_TAG = "mlflow.artifactLocation"
#: Where the server has put the spans of a trace that it has archived.
ARCHIVE_LOCATION_TAG = "mlflow.trace.archiveLocation"
#: Says why it archives a trace no more; whoever takes it off has it try again.
ARCHIVAL_FAILURE_TAG = "mlflow.trace.archivalFailure"
#: Tags that the server writes itself, of which it takes none (``_HANDLER_BLOCKED_TRACE_TAGS`` of
#: ``mlflow.server.handlers`` 3.18.0).
SERVER_TAGS = frozenset(
    {SPANS_LOCATION_TAG, ARTIFACT_LOCATION_TAG, ARCHIVE_LOCATION_TAG, ARCHIVAL_FAILURE_TAG}
)
SOURCE_RUN = "mlflow.sourceRun"
MODEL_ID = "mlflow.modelId"
ASSESSMENT_RUN = "mlflow.assessment.sourceRunId"
#: The versions of prompts that it used, as a JSON list of their names and numbers.
LINKED_PROMPTS_TAG = "mlflow.linkedPrompts"
SIZE_BYTES = "mlflow.trace.sizeBytes"
#: The file of a trace that has its spans, where the server does not keep these itself.
SPANS_FILE = "traces.json"
IN_PROGRESS = "IN_PROGRESS"
#: States in the words of MLflow 2, where MLflow 3 has others.
OLDER_STATES: Mapping[str, str] = {"TRACE_STATUS_UNSPECIFIED": "STATE_UNSPECIFIED"}

#: Characters of a value that servers show. They keep more, and cut it when they are asked.
_SHOWN = {"tag": 4096, "metadata": 250}

#: An assessment as MLflow's REST API has it, and the spans of one trace likewise.
Assessment = Mapping[str, Any]
Spans = Sequence[Mapping[str, Any]]
#: What OpenTelemetry calls the kinds of spans. MLflow has them since 3.18, and takes each whose
#: kind it does not know for the second of these.
SPAN_KINDS = (
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
)


class PromptLink(NamedTuple):
    """A version of a prompt that a trace used."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace without its spans; ``request_time`` and ``execution_duration`` in milliseconds.

    ``execution_duration`` is None while it is in progress, and the texts are where MLflow has none.
    """

    trace_id: str
    experiment_id: str
    request_time: int
    execution_duration: int | None = None
    state: str = ""
    client_request_id: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    assessments: tuple[Assessment, ...] = ()
    #: Runs and versions of prompts that it is linked to, beside those that its metadata and its tag
    #: name; no server tells of these.
    linked_runs: tuple[str, ...] = ()
    more_prompts: tuple[PromptLink, ...] = ()
    #: What its endpoint lacks of it already.
    losses: tuple[Loss, ...] = ()

    @property
    def ref(self) -> Ref:
        """What names it."""
        return Ref(Kind.TRACE, self.trace_id)

    @property
    def has_stored_spans(self) -> bool:
        """True where the server gives its spans; else they are in a file, or there are none."""
        return SPANS_LOCATION_TAG in self.tags

    @property
    def linked_prompts(self) -> tuple[PromptLink, ...]:
        """All versions of prompts that it is known to be linked to, those of its tag first."""
        return (*prompts_named(self.tags), *self.more_prompts)


def span_kind(span: Mapping[str, Any]) -> str:
    """Return the kind of a span in a word; empty where it is what MLflow takes for no other."""
    kind = span.get("kind", 0)
    if isinstance(kind, int) and kind in range(len(SPAN_KINDS)):
        kind = SPAN_KINDS[kind]
    return "" if kind in SPAN_KINDS[:2] else str(kind)


def prompts_named(tags: Mapping[str, str]) -> tuple[PromptLink, ...]:
    """Return the versions of prompts that a tag of a trace names, as far as that is readable."""
    try:
        found = json.loads(tags.get(LINKED_PROMPTS_TAG) or "[]")
        return tuple(PromptLink(str(it["name"]), str(it["version"])) for it in found)
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()


def prompts_tag(prompts: Iterable[PromptLink]) -> str:
    """Return the tag that names versions of prompts."""
    return json.dumps([{"name": it.name, "version": it.version} for it in prompts])


class Stretch(NamedTuple):
    """A stretch of time in epoch milliseconds: ``first`` and ``last`` are in it; None is open."""

    first: int | None = None
    last: int | None = None


EVER = Stretch()


def shown(word: str, value: Any) -> Any:
    """Return what a server shows of a ``tag`` or of ``metadata`` that it has as it is."""
    return value[: _SHOWN[word]] if word in _SHOWN else value
