"""A whole kind: its record and its carrier. Jobs, which the tool does not copy, are in experiments
here, and name a run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from migrate.endpoints.stores import Bookkeeping
from migrate.kinds import Kind, Ref
from migrate.origins import ORIGIN, SOURCE, without_bookkeeping
from migrate.outcomes import LeftOut, LeftOutCode
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.wanted import Need, Place, Wanted


def put_into_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let experiments hold jobs."""
    monkeypatch.setitem(vars(Kind.JOB), "container", Kind.EXPERIMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that is done for a run."""

    job_id: str
    experiment_id: str = ""
    title: str = ""
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Jobs(RecordCarrier[Job]):
    """Jobs. Where a target gives out ids, the origin is among the tags of a copy."""

    kind = Kind.JOB
    together = 3
    colours = ("#ffffff", "#000000")

    def ref(self, record: Job) -> Ref:
        return Ref(Kind.JOB, record.job_id)

    def name(self, record: Job) -> str:
        return record.title

    def container(self, record: Job) -> str:
        return record.experiment_id

    def left_out(self, record: Job) -> LeftOut | None:
        is_draft = record.title.startswith("draft")
        return LeftOut(LeftOutCode.KIND, "a draft") if is_draft else None

    def needs(self, record: Job) -> Iterable[Need]:
        if record.run_id:
            yield Need(Ref(Kind.RUN, record.run_id), "the run of")

    def wanted(self, record: Job, place: Place) -> Wanted[Job]:
        if place.store.bookkeeping is not Bookkeeping.TAGS:
            return Wanted(record)
        tags = {**record.tags, ORIGIN: record.job_id}
        run_id, warnings = "", ()
        if record.run_id:
            run_id = place.copies.get(Ref(Kind.RUN, record.run_id), "")
            tags |= {SOURCE + "run_id": record.run_id}
            warnings = () if run_id else (f"its run {record.run_id} is not copied",)
        return Wanted(dataclasses.replace(record, tags=tags, run_id=run_id), (), warnings)

    def differences(self, wanted: Job, copy: Job) -> Iterator[tuple[str, object, object]]:
        for what, old, new in super().differences(_comparable(wanted), _comparable(copy)):
            if what not in ("job_id", "experiment_id"):
                yield what, old, new


def _comparable(job: Job) -> Job:
    return dataclasses.replace(job, tags=dict(without_bookkeeping(job.tags)))
