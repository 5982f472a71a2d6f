"""Turns what happened to a job into the outcome that goes back to the scheduler."""

from __future__ import annotations

import dataclasses

from migrate.endpoints.answers import PermissionsWritten
from migrate.errors import (
    MigrateError,
    NotAuthenticated,
    NotFound,
    Refused,
    StorageFull,
    Unavailable,
)
from migrate.outcomes import Outcome, TaskStatus
from migrate.tasks.batches import Job


def failed(job: Job, problem: MigrateError, target_id: str = "", seconds: float = 0.0) -> Outcome:
    """Return the outcome of a failed attempt; what is worth another try says so."""
    return Outcome(
        ref=job.ref,
        status=TaskStatus.FAILED,
        target_id=target_id or job.target_id,
        error=problem.message,
        hint=problem.hint,
        retryable=isinstance(problem, Unavailable),
        refused=isinstance(problem, Refused | NotFound),
        stops=isinstance(problem, StorageFull | NotAuthenticated),
        retry_after=getattr(problem, "retry_after", None),
        seconds=seconds,
    )


def with_permissions(outcome: Outcome, carried: PermissionsWritten) -> Outcome:
    """Return the outcome of an object whose permissions were carried along as well."""
    return dataclasses.replace(
        outcome,
        wrote=outcome.wrote or carried.granted > 0,
        losses=outcome.losses + carried.losses,
    )
