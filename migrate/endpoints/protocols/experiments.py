"""Reads and writes experiments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from migrate.kinds import Kind
from migrate.objects import Experiment, Loss


class ReadsExperiments(Protocol):
    """Lists experiments."""

    def experiments(self) -> Iterator[Experiment]:
        """Yield every experiment, deleted ones too, in order of creation."""
        ...

    def read_experiments(self, experiment_ids: Sequence[str]) -> list[Experiment]:
        """Return these as they are now, deleted ones too; missing ones are left out."""
        ...

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """Count what lives in these experiments and is not copied (-1: there, not counted).

        With ``whole_server``, also what lives in none. What cannot be learned ``unknown`` tells.
        """
        ...


class WritesExperiments(Protocol):
    """Makes and changes experiments."""

    def create_experiment(self, experiment: Experiment) -> str:
        """Create it with name, tags and artifact location (empty: the target's default).

        Sent once. Raises ``AlreadyExists`` when the name is taken (by a deleted one too) and
        ``AnswerLost`` when it is not known whether it was created.
        """
        ...

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """Set tags; others stay. Return those that the endpoint refused."""
        ...

    def remove_experiment_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """Take tags off it; no error where one is gone.

        Raises ``NoSuchRoute`` where the endpoint has no such call.
        """
        ...

    def delete_experiment(self, experiment_id: str) -> None:
        """Move it and all its runs to the trash."""
        ...

    def restore_experiment(self, experiment_id: str) -> None:
        """Take it and all its runs out of the trash."""
        ...

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """Give it another name."""
        ...
