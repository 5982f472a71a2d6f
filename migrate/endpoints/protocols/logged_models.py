"""Reads logged models, makes and fills them, and says which of them runs name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from migrate.endpoints.protocols.contained import ReadsContained, WritesContained
from migrate.objects import LoggedModel, Loss, ModelLinks, ModelMetric


class ReadsLoggedModels(ReadsContained[LoggedModel], Protocol):
    """Reads logged models with all their metrics. Without such a kind: finds none.

    A server's ``list`` leaves out deleted ones, ``read`` has them where the endpoint still shows
    them.
    """


class WritesLoggedModels(ReadsLoggedModels, WritesContained[LoggedModel], Protocol):
    """Makes and fills logged models; every method but the create may be repeated."""

    def create(self, experiment_id: str, model: LoggedModel, *, anew: bool = False) -> LoggedModel:
        """Create one with name, type, source run, params and tags of ``model``; return the copy.

        It may lack params and tags that the endpoint refused: ``finish`` writes them. ``anew`` as
        in ``WritesRuns.create``. Sent once. Raises ``AnswerLost`` when it is not known whether it
        was created.
        """
        ...

    def log_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        """Write metrics of a logged model; ``run_id`` and ``model_id`` are those of copies.

        Return what the endpoint refused.
        """
        ...

    def finish(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """Complete a copy: tags, status and missing params as in ``model``, then the mark.

        Tags that ``copy`` has and ``model`` has not are taken off. Return what the endpoint
        refused. Where it keeps losses with the copy, it keeps these beside ``losses``, which are
        among the tags of ``model`` already.
        """
        ...

    def delete(self, experiment_id: str, model_id: str, origin: str) -> None:
        """Delete the copy of a deleted logged model, so that it can still be found."""
        ...


class ReadsModelLinks(Protocol):
    """Says which logged models runs name. Without such a kind: none."""

    def read(self, run_ids: Sequence[str]) -> Mapping[str, ModelLinks]:
        """Return the logged models that these runs name; runs that are missing are left out."""
        ...


class WritesModelLinks(ReadsModelLinks, Protocol):
    """Makes runs name logged models."""

    def write(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        """Make a run name these, beside those it names already; return what was refused."""
        ...
