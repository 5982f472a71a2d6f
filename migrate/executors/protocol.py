"""What the scheduler asks of whatever carries out its batches."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from typing import Protocol

from migrate.errors import EndpointError
from migrate.outcomes import Outcome, TaskStatus
from migrate.tasks.batches import Batch


class WorkersLost(EndpointError):
    """There are no workers any more, and none will come."""


class BatchExecutor(Protocol):
    """Carries out batches, each by ``worker.execute``, in whatever threads and processes.

    ``distant``: batches run in other processes than the one that was started, which cannot be
    asked to stop in the middle of one. ``looks``: a batch may be begun a second time without being
    asked for, so that each looks for copies first. ``spreads``: objects of a batch are written
    side by side, so that a few large batches keep all threads busy.
    """

    distant: bool
    looks: bool
    spreads: bool

    @property
    def at_once(self) -> int:
        """How many batches are to be given to it at a time, at least one."""

    def submit(self, batch: Batch) -> Future[list[Outcome]]:
        """Return the future of a batch's outcomes.

        It ends with an exception, or is cancelled, where the batch was lost: nobody knows how far
        it came. With ``WorkersLost`` no other will fare better.
        """

    def drain(self) -> None:
        """Begin nothing more of the batches it has, as far as it can; what is begun is ended."""

    def transferred(self) -> int:
        """Return the bytes of artifacts that were sent so far."""

    def close(self) -> None:
        """Give up what is not begun, wait for the rest."""


def lost(batch: Batch, problem: BaseException) -> list[Outcome]:
    """Return the outcomes of a batch that an executor lost: its tasks are worth another try."""
    hopeless = isinstance(problem, WorkersLost)
    if hopeless:
        error = str(problem)
    elif isinstance(problem, CancelledError):
        error = "the worker was given up"
    else:
        error = f"the worker died: {type(problem).__name__}"
    return [
        Outcome(
            ref=job.ref,
            status=TaskStatus.FAILED,
            error=error,
            hint=problem.hint if isinstance(problem, WorkersLost) else "",
            retryable=not hopeless and batch.part is None,
            stops=hopeless,
            of_part=batch.part is not None,
        )
        for job in batch.jobs
    ]
