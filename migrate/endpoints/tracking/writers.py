"""Tags of experiments in which migrations say that they are writing to a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from migrate.endpoints.tracking.stores.experiments import ExperimentStore
from migrate.errors import EndpointError, NoSuchRoute, NotAuthenticated, NotFound, NotPermitted
from migrate.objects import ACTIVE
from migrate.origins import WRITING

#: Experiments that are tried: an account may not write to each.
PLACES = 5


class WriterTags:
    """See ``SaysWhoWrites``. One tag for each migration, on any experiment it may write to."""

    def __init__(self, experiments: ExperimentStore) -> None:
        self._experiments = experiments

    def read(self) -> Mapping[str, str]:
        """See ``SaysWhoWrites.read``."""
        return {
            key.removeprefix(WRITING): text
            for experiment in self._experiments.list()
            for key, text in experiment.tags.items()
            if key.startswith(WRITING)
        }

    def write(self, migration_id: str, text: str, near: Sequence[str]) -> bool:
        """See ``SaysWhoWrites.write``."""
        tag = WRITING + migration_id
        active = [it for it in self._experiments.list() if it.lifecycle_stage == ACTIVE]
        # The sort is stable: those that have it already, those near, then the oldest.
        active.sort(key=lambda it: (tag not in it.tags, it.experiment_id not in near))
        for experiment in islice(active, PLACES):
            try:
                refused = self._experiments.set_tags(experiment.experiment_id, {tag: text})
            except (NotPermitted, NoSuchRoute, NotFound):
                continue
            if not refused:
                return True
        return False

    def remove(self, migration_id: str) -> bool:
        """See ``SaysWhoWrites.remove``."""
        tag = WRITING + migration_id
        found = False
        for experiment in self._experiments.list():
            if not experiment.tags.get(tag):
                continue
            found = True
            try:
                self._experiments.remove_tags(experiment.experiment_id, [tag])
            except NotAuthenticated:
                raise
            except EndpointError:
                self._end(experiment.experiment_id, tag)
        return found

    def _end(self, experiment_id: str, tag: str) -> None:
        """Have a tag say that nobody writes any more, where a server of some age keeps it."""
        if any(tag in it.tags for it in self._experiments.read([experiment_id])):
            self._experiments.set_tags(experiment_id, {tag: "ended"})
