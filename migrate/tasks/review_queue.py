"""Copies review queues with their items, after the questions that they ask and the traces."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from migrate.endpoints.stores import Identity
from migrate.kinds import Kind, Ref
from migrate.outcomes import Loss
from migrate.records.review_queues import PENDING, ReviewQueue
from migrate.tasks.added import joined
from migrate.tasks.carrier import RecordCarrier, differing
from migrate.tasks.wanted import Need, Place, Wanted

QUESTIONS_STAY = Loss(
    "schema_ids",
    "MLflow changes the questions of no queue with items, and those of the copy are worked on "
    "(--repair makes them what they are at the source)",
)


class ReviewQueues(RecordCarrier[ReviewQueue]):
    """Review queues of experiments. Nothing on one says whose copy it is: it is found by name."""

    kind = Kind.REVIEW_QUEUE
    after = Kind.TRACE
    colours = ("#f3e5f0", "#8e3b78")

    def ref(self, record: ReviewQueue) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(self.kind, record.queue_id)

    def name(self, record: ReviewQueue) -> str:
        """See ``RecordCarrier.name``."""
        return record.name

    def container(self, record: ReviewQueue) -> str:
        """See ``RecordCarrier.container``."""
        return record.experiment_id

    def key(self, record: ReviewQueue, identity: Identity) -> str:
        """See ``RecordCarrier.key``."""
        return record.key if identity is Identity.NAMED else record.queue_id

    def needs(self, record: ReviewQueue) -> Iterable[Need]:
        """See ``RecordCarrier.needs``."""
        for ident in record.schema_ids:
            yield Need(Ref(Kind.LABEL_SCHEMA, ident), "asked by")

    def wanted(self, record: ReviewQueue, place: Place) -> Wanted[ReviewQueue]:
        """See ``RecordCarrier.wanted``."""
        if place.target.archive:
            return Wanted(record)
        copies = {it: place.copies.get(Ref(Kind.LABEL_SCHEMA, it)) for it in record.schema_ids}
        losses = tuple(
            Loss(f"question {ident}", "this label schema is not copied")
            for ident, copy in copies.items()
            if copy is None
        )
        there = tuple(sorted(copy for copy in copies.values() if copy is not None))
        return Wanted(dataclasses.replace(record, schema_ids=there), losses)

    def with_added(self, wanted: ReviewQueue, copy: ReviewQueue) -> Wanted[ReviewQueue]:
        """See ``RecordCarrier.with_added``: users, questions, items, and what became of these.

        MLflow changes questions in a queue without items only. They are taken out for that, and
        one that was killed meanwhile knows those of the source alone: so not where there are more.
        """
        theirs = {it.item_id: it for it in copy.items if it.status != PENDING}
        items = [theirs.get(it.item_id, it) if it.status == PENDING else it for it in wanted.items]
        both = joined({it.item_id: it for it in items}, {it.item_id: it for it in copy.items})
        questions = tuple(sorted({*wanted.schema_ids, *copy.schema_ids}))
        losses: tuple[Loss, ...] = ()
        if questions != tuple(sorted(copy.schema_ids)) and _is_worked_on(wanted, copy):
            questions, losses = copy.schema_ids, (QUESTIONS_STAY,)
        added = dataclasses.replace(
            wanted,
            users=tuple(sorted({*wanted.users, *copy.users})),
            schema_ids=questions,
            items=tuple(both[ident] for ident in sorted(both)),
        )
        return Wanted(added, losses)

    def differences(
        self, wanted: ReviewQueue, copy: ReviewQueue
    ) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``. An owner is given to one that has none."""
        for what in ("name", "queue_type"):
            if getattr(wanted, what) != getattr(copy, what):
                yield what, getattr(wanted, what), getattr(copy, what)
        for what in ("users", "schema_ids"):
            if sorted(getattr(wanted, what)) != sorted(getattr(copy, what)):
                yield what, getattr(wanted, what), getattr(copy, what)
        if wanted.created_by and wanted.created_by != copy.created_by:
            yield "created_by", wanted.created_by, copy.created_by
        old = {it.item_id: (it.status, it.completed_by) for it in wanted.items}
        new = {it.item_id: (it.status, it.completed_by) for it in copy.items}
        for ident, was, now in differing(old, new):
            yield f"item {ident}", was, now


def _is_worked_on(wanted: ReviewQueue, copy: ReviewQueue) -> bool:
    """Say whether a copy has items, or says what became of some, otherwise than its original."""
    known = {(it.item_id, it.status, it.completed_by) for it in wanted.items}
    return any((it.item_id, it.status, it.completed_by) not in known for it in copy.items)
