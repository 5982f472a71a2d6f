"""Copies evaluation datasets: first what they are, then their records, page by page."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from migrate.endpoints.stores import Bookkeeping, HoldsContents, Identity
from migrate.kinds import Kind, Ref, experiment_ref
from migrate.origins import MIGRATION, ORIGIN, SOURCE, carried_tags, keep_earlier
from migrate.outcomes import Loss
from migrate.records.evaluation_datasets import DatasetRecord, EvaluationDataset
from migrate.tasks.added import joined
from migrate.tasks.carrier import RecordCarrier, differing
from migrate.tasks.fingerprint import digest_of
from migrate.tasks.wanted import Need, Place, Wanted

NOT_THERE = ("", "")
Holder = HoldsContents[EvaluationDataset, DatasetRecord]


class EvaluationDatasets(RecordCarrier[EvaluationDataset]):
    """Evaluation datasets; no experiment holds one, though it may belong to several."""

    kind = Kind.EVALUATION_DATASET
    together = 5
    belongs_to = Kind.EXPERIMENT
    colours = ("#e3f0d3", "#5a7d1a")

    def ref(self, record: EvaluationDataset) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(self.kind, record.dataset_id)

    def name(self, record: EvaluationDataset) -> str:
        """See ``RecordCarrier.name``."""
        return record.name

    def key(self, record: EvaluationDataset, identity: Identity) -> str:
        """See ``RecordCarrier.key``: names are not unique."""
        return record.dataset_id

    def needs(self, record: EvaluationDataset) -> Iterable[Need]:
        """See ``RecordCarrier.needs``."""
        for ident in record.experiment_ids:
            yield Need(experiment_ref(ident), "an experiment of", along=False)

    def digest(self, record: EvaluationDataset) -> str:
        """See ``RecordCarrier.digest``: MLflow's own say whether the records have changed."""
        ours = [record.name, sorted(record.tags.items()), sorted(record.experiment_ids)]
        return digest_of([*ours, record.digest, record.profile, record.last_update_time])

    def wanted(self, record: EvaluationDataset, place: Place) -> Wanted[EvaluationDataset]:
        """See ``RecordCarrier.wanted``."""
        if place.store.bookkeeping is not Bookkeeping.TAGS:
            return Wanted(record)
        copies = {it: place.copies.get(experiment_ref(it)) for it in record.experiment_ids}
        tags = keep_earlier(record.tags)
        tags |= {ORIGIN: record.dataset_id, MIGRATION: place.policy.migration_id}
        if place.store.identity is not Identity.KEPT:
            times = ("created_time", "last_update_time", "created_by", "last_updated_by")
            tags |= {SOURCE + it: str(value) for it in times if (value := getattr(record, it))}
        warnings = []
        if missing := sorted(it for it, copy in copies.items() if copy is None):
            tags[SOURCE + "experiment_ids"] = json.dumps(missing)
            warnings.append(f"its experiments {', '.join(missing)} are not among those copied")
        there = tuple(copy for copy in copies.values() if copy is not None)
        wanted = dataclasses.replace(record, experiment_ids=there, tags=tags)
        return Wanted(wanted, (), tuple(warnings))

    def differences(
        self, wanted: EvaluationDataset, copy: EvaluationDataset
    ) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``; MLflow makes schema and profile of the records."""
        if wanted.name != copy.name:
            yield "name", wanted.name, copy.name
        for key, old, new in differing(carried_tags(wanted.tags), carried_tags(copy.tags)):
            yield f"tag {key}", old, new
        if not set(wanted.experiment_ids) <= set(copy.experiment_ids):
            yield "experiments", sorted(wanted.experiment_ids), sorted(copy.experiment_ids)

    def with_added(
        self, wanted: EvaluationDataset, copy: EvaluationDataset
    ) -> Wanted[EvaluationDataset]:
        """See ``RecordCarrier.with_added``: tags."""
        tags = joined(wanted.tags, carried_tags(copy.tags))
        return Wanted(dataclasses.replace(wanted, tags=tags))

    def fill(
        self,
        original: EvaluationDataset,
        copy: EvaluationDataset,
        source: Holder,
        target: Holder,
        *,
        exact: bool,
    ) -> Sequence[Loss]:
        """See ``RecordCarrier.fill``. A record that differs is made anew.

        MLflow merges what comes with the inputs of one that is there.
        """
        existing = {
            it.key: (it.content, it.dataset_record_id)
            for page in target.contents(copy)
            for it in page
        }
        losses: list[Loss] = []
        wanted: set[str] = set()
        for page in _fields_first(source.contents, original):
            wanted.update(it.key for it in page)
            missing = [it for it in page if existing.get(it.key, NOT_THERE)[0] != it.content]
            outdated = [existing[it.key][1] for it in missing if it.key in existing]
            target.remove(copy, outdated)
            losses += target.add(copy, missing)
        if exact:
            added = [ident for key, (_, ident) in existing.items() if key not in wanted]
            target.remove(copy, added)
        return losses

    def compare_contents(
        self, original: EvaluationDataset, copy: EvaluationDataset, source: Holder, target: Holder
    ) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.compare_contents``."""
        existing = {it.key: it.content for page in target.contents(copy) for it in page}
        for page in source.contents(original):
            for it in page:
                found = existing.pop(it.key, None)
                if found != it.content:
                    state = "missing" if found is None else "another"
                    yield f"record {it.key[:12]}", "as at the source", state
        for key in existing:
            yield f"record {key[:12]}", None, "on the target only"


def _fields_first(
    contents: Callable[[EvaluationDataset], Iterator[Sequence[DatasetRecord]]],
    original: EvaluationDataset,
) -> Iterator[Sequence[DatasetRecord]]:
    """Yield the records of a dataset, in the end those whose outputs have no fields.

    MLflow notes the type of such outputs in place of fields, and then fails at any that has some.
    """
    again = False
    for page in contents(original):
        plain = [it for it in page if not isinstance(it.outputs, Mapping | None)]
        again = again or bool(plain)
        yield [it for it in page if isinstance(it.outputs, Mapping | None)]
    for page in contents(original) if again else ():
        yield [it for it in page if not isinstance(it.outputs, Mapping | None)]
