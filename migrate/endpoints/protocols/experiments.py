"""Reads and writes experiments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from migrate.objects import Experiment, Loss


class ReadsExperiments(Protocol):
    """Lists experiments."""

    def list(self) -> Iterator[Experiment]:
        """Yield every experiment, deleted ones too, in order of creation."""
        ...

    def read(self, ids: Sequence[str]) -> Sequence[Experiment]:
        """Return these as they are now, deleted ones too; missing ones are left out."""
        ...


class WritesExperiments(ReadsExperiments, Protocol):
    """Makes and changes experiments."""

    def create(self, experiment: Experiment) -> str:
        """Create it with name, tags and artifact location (empty: the target's default).

        Sent once; return its id. Raises ``AlreadyExists`` when the name is taken (by a deleted one
        too) and ``AnswerLost`` when it is not known whether it was created.
        """
        ...

    def set_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """Set tags; others stay. Return those that the endpoint refused."""
        ...

    def remove_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """Take tags off it; no error where one is gone.

        Raises ``NoSuchRoute`` where the endpoint has no such call.
        """
        ...

    def delete(self, experiment_id: str) -> None:
        """Move it and all its runs to the trash."""
        ...

    def restore(self, experiment_id: str) -> None:
        """Take it and all its runs out of the trash."""
        ...

    def rename(self, experiment_id: str, name: str) -> None:
        """Give it another name."""
        ...
