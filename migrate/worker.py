"""Executes a batch: the one function sent to an executor.

Takes one plain value and returns plain outcomes; never raises, never touches state. Endpoints
are opened once per process and address, so connections outlive a batch.
"""

from __future__ import annotations

import dataclasses
import threading
import time

from migrate.endpoints.addresses import Address, open_source, open_target
from migrate.endpoints.protocols import Source, Target
from migrate.errors import EndpointError, MigrateError, Unavailable
from migrate.kinds import Ref, Step
from migrate.outcomes import Loss, Outcome, Part, TaskStatus
from migrate.straight import counting
from migrate.tasks.batches import Batch, Job
from migrate.tasks.carriers import carrier_of
from migrate.tasks.files import copy_part
from migrate.tasks.outcomes import STOPS_ALL, copies_beside, failed
from migrate.tasks.parts import shared_by

#: What says nothing about one object: the others of a batch would end likewise.
OF_ALL = (Unavailable, *STOPS_ALL)

_sources: dict[Address, Source] = {}
_targets: dict[Address, Target] = {}
_opening = threading.Lock()


def source_at(address: Address) -> Source:
    """Return this process's source at an address, opened at first use."""
    with _opening:
        if address not in _sources:
            _sources[address] = open_source(address)
        return _sources[address]


def target_at(address: Address) -> Target:
    """Return this process's target at an address, opened at first use."""
    with _opening:
        if address not in _targets:
            _targets[address] = open_target(address)
        return _targets[address]


def close_endpoints() -> None:
    """Close every endpoint this process has opened."""
    with _opening:
        for opened in (_sources, _targets):
            while opened:
                opened.popitem()[1].close()


def execute(batch: Batch) -> list[Outcome]:
    """Carry out a batch; return one outcome per job, whatever happens.

    What ends a batch as a whole may be the fault of one of its objects, so those that are left
    are tried by themselves.
    """
    with counting() as straight:
        outcomes = _executed(batch)
    if outcomes:
        outcomes[-1] = dataclasses.replace(outcomes[-1], straight=tuple(straight.notes()))
    return outcomes


def _executed(batch: Batch) -> list[Outcome]:
    started = time.monotonic()
    if batch.part is not None:
        return [_send_part(batch, batch.part)]
    with shared_by(batch.workers):
        outcomes, problem = _carry_out(batch)
    outcomes = _with_doubles_told(batch, outcomes)
    ended = {outcome.ref for outcome in outcomes}
    left = [job for job in batch.jobs if job.ref not in ended]
    if len(batch.jobs) > 1 and not isinstance(problem, OF_ALL):
        return outcomes + [outcome for job in left for outcome in _executed(_alone(batch, job))]
    seconds = time.monotonic() - started
    return outcomes + [failed(job, problem, seconds=seconds) for job in left]


def _send_part(batch: Batch, part: Part) -> Outcome:
    """Send files of an object; those that fail are sent when the object is tried again."""
    [job] = batch.jobs
    try:
        sent = copy_part(part, source_at(batch.source), target_at(batch.target))
    except Exception as problem:
        return dataclasses.replace(failed(job, problem), retryable=False, of_part=True)
    return Outcome(
        ref=job.ref,
        status=TaskStatus.DONE,
        files_sent=sent.files,
        bytes_sent=sent.bytes,
        of_part=True,
    )


def _carry_out(batch: Batch) -> tuple[list[Outcome], Exception]:
    """Return the outcomes that a batch gave, and what became of the jobs without any."""
    outcomes: list[Outcome] = []
    try:
        source, target = source_at(batch.source), target_at(batch.target)
        carrier = carrier_of(batch.kind)
        if carrier is None:
            raise EndpointError(f"{batch.kind.plural} are not copied by this version")
        carry_out = carrier.delete if batch.step is Step.DELETION else carrier.carry
        for outcome in carry_out(batch, source, target):
            outcomes.append(_with_losses_kept(batch, outcome, target))
    except Exception as problem:
        return outcomes, problem
    return outcomes, EndpointError("the batch ended without a word on this task")


def _with_losses_kept(batch: Batch, outcome: Outcome, target: Target) -> Outcome:
    """Have the target keep what was lost of a copy; return the outcome, failed where it cannot."""
    if outcome.status is not TaskStatus.DONE or batch.step is Step.DELETION:
        return outcome
    try:
        target.keep_losses(Ref(batch.kind, outcome.target_id), outcome.losses)
    except MigrateError as problem:
        [job] = [job for job in batch.jobs if job.ref == outcome.ref]
        return failed(job, problem, outcome.target_id, outcome.seconds)
    return outcome


def _with_doubles_told(batch: Batch, outcomes: list[Outcome]) -> list[Outcome]:
    """Return the outcomes, with a loss where the target holds two copies by now.

    A create that got no answer is looked for before it is sent again, and a server that is slow may
    carry it out after that.
    """
    unclear = {job.ref for job in batch.jobs if job.attempt > 1 and not job.target_id}
    done = [it.ref for it in outcomes if it.ref in unclear and it.status is TaskStatus.DONE]
    carrier = carrier_of(batch.kind)
    if not done or carrier is None or batch.step is Step.DELETION:
        return outcomes
    losses: dict[Ref, tuple[Loss, ...]]
    try:
        target = target_at(batch.target)
        if target.capabilities().keeps_id(batch.kind):
            return outcomes
        copies = carrier.copies_of(batch, done, target)
        losses = {ref: copies_beside(batch.kind, copies.get(ref, ())) for ref in done}
    except MigrateError as problem:
        unknown = Loss("exactly one copy", f"whether there is another is not known: {problem}")
        losses = dict.fromkeys(done, (unknown,))
    return [dataclasses.replace(it, losses=it.losses + losses.get(it.ref, ())) for it in outcomes]


def _alone(batch: Batch, job: Job) -> Batch:
    """Return a batch of one job, that looks first for what may have been created already."""
    return dataclasses.replace(batch, jobs=(dataclasses.replace(job, attempt=max(job.attempt, 2)),))
