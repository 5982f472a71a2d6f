"""What is known of the meaning of a kind of object: the one place to look for it, and to add one.

The planner, the worker, the scheduler, verify and the views loop over ``CARRIERS``
(``migrate.tasks.carriers``); none of them names a kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Generic, TypeVar

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.protocols.contained import ReadsContained, WritesContained
from migrate.endpoints.stores import Identity, R
from migrate.kinds import Kind, Ref
from migrate.origins import known_losses
from migrate.outcomes import LeftOut, Loss, Outcome
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.engine import carry_each, delete_each
from migrate.tasks.fingerprint import digest_of
from migrate.tasks.model_marks import Links
from migrate.tasks.wanted import Need, Place, Wanted

HasCopy = Callable[[Ref], bool]
K = TypeVar("K", int, str)


class Carrier(ABC):
    """A kind that is copied."""

    kind: ClassVar[Kind]
    #: The most tasks that go to a worker together.
    together: ClassVar[int] = 25
    #: Whether the objects of a batch are written side by side, where there are threads for it.
    spreads: ClassVar[bool] = False
    #: The option that names those of its objects which are copied; empty where none does.
    chosen_by: ClassVar[str] = ""
    #: The option with the rules that give copies other names; empty where names are no key.
    renamed_by: ClassVar[str] = ""
    #: Whether permissions are given on its objects.
    guarded: ClassVar[bool] = False
    #: Whether permissions are given to its objects.
    granted_to: ClassVar[bool] = False
    #: Whether to delete the copy is another step, after all that needs it; else it is one with it.
    deleted_last: ClassVar[bool] = False
    #: Whether copying it writes files of the machine that the user started it on.
    stays_home: ClassVar[bool] = False
    #: Fill and outline of its boxes in a picture.
    colours: ClassVar[tuple[str, str]]

    @abstractmethod
    def carry(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """Copy the objects of a batch; yield an outcome per job."""

    def lost_object(self, loss: Loss) -> Ref | None:
        """Return which object a loss says has no copy, of those that one task stands for."""
        return None

    def copies_of(
        self, batch: Batch, refs: Sequence[Ref], target: Target
    ) -> Mapping[Ref, Sequence[str]]:
        """Return the ids of all copies of objects, of each the one to keep up to date first.

        Nothing is known where the target holds no two, by their ids or names.
        """
        return {}

    def delete(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """Delete the copies of a batch; yield an outcome per job."""
        return delete_each(self, batch, source, target)

    def delete_copy(self, batch: Batch, job: Job, source: Source, target: Target) -> str:
        """Delete a copy as its original is, after all that needs it; return its id."""
        raise NotImplementedError(f"copies of {self.kind.plural} are not deleted")


class ContainedCarrier(Carrier):
    """A kind that experiments hold, whose copies tell their origin and a mark.

    What the planner keeps of an object are its ``facts``; ``links`` are what runs say of it and
    logged models, by their ids. ``has_copy`` says of what it names whether that has one.
    """

    #: What of a copy with an unchanged quick mark a task still looks at.
    checked_for: ClassVar[str]
    #: What that is to it, in words before its ref, which it names itself.
    names_as: ClassVar[str]
    #: Whether no search shows deleted ones.
    hides_deleted: ClassVar[bool] = False
    #: Whether its task writes to what it names, which has to be out of the trash meanwhile.
    writes_to_named: ClassVar[bool] = False

    @abstractmethod
    def originals(self, source: Source) -> ReadsContained[Any]:
        """Return where its objects are read."""

    @abstractmethod
    def copies(self, target: Target) -> WritesContained[Any]:
        """Return where its copies are."""

    def read_in(self, end: Source, experiment_id: str, ids: Sequence[str]) -> Sequence[Any]:
        """Return these objects of one experiment as they are now; missing ones are left out."""
        return self.originals(end).read(ids)

    def copies_of(
        self, batch: Batch, refs: Sequence[Ref], target: Target
    ) -> Mapping[Ref, Sequence[str]]:
        """See ``Carrier.copies_of``."""
        found = self.copies(target).find(batch.target_container, [ref.id for ref in refs])
        return {ref: [copy.target_id for copy in found.get(ref.id, ())] for ref in refs}

    def started(self, record: Any) -> int | None:
        """Return when it began, in epoch milliseconds, where that decides whether it is copied."""
        return None

    def may_change(self, record: Any) -> bool:
        """Say whether it is not finished yet at the source."""
        return False

    def sizes(self, record: Any) -> Mapping[str, int]:
        """Return how much there is of what it has, in words."""
        return {}

    def losses(self, record: Any, target: Capabilities, policy: Policy) -> tuple[Loss, ...]:
        """Return what its copy will lack, as far as that is known before it is copied."""
        return known_losses(record)

    @abstractmethod
    def facts(self, record: Any) -> Any:
        """Return what the planner keeps of an object."""

    @abstractmethod
    def named(self, facts: Any, links: Links) -> Sequence[Ref]:
        """Return the other objects of its kind or of runs that it names."""

    def comes_after(self, facts: Any) -> Sequence[Ref]:
        """Return what else it names, and is to have ended before: with a copy, it is rewritten."""
        return ()

    @abstractmethod
    def quick_mark(
        self, facts: Any, links: Links, has_copy: HasCopy, target: Capabilities, policy: Policy
    ) -> str:
        """Return the half of the mark of its copy that needs no more than facts and links."""

    def warnings(self, facts: Any, has_copy: HasCopy, target: Capabilities) -> Sequence[str]:
        """Return what its copy cannot say as the original does."""
        return ()


class RecordCarrier(Carrier, Generic[R]):
    """A kind whose objects are records that stores list, create and finish.

    What is the same for all of these is in ``migrate.tasks.engine``; here is what differs.
    """

    #: The kind of what its objects belong to without being held by it: they are copied with that.
    belongs_to: ClassVar[Kind | None] = None
    #: The kind of what is beside its objects, or in nothing, and has to have ended before them.
    after: ClassVar[Kind | None] = None
    #: Whether what the target has itself, and equal, is taken for the copy; else it is left alone.
    adopts: ClassVar[bool] = True

    @abstractmethod
    def ref(self, record: R) -> Ref:
        """Return what names an object, with the id that it has at its endpoint."""

    @abstractmethod
    def wanted(self, record: R, place: Place) -> Wanted[R]:
        """Return what the copy of a record should be. Pure."""

    def name(self, record: R) -> str:
        """Return what people call it."""
        return self.ref(record).id

    def container(self, record: R) -> str:
        """Return the id of what holds it; empty where nothing does."""
        return ""

    def key(self, record: R, identity: Identity) -> str:
        """Return by what the copy of an original is found (see ``Store.find``)."""
        return self.name(record) if identity is Identity.NAMED else self.ref(record).id

    def needs(self, record: R) -> Iterable[Need]:
        """Return what it names."""
        return ()

    def owners(self, record: R) -> Sequence[Ref]:
        """Return what it belongs to."""
        return [need.ref for need in self.needs(record) if need.ref.kind is self.belongs_to]

    def left_out(self, record: R) -> LeftOut | None:
        """Return why an object of what is selected is not copied; None where it is."""
        return None

    def digest(self, record: R) -> str:
        """Return a digest of all that is copied of it."""
        return digest_of(repr(record))

    def differences(self, wanted: R, copy: R) -> Iterator[tuple[str, object, object]]:
        """Yield what a copy has otherwise than it should: its name, as wanted, as it is.

        What a target gives out itself, such as ids and times, is for each kind to leave out.
        """
        for field in fields(wanted):  # type: ignore[arg-type]
            old, new = getattr(wanted, field.name), getattr(copy, field.name)
            if field.compare and old != new:
                yield field.name, old, new

    def with_added(self, wanted: R, copy: R) -> Wanted[R]:
        """Return what is wanted with what was added to its copy on the target, which stays there.

        Losses are what of the original has no place beside it. Pure.
        """
        return Wanted(wanted)

    def fill(
        self, original: R, copy: R, source: Any, target: Any, *, exact: bool
    ) -> Sequence[Loss]:
        """Bring what a copy holds to what its original does; return what was refused.

        For kinds whose stores are ``HoldsContents``. What was added on the target stays, unless it
        is to be ``exact``. May be repeated.
        """
        return ()

    def compare_contents(
        self, original: R, copy: R, source: Any, target: Any
    ) -> Iterator[tuple[str, object, object]]:
        """Yield what a copy holds otherwise than its original, as ``differences`` does."""
        return iter(())

    def is_part(self, copy: R, wanted: R) -> bool:
        """Say whether completing a copy only adds to it, so that nothing there is overwritten."""
        return False

    def is_same(self, copy: R, wanted: R) -> bool:
        """Say whether what the target has can be nothing else than a copy of this original."""
        return False

    def copies_of(
        self, batch: Batch, refs: Sequence[Ref], target: Target
    ) -> Mapping[Ref, Sequence[str]]:
        """See ``Carrier.copies_of``."""
        store = target.store(self.kind)
        if store is None or store.identity is not Identity.TAGGED:
            return {}
        found = store.find(batch.target_container, [ref.id for ref in refs])
        return {ref: [self.ref(it.record).id for it in found.get(ref.id, ())] for ref in refs}

    def carry(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """Copy the objects of a batch by the one engine."""
        return carry_each(self, batch, source, target)


def differing(
    old: Mapping[K, object], new: Mapping[K, object]
) -> Iterator[tuple[K, object, object]]:
    """Yield the keys, in order, under which two mappings have something else, and what."""
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield key, old.get(key), new.get(key)
