"""What the copy of a trace should be, and how traces are gathered to slices. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from migrate.endpoints.answers import Capabilities
from migrate.folding import twins, why_left_out
from migrate.kinds import Kind, Ref, run_ref
from migrate.origins import LOSSES, MARK, SOURCE, carried_tags, keep_earlier, losses_from_tags
from migrate.outcomes import Loss
from migrate.tasks.added import joined
from migrate.tasks.fingerprint import digest_of
from migrate.tasks.wanted import Need, Wanted, mark_of
from migrate.traces import (
    ARTIFACT_LOCATION_TAG,
    ASSESSMENT_RUN,
    LINKED_PROMPTS_TAG,
    MODEL_ID,
    SERVER_TAGS,
    SOURCE_RUN,
    Assessment,
    PromptLink,
    Stretch,
    Trace,
    prompts_named,
    prompts_tag,
    shown,
)

#: The traces of a slice; more only where they all began in one millisecond.
TRACES_A_SLICE = 200
#: What metadata names, by key.
_NAMED = {SOURCE_RUN: Kind.RUN, MODEL_ID: Kind.LOGGED_MODEL}
#: What few endpoints tell of a trace.
_LINKS = ("linked_runs", "more_prompts")


class Slice(NamedTuple):
    """The traces of one experiment that began between two moments (ms), both included."""

    experiment_id: str
    first: int
    last: int

    @property
    def id(self) -> str:
        """What names the slice in plans."""
        return f"{self.experiment_id}/{self.first}-{self.last}"

    @property
    def ref(self) -> Ref:
        """Its ref in plans."""
        return Ref(Kind.TRACE, self.id)

    @property
    def stretch(self) -> Stretch:
        """The time it covers."""
        return Stretch(self.first, self.last)


@dataclass(frozen=True, slots=True)
class SliceFacts:
    """What a plan keeps of a slice: how many traces it has, what they name, and a digest of all.

    The digest is that of the marks that whole copies have when everything they name has a copy.
    """

    slice: Slice
    count: int
    content: str
    needs: tuple[Need, ...]
    ids: frozenset[str]

    @property
    def refs(self) -> Iterator[Ref]:
        """What names each of its traces."""
        return (Ref(Kind.TRACE, ident) for ident in self.ids)


def slice_from(text: str) -> Slice | None:
    """Read back what names a slice; None for what names none."""
    experiment_id, _, times = text.rpartition("/")
    first, dash, last = times.partition("-")
    if not (experiment_id and dash and first.isdecimal() and last.isdecimal()):
        return None
    return Slice(experiment_id, int(first), int(last))


def lost_trace(trace_id: str, reason: str) -> Loss:
    """Return the loss of a whole trace, which its slice has."""
    return Loss(f"{Kind.TRACE} {trace_id}", reason)


def trace_of(loss: Loss) -> Ref | None:
    """Read back which trace is lost as a whole; None where that is none."""
    kind, _, trace_id = loss.what.partition(" ")
    return Ref(Kind.TRACE, trace_id) if kind == Kind.TRACE else None


def slices(traces: Iterable[Trace]) -> Iterator[SliceFacts]:
    """Gather the traces of one experiment, oldest first, to slices with no moment in common."""
    gathered: list[Trace] = []
    for trace in traces:
        if len(gathered) >= TRACES_A_SLICE and trace.request_time != gathered[-1].request_time:
            yield _facts(gathered)
            gathered = []
        gathered.append(trace)
    if gathered:
        yield _facts(gathered)


def _facts(traces: list[Trace]) -> SliceFacts:
    first, last = traces[0], traces[-1]
    needs = dict.fromkeys(need for trace in traces for need in needs_of(trace))
    return SliceFacts(
        Slice(first.experiment_id, first.request_time, last.request_time),
        len(traces),
        content_of((trace.trace_id, mark(trace, anything)) for trace in traces),
        tuple(needs),
        frozenset(trace.trace_id for trace in traces),
    )


def content_of(marks: Iterable[tuple[str, str]]) -> str:
    """Digest the marks of copies, each with the id of its trace."""
    return digest_of(sorted(map(list, marks)))


def anything(ref: Ref) -> bool:
    """Say of whatever a trace names that it has a copy."""
    return True


def needs_of(trace: Trace) -> Iterator[Need]:
    """Yield the runs and logged models that a trace names; they have to have ended before it."""
    for key, kind in _NAMED.items():
        if trace.metadata.get(key):
            yield Need(Ref(kind, trace.metadata[key]), "traced", soft=True, along=False)
    for run_id in trace.linked_runs:
        yield Need(run_ref(run_id), "linked to", soft=True, along=False)
    for prompt in trace.linked_prompts:
        yield Need(_prompt_ref(prompt), "uses", soft=True, along=False)
    for assessment in trace.assessments:
        if run_id := _run_of(assessment):
            yield Need(run_ref(run_id), "assessed by", soft=True, along=False)
        if issue_id := _issue_of(assessment):
            yield Need(Ref(Kind.ISSUE, issue_id), "shows", soft=True, along=False)


def _prompt_ref(prompt: PromptLink) -> Ref:
    return Ref(Kind.PROMPT_VERSION, f"{prompt.name}/{prompt.version}")


def _run_of(assessment: Assessment) -> str:
    return str((assessment.get("metadata") or {}).get(ASSESSMENT_RUN) or "")


def _issue_of(assessment: Assessment) -> str:
    """Return the id of the issue that an assessment refers to, which MLflow keeps as its name."""
    return str(assessment.get("assessment_name") or "") if assessment.get("issue") else ""


def mark(trace: Trace, has_copy: Callable[[Ref], bool]) -> str:
    """Return the mark of a complete copy: of what a search shows, and of what has no copy."""
    content = dataclasses.asdict(trace)
    content["assessments"] = _by_id(trace)
    for name in _LINKS:
        if not content[name]:  # as for the many whose endpoints tell of none
            del content[name]
    # Whatever has no copy is kept otherwise, so it decides what the copy is.
    missing = [need._replace(soft=False) for need in needs_of(trace)]
    return mark_of(digest_of(content), missing, has_copy)


def _by_id(trace: Trace) -> dict[str, Assessment]:
    return {str(it.get("assessment_id")): it for it in trace.assessments}


def wanted_trace(
    trace: Trace, container: str, copies: Mapping[Ref, str], target: Capabilities
) -> Wanted[Trace]:
    """Return what the copy of a trace in this experiment of the target should be.

    ``copies`` are the ids of the copies of what it names; what has none is kept under a tag, in an
    assessment under a key of its metadata. An archive keeps all of that as it is.
    """
    warnings: list[str] = []
    losses = (*trace.losses, *losses_from_tags(trace.tags))
    place = {ARTIFACT_LOCATION_TAG} if target.keeps_files else set()
    tags = {key: text for key, text in trace.tags.items() if key not in SERVER_TAGS - place}
    if target.archive:
        tags = {key: tags[key] for key in tags if key != MARK and not key.startswith(LOSSES)}
        record = dataclasses.replace(trace, experiment_id=container, tags=tags, losses=())
        return Wanted(record, losses)
    tags, metadata = keep_earlier(tags), dict(trace.metadata)
    for word, texts in (("tag", tags), ("metadata", metadata)):
        for key, first in twins(texts, target.folding).items():
            del texts[key]
            told = f"{word} {key[:60]} of trace {trace.trace_id}"
            losses += (Loss(told, why_left_out(first)),)
    for key, kind in _NAMED.items():
        if not (named := metadata.pop(key, "")):
            continue
        if (copy := copies.get(Ref(kind, named))) is not None:
            metadata[key] = copy
            continue
        tags[SOURCE + key.removeprefix("mlflow.")] = named
        warnings.append(
            f"trace {trace.trace_id} is of {kind} {named}, which is not among what is copied: "
            "kept as a source tag"
        )
    linked = {run_id: copies.get(run_ref(run_id)) for run_id in trace.linked_runs}
    warnings += [
        f"trace {trace.trace_id} is linked to run {run_id}, which is not among what is copied"
        for run_id, copy in linked.items()
        if copy is None
    ]
    prompts, unknown = _prompts(trace.linked_prompts, copies)
    tagged = prompts_named(trace.tags)
    in_tag = prompts[: len(tagged)]
    if in_tag != tagged:
        tags[LINKED_PROMPTS_TAG] = prompts_tag(in_tag)
    warnings += [
        f"trace {trace.trace_id} uses version {it.version} of prompt {it.name}, which is not among "
        "what is copied: it keeps that name"
        for it in unknown
    ]
    assessments = []
    for assessment in trace.assessments:
        rewritten, missing = _assessment(assessment, copies)
        assessments.append(rewritten)
        warnings += [
            f"an assessment of trace {trace.trace_id} names {ref.kind} {ref.id}, which is not "
            "among what is copied: it keeps the source's id"
            for ref in missing
        ]
    record = dataclasses.replace(
        trace,
        experiment_id=container,
        metadata=metadata,
        tags=tags,
        assessments=tuple(assessments),
        linked_runs=tuple(copy for copy in linked.values() if copy is not None),
        more_prompts=prompts[len(in_tag) :],
        losses=(),
    )
    return Wanted(record, losses, tuple(warnings))


def _prompts(
    prompts: Sequence[PromptLink], copies: Mapping[Ref, str]
) -> tuple[tuple[PromptLink, ...], Sequence[PromptLink]]:
    """Return the copies of versions of prompts, and those that have none."""
    found = [copies.get(_prompt_ref(prompt)) for prompt in prompts]
    renamed = tuple(
        prompt if copy is None else PromptLink(*copy.rsplit("/", 1))
        for prompt, copy in zip(prompts, found, strict=True)
    )
    missing = [prompt for prompt, copy in zip(prompts, found, strict=True) if copy is None]
    return renamed, missing


def _assessment(
    assessment: Assessment, copies: Mapping[Ref, str]
) -> tuple[Assessment, Sequence[Ref]]:
    """Return an assessment that names the copies of its run and issue, and what has no copy."""
    rewritten, missing = dict(assessment), []
    if run_id := _run_of(assessment):
        metadata = dict(assessment["metadata"])
        del metadata[ASSESSMENT_RUN]
        if copy := copies.get(run_ref(run_id)):
            metadata[ASSESSMENT_RUN] = copy
        else:
            metadata[SOURCE + ASSESSMENT_RUN.removeprefix("mlflow.")] = run_id
            missing.append(run_ref(run_id))
        rewritten["metadata"] = metadata
    if issue_id := _issue_of(assessment):
        if copy := copies.get(Ref(Kind.ISSUE, issue_id)):
            rewritten["assessment_name"] = copy
        else:
            missing.append(Ref(Kind.ISSUE, issue_id))
    return rewritten, missing


def with_added(wanted: Trace, copy: Trace) -> Trace:
    """Return what a copy should be with the tags that were added to it, which stay there."""
    there = carried_tags(copy.tags)
    tags = {key: text for key, text in there.items() if key not in SERVER_TAGS}
    return dataclasses.replace(wanted, tags=joined(wanted.tags, tags))


def differences(wanted: Trace, copy: Trace) -> Iterator[tuple[str, Any, Any]]:
    """Yield what a copy has otherwise than it should: its name, as wanted, as it is.

    What was added to the copy beside, such as an assessment given at the target, is none.
    """
    for field in dataclasses.fields(wanted):
        if field.name in ("metadata", "tags", "assessments", "losses", *_LINKS):
            continue
        old, new = getattr(wanted, field.name), getattr(copy, field.name)
        if (old or None) != (new or None):
            yield field.name, old, new
    tags = {key: text for key, text in wanted.tags.items() if key not in SERVER_TAGS}
    for word, theirs, ours in (
        ("tag", tags, copy.tags),
        ("metadata", wanted.metadata, copy.metadata),
        ("assessment", _by_id(wanted), _by_id(copy)),
    ):
        for key, value in theirs.items():
            found = ours.get(key)
            if found != value and not (found and found == shown(word, value)):
                yield f"{word} {key}", value, found
    for key in sorted(copy.tags.keys() - wanted.tags.keys() - SERVER_TAGS):
        if key != MARK and not key.startswith(LOSSES):
            yield f"tag {key}", None, copy.tags[key]
