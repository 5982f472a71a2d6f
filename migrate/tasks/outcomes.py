"""Turns what happened to a job into the outcome that goes back to the scheduler."""

from __future__ import annotations

import dataclasses
import logging

from migrate.endpoints.answers import PermissionsWritten
from migrate.errors import (
    EndpointError,
    MigrateError,
    NotAuthenticated,
    NotFound,
    Refused,
    StorageFull,
    Unavailable,
)
from migrate.outcomes import Outcome, TaskStatus
from migrate.tasks.batches import Job

log = logging.getLogger(__name__)


def as_known(problem: Exception, what: str) -> MigrateError:
    """Return an error of ours as it is, and any other as one that says ``what`` it was about.

    Copying one object or file may bring about what nobody thought of; that must not take along
    what has nothing to do with it.
    """
    if isinstance(problem, MigrateError):
        return problem
    log.error("unexpected error in %s", what, exc_info=problem)
    return EndpointError(
        f"{what}: unexpected {type(problem).__name__}: {str(problem)[:300]}",
        "this is a defect of mlflow-migrate: please report it with --debug output",
    )


def failed(job: Job, error: Exception, target_id: str = "", seconds: float = 0.0) -> Outcome:
    """Return the outcome of a failed attempt; what is worth another try says so."""
    problem = as_known(error, f"{job.ref.kind} {job.name or job.ref.id!r}")
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
