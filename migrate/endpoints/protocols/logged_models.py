"""Reads logged models, makes and fills them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from migrate.endpoints.answers import (
    Copy,
)
from migrate.objects import (
    LoggedModel,
    Loss,
    ModelLinks,
    ModelMetric,
    Run,
)


class ReadsLoggedModels(Protocol):
    """Reads logged models, and which of them runs name. Without such a kind: finds none."""

    def logged_models(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """Yield the logged models of these experiments, those not deleted, with all metrics."""
        ...

    def read_logged_models(self, model_ids: Sequence[str]) -> list[LoggedModel]:
        """Return these, deleted ones too where the endpoint still shows them."""
        ...

    def model_links(self, run_ids: Sequence[str]) -> dict[str, ModelLinks]:
        """Return the logged models that these runs name; runs that are missing are left out."""
        ...

    def find_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """Return these runs, of whatever experiment; missing ones are left out."""
        ...


class WritesLoggedModels(Protocol):
    """Makes and fills logged models; every method but the create may be repeated."""

    def create_logged_model(
        self, experiment_id: str, model: LoggedModel, *, anew: bool = False
    ) -> LoggedModel:
        """Create one with name, type, source run, params and tags of ``model``; return the copy.

        It may lack params and tags that the endpoint refused: ``finish_logged_model`` writes them.
        ``anew`` as in ``WritesRuns.create_run``. Sent once. Raises ``AnswerLost`` when it is not
        known whether it was created.
        """
        ...

    def find_model_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """Return the copies in an experiment by origin: all, or those of ``origins``.

        Where an origin has several, the first is the one to adopt. Deleted ones are among them
        as far as the endpoint shows them.
        """
        ...

    def log_model_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        """Write metrics of a logged model; ``run_id`` and ``model_id`` are those of copies.

        Return what the endpoint refused.
        """
        ...

    def link_model(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        """Make a run name these logged models, beside those it names already.

        Return what the endpoint refused.
        """
        ...

    def open_run(self, run_id: str) -> AbstractContextManager[None]:
        """Take a deleted run out of the trash for the length of a block."""
        ...

    def finish_logged_model(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """Complete a copy: tags, status and missing params as in ``model``, then the mark.

        Tags that ``copy`` has and ``model`` has not are taken off. Return what the endpoint
        refused. Where it keeps losses with the copy, it keeps these beside ``losses``, which are
        among the tags of ``model`` already.
        """
        ...

    def delete_logged_model(self, experiment_id: str, model_id: str, origin: str) -> None:
        """Delete the copy of a deleted logged model, so that it can still be found."""
        ...
