"""The life of every copy that is a record: look, create once, fill, finish with its mark.

The one home of exactly-once for these kinds. Copies are looked for where there may be some that
the plan does not know of: after an attempt that ended unclear, and where the plan is resumed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.stores import Bookkeeping, Found, Store
from migrate.errors import AlreadyExists, EndpointError, MigrateError
from migrate.objects import Ref
from migrate.outcomes import Outcome, TaskStatus
from migrate.tasks.batches import Batch, Job
from migrate.tasks.outcomes import failed, name_taken, why_missing
from migrate.tasks.read_back import Seen
from migrate.tasks.wanted import Place, Wanted, mark_of

if TYPE_CHECKING:
    from migrate.tasks.carrier import RecordCarrier


class _Written(NamedTuple):
    """A copy that was written: what came of it, and the record as it should be by now."""

    job: Job
    outcome: Outcome
    wanted: Any


def carry_each(
    carrier: RecordCarrier[Any], batch: Batch, source: Source, target: Target
) -> Iterator[Outcome]:
    """Copy the objects of a batch; yield an outcome per job."""
    ours, theirs = source.store(carrier.kind), target.store(carrier.kind)
    if ours is None or theirs is None:
        raise EndpointError(f"{carrier.kind.plural} cannot be copied between these two ends")
    records = {carrier.ref(it): it for it in ours.read([job.ref.id for job in batch.jobs])}
    doubtful = [job for job in batch.jobs if batch.looks or job.target_id or job.attempt > 1]
    existing = _existing(carrier, batch, doubtful, records, theirs)
    written: list[_Written] = []
    for job in batch.jobs:
        started = time.monotonic()
        attempt = _Attempt(carrier, batch, job, theirs)
        try:
            if job.ref not in records:
                raise why_missing(source, job)
            place = Place(
                store=theirs,
                target=target.capabilities(),
                policy=batch.policy,
                copies=job.copies,
            )
            record = records[job.ref]
            outcome, wanted = attempt.copy(record, place, existing.get(job.ref))
            outcome = dataclasses.replace(outcome, seconds=time.monotonic() - started)
        except Exception as problem:
            yield failed(job, problem, attempt.target_id, time.monotonic() - started)
            continue
        if outcome.wrote and theirs.bookkeeping is not Bookkeeping.SIDECAR:
            written.append(_Written(job, outcome, wanted))
        else:
            yield outcome
    yield from _looked_at(carrier, theirs, written)


def _existing(
    carrier: RecordCarrier[Any],
    batch: Batch,
    jobs: Sequence[Job],
    records: Mapping[Ref, Any],
    store: Store[Any],
) -> dict[Ref, Found[Any]]:
    """Return the copies of jobs that are there already."""
    known = [job.ref for job in jobs if job.ref in records]
    keys = {carrier.key(records[ref], store.identity): ref for ref in known}
    found = store.find(batch.target_container, keys) if keys else {}
    return {keys[key]: same[0] for key, same in found.items() if key in keys and same}


class _Attempt:
    """One try at one object; ``target_id`` is known as soon as there is a copy."""

    def __init__(
        self, carrier: RecordCarrier[Any], batch: Batch, job: Job, store: Store[Any]
    ) -> None:
        self._carrier = carrier
        self._batch = batch
        self._job = job
        self._store = store
        self.target_id = job.target_id

    def copy(
        self, record: Any, place: Place, existing: Found[Any] | None
    ) -> tuple[Outcome, Wanted[Any]]:
        """Bring the copy to what the source holds now; write nothing when it is there."""
        carrier, job = self._carrier, self._job
        wanted = carrier.wanted(record, place)
        mark = mark_of(carrier.digest(record), carrier.needs(record), job.copies.__contains__)
        found = existing or self._create(record, wanted.record)
        if found.unreadable:
            raise EndpointError(f"its copy cannot be read: {found.unreadable}")
        self.target_id = carrier.ref(found.record).id
        losses = wanted.losses
        wrote = existing is None or not self._is_complete(found, wanted.record, mark)
        if wrote:
            losses += tuple(self._store.finish(found.record, wanted.record, mark, losses))
        else:
            losses += tuple(loss for loss in found.losses if loss not in losses)
        outcome = Outcome(
            ref=job.ref,
            status=TaskStatus.DONE,
            target_id=self.target_id,
            mark=mark,
            wrote=wrote,
            losses=losses,
            warnings=wanted.warnings,
        )
        return outcome, wanted

    def _create(self, record: Any, wanted: Any) -> Found[Any]:
        """Create the copy once; where it is there after all, return that one."""
        job = self._job
        try:
            return Found(self._store.create(self._batch.target_container, wanted))
        except AlreadyExists:
            # Made since the plan: by an attempt whose answer was lost, or by somebody else.
            found = _existing(self._carrier, self._batch, [job], {job.ref: record}, self._store)
            if job.ref not in found:
                raise name_taken(job.ref.kind, job.name, self._carrier.renamed_by) from None
            return found[job.ref]

    def _is_complete(self, found: Found[Any], wanted: Any, mark: str) -> bool:
        if self._store.bookkeeping is Bookkeeping.NONE or self._job.repairs:
            return not any(self._carrier.differences(wanted, found.record))
        return found.mark == mark


def _looked_at(
    carrier: RecordCarrier[Any], store: Store[Any], written: Sequence[_Written]
) -> Iterator[Outcome]:
    """Look at what the target shows of the copies written, all at once; yield what came of each."""
    ids = [outcome.target_id for _, outcome, _ in written]
    shown = {carrier.ref(it).id: it for it in store.read(ids)} if ids else {}
    for job, outcome, wanted in written:
        seen = Seen()
        copy = shown.get(outcome.target_id)
        if copy is None:
            seen.missing.append(f"the {job.ref.kind} itself")
        else:
            for what, old, new in carrier.differences(wanted.record, copy):
                seen.check(what, old, new)
        seen.leave_out(outcome.losses)
        try:
            seen.require(f"{job.ref.kind} {job.name or outcome.target_id!r}", job.attempt)
        except MigrateError as problem:
            yield failed(job, problem, outcome.target_id, outcome.seconds)
        else:
            yield outcome
