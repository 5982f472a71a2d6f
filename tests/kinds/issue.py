"""A whole kind: its record and its carrier. Issues are in experiments and name a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from migrate.endpoints.stores import Bookkeeping
from migrate.objects import Kind, Ref
from migrate.origins import ORIGIN, SOURCE, without_bookkeeping
from migrate.outcomes import LeftOut, LeftOutCode
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.wanted import Need, Place, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Something that is wrong with a run."""

    issue_id: str
    experiment_id: str = ""
    title: str = ""
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Issues(RecordCarrier[Issue]):
    """Issues. Where a target gives out ids, the origin is among the tags of a copy."""

    kind = Kind.ISSUE
    together = 3
    colours = ("#ffffff", "#000000")

    def ref(self, record: Issue) -> Ref:
        return Ref(Kind.ISSUE, record.issue_id)

    def name(self, record: Issue) -> str:
        return record.title

    def container(self, record: Issue) -> str:
        return record.experiment_id

    def left_out(self, record: Issue) -> LeftOut | None:
        is_draft = record.title.startswith("draft")
        return LeftOut(LeftOutCode.KIND, "a draft") if is_draft else None

    def needs(self, record: Issue) -> Iterable[Need]:
        if record.run_id:
            yield Need(Ref(Kind.RUN, record.run_id), "the run of")

    def wanted(self, record: Issue, place: Place) -> Wanted[Issue]:
        if place.store.bookkeeping is not Bookkeeping.TAGS:
            return Wanted(record)
        tags = {**record.tags, ORIGIN: record.issue_id}
        run_id, warnings = "", ()
        if record.run_id:
            run_id = place.copies.get(Ref(Kind.RUN, record.run_id), "")
            tags |= {SOURCE + "run_id": record.run_id}
            warnings = () if run_id else (f"its run {record.run_id} is not copied",)
        return Wanted(dataclasses.replace(record, tags=tags, run_id=run_id), (), warnings)

    def differences(self, wanted: Issue, copy: Issue) -> Iterator[tuple[str, object, object]]:
        for what, old, new in super().differences(_comparable(wanted), _comparable(copy)):
            if what not in ("issue_id", "experiment_id"):
                yield what, old, new


def _comparable(issue: Issue) -> Issue:
    return dataclasses.replace(issue, tags=dict(without_bookkeeping(issue.tags)))
