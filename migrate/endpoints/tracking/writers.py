"""Tags of experiments in which migrations say that they are writing to a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import EndpointError, NotAuthenticated, NotFound, NotPermitted
from migrate.objects import ACTIVE, Experiment, Loss
from migrate.origins import WRITING

#: Experiments that are tried: an account may not write to each.
PLACES = 5


class WriterTags(ABC):
    """See ``SaysWhoWrites``. One tag for each migration, on any experiment it may write to."""

    _http: HttpSession
    _registry_http: HttpSession

    @abstractmethod
    def experiments(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.experiments``."""

    @abstractmethod
    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """See ``WritesExperiments.set_experiment_tags``."""

    def writers(self) -> Mapping[str, str]:
        """See ``SaysWhoWrites.writers``."""
        return {
            key.removeprefix(WRITING): text
            for experiment in self.experiments()
            for key, text in experiment.tags.items()
            if key.startswith(WRITING)
        }

    def say_writing(self, migration_id: str, text: str, near: Sequence[str]) -> bool:
        """See ``SaysWhoWrites.say_writing``."""
        tag = WRITING + migration_id
        active = [it for it in self.experiments() if it.lifecycle_stage == ACTIVE]
        # The sort is stable: those that have it already, those near, then the oldest.
        active.sort(key=lambda it: (tag not in it.tags, it.experiment_id not in near))
        for experiment in islice(active, PLACES):
            try:
                refused = self.set_experiment_tags(experiment.experiment_id, {tag: text})
            except (NotPermitted, NotFound):
                continue
            if not refused:
                return True
        return False

    def stop_saying(self, migration_id: str) -> None:
        """See ``SaysWhoWrites.stop_saying``."""
        tag = WRITING + migration_id
        for experiment in self.experiments():
            if not experiment.tags.get(tag):
                continue
            body = {"experiment_id": experiment.experiment_id, "key": tag}
            try:
                path = "/api/2.0/mlflow/experiments/delete-experiment-tag"
                self._http.post(path, body, idempotent=True)
            except NotAuthenticated:
                raise
            except EndpointError:  # a server of that age keeps a tag for ever
                self.set_experiment_tags(experiment.experiment_id, {tag: "ended"})

    def before_creating(self, call: Callable[[], None] | None) -> None:
        """See ``SaysWhoWrites.before_creating``."""
        self._http.before_creating = self._registry_http.before_creating = call
