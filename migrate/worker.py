"""Executes a batch: the one function sent to an executor.

Takes one plain value and returns plain outcomes; never raises, never touches state. Endpoints
are opened once per process and address, so connections outlive a batch.
"""

from __future__ import annotations

import dataclasses
import threading
import time

from migrate.endpoints.addresses import Address, open_endpoint
from migrate.endpoints.protocols import Target
from migrate.errors import EndpointError, MigrateError, Unavailable
from migrate.kinds import Ref, Step
from migrate.outcomes import Outcome, TaskStatus
from migrate.tasks.batches import Batch, Job
from migrate.tasks.carriers import carrier_of
from migrate.tasks.outcomes import STOPS_ALL, failed

#: What says nothing about one object: the others of a batch would end likewise.
OF_ALL = (Unavailable, *STOPS_ALL)

_open: dict[Address, Target] = {}
_opening = threading.Lock()


def endpoint(address: Address) -> Target:
    """Return this process's endpoint for an address, opened at first use."""
    with _opening:
        if address not in _open:
            _open[address] = open_endpoint(address)
        return _open[address]


def close_endpoints() -> None:
    """Close every endpoint this process has opened."""
    with _opening:
        while _open:
            _open.popitem()[1].close()


def execute(batch: Batch) -> list[Outcome]:
    """Carry out a batch; return one outcome per job, whatever happens.

    What ends a batch as a whole may be the fault of one of its objects, so those that are left
    are tried by themselves.
    """
    started = time.monotonic()
    outcomes, problem = _carry_out(batch)
    ended = {outcome.ref for outcome in outcomes}
    left = [job for job in batch.jobs if job.ref not in ended]
    if len(batch.jobs) > 1 and not isinstance(problem, OF_ALL):
        return outcomes + [outcome for job in left for outcome in execute(_alone(batch, job))]
    seconds = time.monotonic() - started
    return outcomes + [failed(job, problem, seconds=seconds) for job in left]


def _carry_out(batch: Batch) -> tuple[list[Outcome], Exception]:
    """Return the outcomes that a batch gave, and what became of the jobs without any."""
    outcomes: list[Outcome] = []
    try:
        source, target = endpoint(batch.source), endpoint(batch.target)
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


def _alone(batch: Batch, job: Job) -> Batch:
    """Return a batch of one job, that looks first for what may have been created already."""
    return dataclasses.replace(batch, jobs=(dataclasses.replace(job, attempt=max(job.attempt, 2)),))
