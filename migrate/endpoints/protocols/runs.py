"""Reads runs and their metric histories, makes and fills them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from migrate.endpoints.answers import Histories
from migrate.endpoints.protocols.contained import ReadsContained, WritesContained
from migrate.objects import ArtifactRoot, Loss, Metric, Run


class ReadsRuns(ReadsContained[Run], Protocol):
    """Reads runs, deleted ones too, and their metric histories."""

    def read_in(self, experiment_id: str, run_ids: Sequence[str]) -> Sequence[Run]:
        """Return these runs of one experiment as they are now; missing ones are left out."""
        ...

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """Read the metric histories of several runs in bulk, keyed by run id.

        Holds about ``budget`` points at most, so it returns as many runs as fit, at least one;
        ask again for the others. Where a single run has more, its ``unread`` says so.
        """
        ...

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """Yield one metric's whole history in pages of bounded size."""
        ...


class RunWriter(Protocol):
    """Fills one run of the target; every method may be repeated without harm.

    Params, tags and metrics may be buffered; ``finish`` writes what is left, status, end time
    and name, then the mark, and last deletes a deleted run. So a mark means a complete copy,
    but for the deletion.
    """

    @property
    def run_id(self) -> str:
        """Id of the copy."""
        ...

    @property
    def root(self) -> ArtifactRoot:
        """Where the copy's files go."""
        ...

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """Write tags beside those the run was created with; equal ones are left alone."""
        ...

    def remove_tags(self, keys: Sequence[str]) -> None:
        """Take tags off the copy; no error where one is gone."""
        ...

    def write_params(self, params: Mapping[str, str]) -> None:
        """Write params; those already there with the same value are left alone."""
        ...

    def write_metrics(self, points: Iterable[Metric]) -> None:
        """Write points of metric histories; all points of one key come in a row."""
        ...

    def write_inputs(self, inputs: Sequence[Mapping[str, object]]) -> None:
        """Write dataset inputs."""
        ...

    def finish(self, run: Run, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """Complete the copy: status, end time, name and lifecycle as in ``run``.

        Return what the endpoint refused of all that was written. Where it keeps losses with the
        copy, it keeps these beside ``losses``, which are written already.
        """
        ...

    def abandon(self) -> None:
        """Drop what is held locally after an error; the copy stays as far as it got."""
        ...


class WritesRuns(ReadsRuns, WritesContained[Run], Protocol):
    """Makes and fills runs."""

    def create(self, experiment_id: str, run: Run, *, anew: bool = False) -> RunWriter:
        """Create a run with name, user, start time and all tags of ``run`` in one call.

        ``anew``, where the endpoint is an ``archive``: in place of one that is there, of which
        nothing stays. Sent once. Raises ``AnswerLost`` when it is not known whether it was created.
        """
        ...

    def adopt(self, experiment_id: str, copy: Run, run: Run) -> RunWriter:
        """Return a writer that completes ``copy``, an existing run, to match ``run``.

        Writes tags of ``run`` that the copy lacks or holds otherwise; restores it if deleted.
        """
        ...

    def restore(self, run_ids: Sequence[str]) -> None:
        """Take runs out of the trash."""
        ...

    def restored(self, run_id: str) -> AbstractContextManager[None]:
        """Take a deleted run out of the trash for the length of a block."""
        ...
