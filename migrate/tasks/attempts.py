"""What every try at an object has in common: it ends in an outcome, and creates at most once."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from migrate.endpoints.protocols import Source, Target
from migrate.errors import AlreadyExists, Refused
from migrate.outcomes import Outcome
from migrate.tasks.batches import Batch, Job
from migrate.tasks.outcomes import failed, name_refused, name_taken

T = TypeVar("T")


class Attempt(ABC):
    """One try at one object; ``target_id`` is known as soon as there is a copy."""

    def __init__(self, batch: Batch, job: Job, source: Source, target: Target) -> None:
        self._batch = batch
        self._job = job
        self._source = source
        self._target = target
        self.target_id = job.target_id

    def outcome(self) -> Outcome:
        """Return what came of it, whatever happens."""
        started = time.monotonic()
        try:
            outcome = self._carry_out()
        except Exception as problem:
            outcome = failed(self._job, problem, self.target_id)
        return dataclasses.replace(outcome, seconds=time.monotonic() - started)

    @abstractmethod
    def _carry_out(self) -> Outcome:
        """Bring the copy to what the source holds now; write nothing when it is there."""


def create_once(
    job: Job, create: Callable[[], T], find: Callable[[], T | None], renamed_by: str
) -> tuple[T, bool]:
    """Create a copy; where it is there after all, return that one, and say that it is not new.

    Raises ``AlreadyExists`` where its name is taken by what is not shown. Where rules can give it
    another name, ``Refused`` says how: it may be the name that is.
    """
    try:
        return create(), True
    except AlreadyExists:
        # Made since the plan: by an attempt whose answer was lost, or by somebody else.
        found = find()
        if found is None:
            raise name_taken(job.ref.kind, job.name, renamed_by) from None
        return found, False
    except Refused as problem:
        if not renamed_by:
            raise
        raise name_refused(job.ref.kind, problem, renamed_by) from None
