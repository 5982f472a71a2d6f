"""The life of every copy that is a record: look, create once, fill, finish with its mark.

The one home of exactly-once for these kinds. Copies are looked for where there may be some that
the plan does not know of: after an attempt that ended unclear, and where the plan is resumed.

What was added to a copy on the target stays there, unless it is repaired.

Where an endpoint keeps no bookkeeping with a copy, what has its key may be the target's own. That
is adopted where it is what a copy should be, else kept as it is, unless the state or the course of
this migration says that it is ours.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.stores import Bookkeeping, Found, Store
from migrate.errors import EndpointError, MigrateError
from migrate.kinds import Action, Ref
from migrate.objects import Loss
from migrate.outcomes import Outcome, TaskStatus
from migrate.tasks.attempts import Attempt, create_once
from migrate.tasks.batches import Batch, Job
from migrate.tasks.outcomes import failed, why_missing, with_permissions
from migrate.tasks.permissions import carry_permissions
from migrate.tasks.read_back import Seen
from migrate.tasks.wanted import Place, Wanted, mark_of

if TYPE_CHECKING:
    from migrate.tasks.carrier import Carrier, RecordCarrier


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
    doubtful = [
        job
        for job in batch.jobs
        if job.target_id or job.action is Action.ADOPT or _may_be_begun(batch, job)
    ]
    existing = _existing(carrier, batch, doubtful, records, theirs)
    written: list[_Written] = []
    for job in batch.jobs:
        started = time.monotonic()
        attempt = _Attempt(carrier, batch, job, ours, theirs)
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
            outcome = attempt.with_permissions(outcome, source, target)
            outcome = dataclasses.replace(outcome, seconds=time.monotonic() - started)
        except Exception as problem:
            yield failed(job, problem, attempt.target_id, time.monotonic() - started)
            continue
        if outcome.wrote and theirs.bookkeeping is not Bookkeeping.SIDECAR:
            written.append(_Written(job, outcome, wanted))
        else:
            yield outcome
    yield from _looked_at(carrier, theirs, written)


def delete_each(
    carrier: Carrier, batch: Batch, source: Source, target: Target
) -> Iterator[Outcome]:
    """Delete the copies of a batch; yield an outcome per job."""
    for job in batch.jobs:
        yield _Deletion(carrier, batch, job, source, target).outcome()


class _Deletion(Attempt):
    """One try to delete one copy."""

    def __init__(
        self, carrier: Carrier, batch: Batch, job: Job, source: Source, target: Target
    ) -> None:
        super().__init__(batch, job, source, target)
        self._carrier = carrier

    def _carry_out(self) -> Outcome:
        ends = self._source, self._target
        copy = self._carrier.delete_copy(self._batch, self._job, *ends)
        return Outcome(ref=self._job.ref, status=TaskStatus.DONE, target_id=copy, wrote=True)


def _may_be_begun(batch: Batch, job: Job) -> bool:
    """Say whether an earlier attempt may have left a copy that nobody knows the id of."""
    return batch.looks or job.attempt > 1


def _existing(
    carrier: RecordCarrier[Any],
    batch: Batch,
    jobs: Sequence[Job],
    records: Mapping[Ref, Any],
    store: Store[Any],
) -> dict[Ref, Found[Any]]:
    """Return the copies of jobs that are there already."""
    known = [job for job in jobs if job.ref in records]
    existing: dict[Ref, Found[Any]] = {}
    if store.bookkeeping is Bookkeeping.NONE:
        # Its id is surer than its key, which the source may have changed since.
        ids = {job.target_id: job.ref for job in known if job.target_id}
        read = store.read(list(ids)) if ids else ()
        existing = {ids[carrier.ref(it).id]: Found(it) for it in read}
    sought = [job for job in known if job.ref not in existing]
    keys = {job.ref: carrier.key(records[job.ref], store.identity) for job in sought}
    found = store.find(batch.target_container, set(keys.values())) if keys else {}
    for job in sought:
        # Originals of one key are copied one after the other, each needing those before it.
        others = {copy for ref, copy in job.copies.items() if ref.kind is job.ref.kind}
        same = found.get(keys[job.ref], ())
        if free := [it for it in same if carrier.ref(it.record).id not in others]:
            existing[job.ref] = free[0]
    return existing


class _Attempt:
    """One try at one object; ``target_id`` is known as soon as there is a copy."""

    def __init__(
        self,
        carrier: RecordCarrier[Any],
        batch: Batch,
        job: Job,
        originals: Store[Any],
        store: Store[Any],
    ) -> None:
        self._carrier = carrier
        self._batch = batch
        self._job = job
        self._originals = originals
        self._store = store
        self._is_new = False
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
        exact = existing is None or job.repairs or place.target.archive
        due = wanted if exact else self._with_added(wanted, found.record)
        # Of what is the target's own, more than is wanted is no copy.
        compared = due if job.target_id or self._is_marked(found) else wanted
        wrote = existing is None or not self._is_complete(found, record, compared.record, mark)
        if (wrote or not carrier.adopts) and not self._is_ours(found, wanted.record):
            return self._kept(found, wanted.record), wanted
        wanted, losses = due, due.losses
        if wrote:
            ends = (self._originals, self._store)
            losses += tuple(carrier.fill(record, found.record, *ends, exact=exact))
            losses = tuple(dict.fromkeys(losses))
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

    def _with_added(self, wanted: Wanted[Any], copy: Any) -> Wanted[Any]:
        """Return what is wanted with what was added to the copy."""
        record, losses, warnings = self._carrier.with_added(wanted.record, copy)
        return Wanted(record, wanted.losses + losses, wanted.warnings + warnings)

    def _is_marked(self, found: Found[Any]) -> bool:
        """Say whether a mark, or the bookkeeping of its store, says of a copy that it is ours."""
        told = self._job.mark or found.mark
        return bool(told) or self._store.bookkeeping is not Bookkeeping.NONE

    def with_permissions(self, outcome: Outcome, source: Source, target: Target) -> Outcome:
        """Carry permissions along, where the copy is one; exports keep none on records."""
        job, archives = self._job, (source.capabilities().archive, target.capabilities().archive)
        if not (self._carrier.guarded and outcome.target_id) or any(archives):
            return outcome
        known = self._is_new or bool(job.mark)
        ours = known or self._store.bookkeeping is not Bookkeeping.NONE
        copy = Ref(job.ref.kind, outcome.target_id)
        carried = carry_permissions(self._batch.policy, job.ref, copy, source, target, ours=ours)
        return with_permissions(outcome, carried)

    def _create(self, record: Any, wanted: Any) -> Found[Any]:
        carrier, batch, job, store = self._carrier, self._batch, self._job, self._store
        found, self._is_new = create_once(
            job,
            lambda: Found(store.create(batch.target_container, wanted)),
            lambda: _existing(carrier, batch, [job], {job.ref: record}, store).get(job.ref),
            carrier.renamed_by,
        )
        return found

    def _is_complete(self, found: Found[Any], record: Any, wanted: Any, mark: str) -> bool:
        if self._store.bookkeeping is not Bookkeeping.NONE and not self._job.repairs:
            return found.mark == mark
        copy, ends = found.record, (self._originals, self._store)
        if any(self._carrier.differences(wanted, copy)):
            return False
        contents = self._carrier.compare_contents(record, copy, *ends)
        return not any(self._job.repairs or due is not None for _, due, _ in contents)

    def _is_ours(self, found: Found[Any], wanted: Any) -> bool:
        """Say whether a copy that is not as it should be was made by this tool.

        One that the plan had not seen was made since, by an attempt that ended unclear.
        """
        job = self._job
        if self._is_new or self._is_marked(found):
            return True
        if not self._carrier.adopts:
            return bool(job.target_id) or self._carrier.is_same(found.record, wanted)
        made_since = job.action is Action.CREATE and _may_be_begun(self._batch, job)
        return made_since or self._carrier.is_part(found.record, wanted)

    def _kept(self, found: Found[Any], wanted: Any) -> Outcome:
        """Leave what is the target's own as it is."""
        job = self._job
        differing = [what for what, *_ in self._carrier.differences(wanted, found.record)]
        reason = f"the target's own {job.ref.kind} {job.name!r} ({self.target_id}) is kept, which "
        reason += f"differs in {', '.join(dict.fromkeys(differing))}"
        losses = (Loss("copy", reason),) if differing else ()
        # Without its id: a later run would take it for a copy of ours.
        return Outcome(ref=job.ref, status=TaskStatus.DONE, target_id="", losses=losses)


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
        try:
            seen.settle(
                outcome.losses, f"{job.ref.kind} {job.name or outcome.target_id!r}", job.attempt
            )
        except MigrateError as problem:
            yield failed(job, problem, outcome.target_id, outcome.seconds)
        else:
            yield outcome
