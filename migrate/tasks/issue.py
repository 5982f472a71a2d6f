"""Copies issues. Nothing on one says whose copy it is: it is found by name and description."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from migrate.endpoints.stores import Identity
from migrate.kinds import Kind, Ref, run_ref
from migrate.outcomes import Loss
from migrate.records.issues import OPEN, SINCE_3_18, Issue
from migrate.tasks.added import joined
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.wanted import Need, Place, Wanted

#: What each endpoint gives out itself.
_GIVEN_OUT = frozenset({"issue_id", "experiment_id", "created_timestamp", "last_updated_timestamp"})


class Issues(RecordCarrier[Issue]):
    """Issues of experiments, each with the run that found it."""

    kind = Kind.ISSUE
    colours = ("#fbdcdc", "#b3261e")

    def ref(self, record: Issue) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(Kind.ISSUE, record.issue_id)

    def name(self, record: Issue) -> str:
        """See ``RecordCarrier.name``."""
        return record.name

    def container(self, record: Issue) -> str:
        """See ``RecordCarrier.container``."""
        return record.experiment_id

    def key(self, record: Issue, identity: Identity) -> str:
        """See ``RecordCarrier.key``."""
        return record.key if identity is Identity.NAMED else record.issue_id

    def needs(self, record: Issue) -> Iterable[Need]:
        """See ``RecordCarrier.needs``."""
        if record.source_run_id:
            yield Need(run_ref(record.source_run_id), "the run that found")

    def wanted(self, record: Issue, place: Place) -> Wanted[Issue]:
        """See ``RecordCarrier.wanted``."""
        losses: tuple[Loss, ...] = ()
        if not place.target.issue_metadata:
            losses += tuple(Loss(it, "MLflow has it since 3.18") for it in record.lost_before_3_18)
            record = record.before_3_18
        if not record.source_run_id or place.target.archive:
            return Wanted(record, losses)
        copy = place.copies.get(run_ref(record.source_run_id), "")
        if not copy:
            losses += (Loss("source_run_id", f"its run {record.source_run_id} is not copied"),)
        return Wanted(dataclasses.replace(record, source_run_id=copy), losses)

    def with_added(self, wanted: Issue, copy: Issue) -> Wanted[Issue]:
        """See ``RecordCarrier.with_added``: metadata, and what became of one that was open."""
        if wanted.status == OPEN:
            wanted = dataclasses.replace(wanted, status=copy.status)
        if wanted.is_of_3_18 and copy.is_of_3_18:
            metadata = joined(wanted.metadata, copy.metadata)
            wanted = dataclasses.replace(wanted, metadata=metadata)
        return Wanted(wanted)

    def differences(self, wanted: Issue, copy: Issue) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``."""
        unknown = set() if wanted.is_of_3_18 else set(SINCE_3_18)
        unknown |= set() if wanted.last_updated_by else {"last_updated_by"}
        for what, old, new in super().differences(wanted, copy):
            if what not in _GIVEN_OUT | unknown:
                yield what, old, new
