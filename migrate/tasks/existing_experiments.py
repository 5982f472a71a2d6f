"""The experiments that a target has: which of them is the copy of one of the source."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Target
from migrate.kinds import Kind
from migrate.objects import Experiment
from migrate.origins import ORIGIN, experiment_origin


def is_ours(copy: Experiment, experiment: Experiment) -> bool:
    """Say whether ``copy`` was made from ``experiment`` by this tool."""
    return copy.tags.get(ORIGIN) == experiment_origin(experiment)


def with_origins(found: Iterable[Experiment], target: Capabilities) -> Iterable[Experiment]:
    """Return experiments of a target with their origins; where ids are kept, that is itself."""
    if not target.keeps_id(Kind.EXPERIMENT):
        return found
    return (
        dataclasses.replace(item, tags={**item.tags, ORIGIN: experiment_origin(item)})
        for item in found
    )


class ExistingExperiments:
    """Experiments of a target, with their origins: found by id, origin and name.

    Of several with one origin, the one listed first is the copy.
    """

    def __init__(self, experiments: Iterable[Experiment] = ()) -> None:
        self._by_id: dict[str, Experiment] = {}
        self._by_name: dict[str, Experiment] = {}
        self._by_origin: dict[str, list[Experiment]] = {}
        for item in experiments:
            self._by_id.setdefault(item.experiment_id, item)
            self._by_name.setdefault(item.name, item)
            if ORIGIN in item.tags:
                self._by_origin.setdefault(item.tags[ORIGIN], []).append(item)

    @property
    def by_id(self) -> Mapping[str, Experiment]:
        """All of them."""
        return self._by_id

    @property
    def by_name(self) -> Mapping[str, Experiment]:
        """Those that hold a name, also from the trash."""
        return self._by_name

    def copies_of(self, experiment: Experiment) -> Sequence[Experiment]:
        """Return those made from an experiment of the source by this tool."""
        return self._by_origin.get(experiment_origin(experiment), ())

    def find(self, experiment: Experiment, target_id: str = "") -> Experiment | None:
        """Return the one that is, or stands for, the copy: by id, then origin, then name."""
        if target_id in self._by_id:
            return self._by_id[target_id]
        return next(iter(self.copies_of(experiment)), self._by_name.get(experiment.name))


def experiments_on(target: Target, ids: Sequence[str] | None = None) -> ExistingExperiments:
    """Return the experiments that a target has now: all, or those of these ids."""
    found: Iterable[Experiment] = ()
    if ids is None:
        found = target.experiments.list()
    elif ids:
        found = target.experiments.read(ids)
    return ExistingExperiments(with_origins(found, target.capabilities()))


class _Listing:
    """What a target was seen to have; it is listed again where one is not found."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._existing = ExistingExperiments()

    def find(self, experiment: Experiment, target: Target) -> Experiment | None:
        """Return the copy of an experiment as it is now, also where it has just been made."""
        with self._lock:
            copy = self._seen_before(experiment, target)
            if copy is None:
                self._existing = experiments_on(target)
                copy = self._existing.find(experiment)
            return copy

    def _seen_before(self, experiment: Experiment, target: Target) -> Experiment | None:
        seen = self._existing.find(experiment)
        if seen is None:
            return None
        now = experiments_on(target, [seen.experiment_id])
        return now.find(experiment)


#: One for each target of this process: its experiments are not listed for every batch.
_listings: WeakKeyDictionary[Target, _Listing] = WeakKeyDictionary()
_opening = threading.Lock()


def find_existing(experiment: Experiment, target: Target) -> Experiment | None:
    """Return the experiment of a target that is, or stands for, the copy, by origin or name."""
    with _opening:
        listing = _listings.setdefault(target, _Listing())
    return listing.find(experiment, target)
