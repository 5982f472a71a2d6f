"""One trace of a slice that is to be written, and what is known of it on the way. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from migrate.kinds import Kind, Ref
from migrate.objects import ArtifactRoot
from migrate.outcomes import Loss
from migrate.tasks.trace import differences
from migrate.tasks.trace_marks import told_mark
from migrate.traces import (
    ARTIFACT_LOCATION_TAG,
    IN_PROGRESS,
    Assessment,
    Spans,
    Trace,
    span_kind,
)

#: What the spans of a trace with attachments name.
_ATTACHMENT = "mlflow-attachment://"


@dataclass(slots=True)
class Todo:
    """A trace to be written: as it is, as its copy should be, its mark, and what comes of it.

    ``there`` is what of a copy was there before.
    """

    trace: Trace
    wanted: Trace
    mark: str
    there: Trace | None = None
    spans: Spans = ()
    losses: list[Loss] = field(default_factory=list)

    @property
    def has_more(self) -> bool:
        """True where more than spans is to be written after it was created."""
        overriding = any(it.get("overrides") for it in self.wanted.assessments)
        links = self.wanted.linked_runs or self.wanted.linked_prompts
        return bool(overriding or links or self.losses or has_files(self.trace, self.spans))


def is_whole(it: Todo, copy: Trace) -> bool:
    """Say whether the mark that came with a trace holds, and it is all that it should be."""
    held = told_mark(copy) if it.mark else ""
    return held == it.mark != "" and not it.has_more and not any(differences(it.wanted, copy))


def spans_of(it: Todo) -> str:
    """Return what a loss calls its spans."""
    return f"spans of trace {it.trace.trace_id}"


def lost_kinds(it: Todo) -> Iterator[Loss]:
    """Yield what is lost of its spans where the target keeps no kinds of these."""
    if kinds := sorted({kind for span in it.spans if (kind := span_kind(span))}):
        reason = f"MLflow has them since 3.18 ({', '.join(kinds)})"
        yield Loss(f"kinds of {spans_of(it)}", reason)


def assessment_of(it: Todo, assessment: Assessment) -> str:
    """Return what a loss calls an assessment of it."""
    return f"assessment {assessment.get('assessment_id')} of trace {it.trace.trace_id}"


def has_files(trace: Trace, spans: Spans) -> bool:
    """Say whether a trace may have files: its spans, or what they name as attached."""
    in_file = not (trace.has_stored_spans or trace.state == IN_PROGRESS)
    return in_file or _ATTACHMENT in repr(spans)


def files_of(trace: Trace) -> ArtifactRoot:
    """Return where the files of a trace are."""
    return ArtifactRoot(Ref(Kind.TRACE, trace.trace_id), trace.tags.get(ARTIFACT_LOCATION_TAG, ""))


def has_other_fields(wanted: Trace, copy: Trace) -> bool:
    """Say whether a copy differs in what creating it again brings back."""
    words = ("tag ", "assessment ")
    return any(not what.startswith(words) for what, _, _ in differences(wanted, copy))


def says_otherwise(it: Todo, copy: Trace) -> bool:
    """Say whether a copy differs in its assessments, of which some override others."""
    overriding = any(said.get("overrides") for said in it.wanted.assessments)
    return overriding and any(
        what.startswith("assessment ") for what, _, _ in differences(it.wanted, copy)
    )
