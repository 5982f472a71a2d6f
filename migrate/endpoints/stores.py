"""What an endpoint is for one kind of object: a store, which knows the wire format and no more.

A store never knows what a copy should be; that is a carrier's (``migrate.tasks.carrier``). All its
methods are called from several threads at once and raise only errors of ``migrate.errors``. Ids and
containers are those of the endpoint that is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from migrate.kinds import Kind
from migrate.objects import Loss
from migrate.origins import MARK, losses_from_tags
from migrate.traces import EVER, Assessment, PromptLink, Spans, Stretch, Trace

R = TypeVar("R")
#: What holds something, and what is in it.
H_contra = TypeVar("H_contra", contravariant=True)
C = TypeVar("C")


class Identity(Enum):
    """By what the copy of an object is found again; a matter of the kind and of the endpoint."""

    KEPT = "kept"  #: its id is its original's
    TAGGED = "tagged"  #: the origin goes with the create call
    NAMED = "named"  #: its name is unique in what holds it
    NUMBERED = "numbered"  #: the endpoint counts: its place in the order is its id


#: By what copies are found where nothing is renumbered or renamed.
ALL_KEPT: Mapping[Kind, Identity] = MappingProxyType(dict.fromkeys(Kind, Identity.KEPT))


class Bookkeeping(Enum):
    """Where an endpoint keeps with a copy what is said of it: its origin, its mark, its losses."""

    TAGS = "tags"  #: among the tags of the copy
    SIDECAR = "sidecar"  #: beside the copy
    NONE = "none"  #: nowhere: a copy is complete when it is what it should be


class Found(NamedTuple, Generic[R]):
    """A copy that is at an endpoint; ``mark`` is empty where it is half-made or keeps none.

    Where there is no bookkeeping, a mark says no more than that this tool has made it.
    ``unreadable`` says why the copy is there and cannot be read.
    """

    record: R
    mark: str = ""
    losses: tuple[Loss, ...] = ()
    unreadable: str = ""


class Store(Protocol[R]):
    """The objects of one kind at one endpoint."""

    @property
    def identity(self) -> Identity:
        """By what a copy is found here."""
        ...

    @property
    def bookkeeping(self) -> Bookkeeping:
        """Where origin and mark of a copy are kept here."""
        ...

    def list(self, containers: Sequence[str]) -> Iterator[R]:
        """Yield every object in these containers, in order of creation where that is known.

        Of a kind that nothing holds, yield all, whatever ``containers``.
        """
        ...

    def read(self, ids: Sequence[str]) -> Sequence[R]:
        """Return these objects as they are now, in as few calls as can be; missing ones left out.

        Raises what is wrong with one that is there and cannot be read.
        """
        ...

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[R]]]:
        """Return the copies in a container: all, or those of ``keys``, by their keys.

        A key is the original's id (``KEPT``), origin (``TAGGED``), name or number. Where
        a key has several copies, the first is the one to keep up to date.
        """
        ...

    def create(self, container: str, wanted: R) -> R:
        """Create a copy, of which ``finish`` may still add to; return it with the id it got.

        Sent once. Raises ``AlreadyExists`` where its key is taken and ``AnswerLost`` where it is
        not known whether it was created.
        """
        ...

    def finish(self, copy: R, wanted: R, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """Bring a copy to what is wanted, keep the losses with it, then the mark.

        Return what was refused. May be repeated. What ``copy`` has and ``wanted`` has not is
        taken off.
        """
        ...

    def delete(self, copy: R) -> None:
        """Delete a copy; may be repeated."""
        ...


class HoldsContents(Protocol[H_contra, C]):
    """A store whose objects hold more than a record has room for, such as the rows of a dataset."""

    def contents(self, holder: H_contra) -> Iterator[Sequence[C]]:
        """Yield what an object holds, in pages that fit in memory."""
        ...

    def add(self, holder: H_contra, contents: Sequence[C]) -> Sequence[Loss]:
        """Put something in, in as many requests as it takes; return what was refused.

        May be repeated.
        """
        ...

    def remove(self, holder: H_contra, ids: Sequence[str]) -> None:
        """Take out what has these ids here. May be repeated."""
        ...


class TraceStore(Store[Trace], Protocol):
    """The traces of an endpoint, which move in bulk: their spans, and what comes by stretches.

    Their ids are their originals', so whatever writes them may be repeated. It finds whole
    experiments, so ``read`` tells where an id is before. Copies show their marks and losses among
    their tags, wherever these are kept.
    """

    def create(self, container: str, wanted: Trace, there: Trace | None = None) -> Trace:
        """Create a trace, or bring what is ``there`` of it up to date, which keeps what it has.

        It may leave out assessments that override others. Never raises ``AlreadyExists``.
        """
        ...

    @property
    def hides_spans(self) -> bool:
        """True where the endpoint may keep spans that it does not give."""
        ...

    @property
    def tells_links(self) -> bool:
        """True where the endpoint tells of all runs that a trace is linked to."""
        ...

    @property
    def tells_spans(self) -> bool:
        """True where a trace shows as soon as it is created, and then whether it has spans yet.

        It is known once something was read.
        """
        ...

    def within(self, container: str, stretch: Stretch = EVER) -> Iterator[Trace]:
        """Yield the traces of an experiment that began in a stretch of time, oldest first."""
        ...

    def spans(self, ids: Sequence[str]) -> Mapping[str, Spans]:
        """Return the spans of traces that the endpoint itself keeps; none for one without any."""
        ...

    def add_spans(self, container: str, spans: Mapping[str, Spans]) -> None:
        """Add the spans of traces that were created, by their ids, in one call.

        Raises ``Refused`` for ids of traces that take none, before anything is written.
        """
        ...

    def mark(self, container: str, marks: Mapping[str, str], spans: Mapping[str, Spans]) -> None:
        """Write the marks of traces that lack nothing else, by their ids, as far as one call can.

        ``spans`` are those that each has already. Whoever needs to know reads them back.
        """
        ...

    def link_prompts(self, trace_id: str, prompts: Sequence[PromptLink]) -> None:
        """Link a trace to versions of prompts, of which some may be linked already."""
        ...

    def link_to_run(self, run_id: str, trace_ids: Sequence[str]) -> None:
        """Link traces to a run that their metadata does not name; some may be already."""
        ...

    def override(self, trace_id: str, assessment: Assessment) -> None:
        """Add an assessment that overrides another one of the same trace."""
        ...


@runtime_checkable
class TellsHolders(Protocol):
    """A store that is asked about many containers at once."""

    def holders(self, containers: Sequence[str]) -> Iterator[str]:
        """Yield those of these containers that may hold something: the others hold nothing."""
        ...


def holders_of(store: object, containers: Sequence[str]) -> Iterable[str]:
    """Return the containers that may hold something, in their order: all where nobody tells."""
    return store.holders(containers) if isinstance(store, TellsHolders) else containers


def traces_found(traces: Iterable[Trace], container: str) -> Mapping[str, Sequence[Found[Trace]]]:
    """Return the copies among these traces that an experiment holds, by their ids."""
    return {
        trace.trace_id: [Found(trace, trace.tags.get(MARK, ""), losses_from_tags(trace.tags))]
        for trace in traces
        if trace.experiment_id == container
    }


class _HasStores(Protocol):
    def store(self, kind: Kind) -> Store[Any] | None: ...


def traces_of(endpoint: _HasStores) -> TraceStore | None:
    """Return the traces of an endpoint; None where it has none, or not all that it takes."""
    store: Any = endpoint.store(Kind.TRACE)
    found: TraceStore | None = store
    return found
