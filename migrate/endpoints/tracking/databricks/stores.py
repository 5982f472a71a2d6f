"""What is otherwise about the objects of a workspace than about those of other servers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.stores.experiments import (
    EXPERIMENTS_PER_PAGE,
    FORM,
    ExperimentStore,
)
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.endpoints.tracking.stores.runs import RunStore
from migrate.endpoints.tracking.wire import experiment_from
from migrate.errors import NotFound, Refused
from migrate.objects import Experiment, LoggedModel, Run
from migrate.origins import ORIGIN, PREFIX

#: A limit of the API's reference (databricks-sdk 0.162 has it as docstrings).
TAGS_AT_CREATION = 20


class WorkspaceExperiments(ExperimentStore):
    """Experiments, which a workspace lists in no order and keeps in folders."""

    def list(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.list``; a workspace does not order them by creation."""
        body = {"max_results": EXPERIMENTS_PER_PAGE, "view_type": "ALL"}
        pages = self._http.pages(f"{API}/experiments/search", body)
        found = [*self._entries.all(pages, "experiments", FORM, experiment_from)]
        found.sort(key=lambda one: (one.creation_time or 0, one.experiment_id))
        return iter(found)

    def create(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create``; makes the folder where it is missing.

        Tags that do not go into the one call are set after it. It has our own, by which whoever
        tries again finds the copy and completes it.
        """
        tags = sorted(experiment.tags.items(), key=lambda tag: not tag[0].startswith(PREFIX))
        first = dataclasses.replace(experiment, tags=dict(tags[:TAGS_AT_CREATION]))
        try:
            created = super().create(first)
        except NotFound:
            folder = experiment.name.rpartition("/")[0]
            if not folder:
                raise
            self._http.post("/api/2.0/workspace/mkdirs", {"path": folder}, idempotent=True)
            created = super().create(first)
        self.set_tags(created, dict(tags[TAGS_AT_CREATION:]))
        return created


class WorkspaceRuns(RunStore):
    """Runs, read one by one where the filter on ids is not to be had."""

    _takes_ids = True

    def read_in(self, experiment_id: str, run_ids: Sequence[str]) -> Sequence[Run]:
        """See ``ReadsRuns.read_in``."""
        if self._takes_ids:
            try:
                return self._among([experiment_id], run_ids)
            except Refused:
                self._takes_ids = False
        return self._one_by_one(run_ids)

    def read(self, run_ids: Sequence[str]) -> Sequence[Run]:
        """See ``ReadsContained.read``."""
        return self._one_by_one(run_ids)


class WorkspaceModels(LoggedModelStore):
    """Logged models, searched among all of them where a filter on tags is refused.

    The API's reference does not say which conditions its search takes.
    """

    def _found(
        self, experiment_ids: Sequence[str], condition: str = "", *, for_copies: bool = False
    ) -> Iterator[LoggedModel]:
        try:
            yield from super()._found(experiment_ids, condition, for_copies=for_copies)
        except Refused:
            if not condition:
                raise
            for model in super()._found(experiment_ids):
                origin = model.tags.get(ORIGIN)
                if origin and ("LIKE" in condition or f"'{origin}'" in condition):
                    yield model
