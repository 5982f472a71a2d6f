"""Turns what happened to a job into the outcome that goes back to the scheduler."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.protocols import Source
from migrate.errors import (
    AlreadyExists,
    EndpointError,
    MigrateError,
    NotAuthenticated,
    NotFound,
    Refused,
    StorageFull,
    TargetInUse,
    TargetLags,
    Unavailable,
)
from migrate.kinds import Kind
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.redaction import cut
from migrate.storable import HALF_CHARACTER
from migrate.tasks.batches import Job
from migrate.tasks.parts import InParts

log = logging.getLogger(__name__)

#: After these no other task can do better.
STOPS_ALL = (StorageFull, NotAuthenticated, TargetInUse, TargetLags)


def as_known(problem: Exception, what: str) -> MigrateError:
    """Return an error of ours as it is, and any other as one that says ``what`` it was about.

    Copying one object or file may bring about what nobody thought of; that must not take along
    what has nothing to do with it.
    """
    if isinstance(problem, MigrateError):
        return problem
    if isinstance(problem, UnicodeEncodeError):
        return EndpointError(f"{what} {HALF_CHARACTER}")
    log.error("unexpected error in %s", what, exc_info=problem)
    return EndpointError(
        f"{what}: unexpected {type(problem).__name__}: {cut(str(problem), 300)}",
        "this is a defect of mlflow-migrate: please report it with --debug output",
    )


def failed(job: Job, error: Exception, target_id: str = "", seconds: float = 0.0) -> Outcome:
    """Return the outcome of a failed attempt; what is worth another try says so."""
    problem = as_known(error, f"{job.ref.heading} {job.name or job.ref.id!r}")
    return Outcome(
        ref=job.ref,
        status=TaskStatus.FAILED,
        target_id=target_id or job.target_id,
        error=problem.message,
        hint=problem.hint,
        retryable=isinstance(problem, Unavailable),
        refused=isinstance(problem, Refused | NotFound),
        stops=isinstance(problem, STOPS_ALL),
        retry_after=getattr(problem, "retry_after", None),
        seconds=seconds,
        parts=problem.parts if isinstance(problem, InParts) else (),
    )


def copies_beside(kind: Kind, ids: Sequence[str]) -> tuple[Loss, ...]:
    """Return the loss that an object has where the target holds several copies of it.

    ``ids`` are those of the copies, the one that is kept up to date first.
    """
    if len(ids) < 2:
        return ()
    others = ", ".join(ids[1:6]) + (" and more" if len(ids) > 6 else "")
    reason = f"the target holds {len(ids)} copies of this {kind}: {ids[0]} is kept up to date, "
    return (Loss("exactly one copy", f"{reason}beside it are {others}"),)


def name_taken(kind: Kind, name: str, renamed_by: str) -> AlreadyExists:
    """Return the error for a name that the target refuses as taken, and shows on no object.

    Databases of some targets compare names without case or accents: another spelling has it.
    """
    return AlreadyExists(
        f"the target holds the name {name!r} in another spelling: it compares names without case, "
        "and takes one of them",
        rename_hint(kind, renamed_by),
    )


def name_refused(kind: Kind, problem: Refused, renamed_by: str) -> Refused:
    """Return the error for a create that is refused, with what to do where its name is why."""
    hint = problem.hint or f"where it is the name: {rename_hint(kind, renamed_by)}"
    return Refused(problem.message, hint)


def rename_hint(kind: Kind, renamed_by: str) -> str:
    """Return what to do about a name that the target does not take.

    ``renamed_by`` is the option that gives copies of this kind other names, empty for none.
    """
    if not renamed_by:
        return f"rename the {kind} at the source"
    return f"give the copy another name: {renamed_by} FILE, with a line old_name,new_name"


def why_missing(source: Source, job: Job) -> EndpointError:
    """Return the error for an object of the plan that the source does not give."""
    found = source.unreadable.of(job.ref)
    if found is not None:
        return EndpointError(found.message, found.hint)
    return NotFound(
        f"{job.ref.kind} {job.name or job.ref.id!r} is no longer at the source",
        "plan again (migrate plan SOURCE TARGET): what the source lists no more is left out then. "
        "If this comes back, the source still lists it, and does not give it: look into its log",
    )


def with_permissions(outcome: Outcome, carried: PermissionsWritten) -> Outcome:
    """Return the outcome of an object whose permissions were carried along as well."""
    return dataclasses.replace(
        outcome,
        wrote=outcome.wrote or carried.granted > 0,
        losses=outcome.losses + carried.losses,
    )
