"""Knows the copies of runs, logged models and versions: of what is compared, and what it names."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

from migrate.endpoints.answers import Copy
from migrate.graph.contents import copies_in
from migrate.kinds import Kind, Ref, experiment_ref, run_ref
from migrate.objects import Experiment
from migrate.tasks.carrier import ContainedCarrier, RecordCarrier
from migrate.tasks.carriers import carrier_of, contained_carriers
from migrate.tasks.existing_experiments import ExistingExperiments
from migrate.tasks.existing_versions import existing_models, existing_versions
from migrate.tasks.version_files import artifact_uri
from migrate.tasks.version_sources import Place
from migrate.verify.result import Ends


class Copies:
    """What is on the target, by the refs of the source; safe to ask from several threads.

    Of what is not among the experiments compared, it looks for the copy when it is asked: a run
    may name a run of any experiment.
    """

    def __init__(
        self, ends: Ends, at_source: Iterable[Experiment], existing: ExistingExperiments
    ) -> None:
        self._ends = ends
        self._at_source = {item.experiment_id: item for item in at_source}
        self._existing = existing
        self._known: dict[Ref, list[Copy]] = {}
        self._flattened: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def container(self, experiment_id: str) -> Experiment | None:
        """Return the copy of an experiment of the source."""
        experiment = self._at_source.get(experiment_id)
        if experiment is None:
            return None
        name = self._ends.renames.name_for(experiment.ref.kind, experiment.name)
        return self._existing.find(dataclasses.replace(experiment, name=name))

    def load(self, containers: Sequence[str]) -> None:
        """Read the copies of all that these experiments of the target hold, by their origins."""
        searches = [(carrier, place) for carrier in contained_carriers() for place in containers]
        all_found = copies_in(self._ends.target, searches, self._ends.workers)
        for (carrier, _), found in zip(searches, all_found, strict=True):
            self._add(carrier.kind, found)

    def _add(self, kind: Kind, found: Mapping[str, Sequence[Copy]]) -> None:
        for origin, copies in found.items():
            self._known.setdefault(Ref(kind, origin), []).extend(copies)
            for copy in copies:
                if copy.target_id.startswith("runs:/"):
                    run_id, _, folder = copy.target_id.removeprefix("runs:/").partition("/")
                    self._flattened.setdefault(run_id, []).append(folder)

    def add_version(self, ref: Ref, target_id: str) -> None:
        """Note the copy of a version."""
        copy = Copy(origin=ref.id, target_id=target_id, mark="", lifecycle_stage="")
        with self._lock:
            self._known[ref] = [copy]

    def found(self, ref: Ref) -> Sequence[Copy]:
        """Return all copies of a run or logged model of an experiment that is compared."""
        return self._known.get(ref, ())

    def ids(self, refs: Iterable[Ref]) -> dict[Ref, str]:
        """Return the ids of the copies of whatever has one."""
        wanted = set(refs)
        with self._lock:
            # A set less the keys of a dictionary would go through all that is known.
            unknown = sorted(ref for ref in wanted if ref not in self._known)
            for kind in {ref.kind for ref in unknown}:
                self._look_for(kind, [ref.id for ref in unknown if ref.kind is kind])
            return {ref: self._known[ref][0].target_id for ref in wanted if self._known[ref]}

    def names(self, refs: Iterable[Ref]) -> dict[Ref, str]:
        """Return how copies name whatever has a copy, or whatever it is where ids are kept."""
        named, can = set(refs), self._ends.target.capabilities()
        kept = {ref: ref.id for ref in named if can.keeps_id(ref.kind)}
        return kept | self.ids(named - kept.keys())

    def runs(self, run_ids: Iterable[str]) -> dict[str, str]:
        """Return the ids of the copies of runs, by their own."""
        found = self.ids(run_ref(run_id) for run_id in run_ids if run_id)
        return {ref.id: copy for ref, copy in found.items()}

    def flattened_into(self, run_id: str) -> list[str]:
        """Return the folders of a run's copy that logged models went into, for want of such."""
        return self._flattened.get(run_id, [])

    def _look_for(self, kind: Kind, ids: Sequence[str]) -> None:
        self._known |= {Ref(kind, ident): [] for ident in ids}
        carrier = carrier_of(kind)
        if isinstance(carrier, RecordCarrier):
            self._look_for_records(carrier, ids)
        elif isinstance(carrier, ContainedCarrier):
            self._look_for_contents(carrier, ids)
        elif kind.is_version:
            self._look_for_versions(kind, ids)
        else:
            self._look_for_experiments(ids)

    def _look_for_contents(self, carrier: ContainedCarrier, ids: Sequence[str]) -> None:
        places: dict[str, list[str]] = {}
        for record in carrier.originals(self._ends.source).read(ids):
            places.setdefault(record.experiment_id, []).append(record.ref.id)
        for experiment_id, inside in places.items():
            container = self.container(experiment_id)
            if container is not None:
                found = carrier.copies(self._ends.target).find(container.experiment_id, inside)
                kept = {origin: found[origin] for origin in inside if origin in found}
                self._add(carrier.kind, kept)

    def _look_for_records(self, carrier: RecordCarrier[Any], ids: Sequence[str]) -> None:
        source, target = (it.store(carrier.kind) for it in (self._ends.source, self._ends.target))
        if source is None or target is None:
            return
        by_container: dict[str, dict[str, list[Ref]]] = {}
        originals = {carrier.ref(record): record for record in source.read(ids)}
        for record in originals.values():
            keys = by_container.setdefault(carrier.container(record), {})
            keys.setdefault(carrier.key(record, target.identity), []).append(carrier.ref(record))
        for container, keys in by_container.items():
            place = self._place_of(carrier.kind.container, container)
            for key, there in (target.find(place, list(keys)) if place is not None else {}).items():
                same = [originals[ref] for ref in keys[key]]
                found = [
                    it
                    for it in there
                    if it.mark
                    or carrier.adopts
                    or any(carrier.is_same(it.record, original) for original in same)
                ]
                # Originals of one key have a copy each.
                for copy, ref in zip(found, cycle(keys[key])):
                    target_id = carrier.ref(copy.record).id
                    self._known[ref].append(
                        Copy(origin=ref.id, target_id=target_id, mark=copy.mark, lifecycle_stage="")
                    )

    def _place_of(self, kind: Kind | None, container: str) -> str | None:
        """Return the id of the copy of what holds objects; None where there is none."""
        if kind is None:
            return ""
        ref = Ref(kind, container)
        if ref not in self._known:
            self._look_for(kind, [container])
        return self._known[ref][0].target_id if self._known[ref] else None

    def _look_for_experiments(self, ids: Iterable[str]) -> None:
        for ident in ids:
            if copy := self.container(ident):
                stage = copy.lifecycle_stage
                found = Copy(
                    origin=ident, target_id=copy.experiment_id, mark="", lifecycle_stage=stage
                )
                self._known[experiment_ref(ident)].append(found)

    def _look_for_versions(self, kind: Kind, ids: Iterable[str]) -> None:
        target = self._ends.target
        for ref in (Ref(kind, ident) for ident in ids):
            version = self._ends.source.model_versions.read(ref)
            if version is None:
                continue
            name = self._ends.renames.name_for(version.model.kind, version.name)
            models = list(existing_models(target, [name]).values())
            for existing in existing_versions(target, models).values():
                for copy in existing.copies_of(version):
                    found = Copy(origin=ref.id, target_id=copy.ref.id, mark="", lifecycle_stage="")
                    self._known[ref].append(found)

    def place(self, owner: Ref) -> Place | None:
        """Return where the files of a run or logged model are, on both ends."""
        copy = self.ids([owner]).get(owner)
        if copy is None or self._known[owner][0].unreadable:
            return None
        original = artifact_uri(self._ends.source, owner)
        copied = artifact_uri(self._ends.target, Ref(owner.kind, copy))
        return Place(original, copied) if original and copied else None
