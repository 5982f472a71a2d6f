"""What the stores of runs and of logged models have in common: both live in experiments."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from migrate.endpoints.answers import Copy

R_co = TypeVar("R_co", covariant=True)


class ReadsContained(Protocol[R_co]):
    """Reads the objects of a kind that experiments hold."""

    def list(self, experiment_ids: Sequence[str]) -> Iterator[R_co]:
        """Yield what is in these experiments, in no promised order."""
        ...

    def read(self, ids: Sequence[str]) -> Sequence[R_co]:
        """Return these objects, of whatever experiment, as they are now; missing ones left out."""
        ...


class WritesContained(ReadsContained[R_co], Protocol):
    """Finds the copies of a kind that experiments hold."""

    def find(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> Mapping[str, builtins.list[Copy]]:
        """Return the copies in an experiment by origin: all, or those of ``origins``.

        Where an origin has several, the first is the one to adopt. Deleted ones are among them
        as far as the endpoint shows them.
        """
        ...
