"""A whole kind: its record and its carrier. Label schemas are in experiments and name a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from migrate.endpoints.stores import Bookkeeping
from migrate.kinds import Kind, Ref
from migrate.origins import ORIGIN, SOURCE, without_bookkeeping
from migrate.outcomes import LeftOut, LeftOutCode
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.wanted import Need, Place, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSchema:
    """Something that is wrong with a run."""

    schema_id: str
    experiment_id: str = ""
    title: str = ""
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class LabelSchemas(RecordCarrier[LabelSchema]):
    """Label schemas. Where a target gives out ids, the origin is among the tags of a copy."""

    kind = Kind.LABEL_SCHEMA
    together = 3
    colours = ("#ffffff", "#000000")

    def ref(self, record: LabelSchema) -> Ref:
        return Ref(Kind.LABEL_SCHEMA, record.schema_id)

    def name(self, record: LabelSchema) -> str:
        return record.title

    def container(self, record: LabelSchema) -> str:
        return record.experiment_id

    def left_out(self, record: LabelSchema) -> LeftOut | None:
        is_draft = record.title.startswith("draft")
        return LeftOut(LeftOutCode.KIND, "a draft") if is_draft else None

    def needs(self, record: LabelSchema) -> Iterable[Need]:
        if record.run_id:
            yield Need(Ref(Kind.RUN, record.run_id), "the run of")

    def wanted(self, record: LabelSchema, place: Place) -> Wanted[LabelSchema]:
        if place.store.bookkeeping is not Bookkeeping.TAGS:
            return Wanted(record)
        tags = {**record.tags, ORIGIN: record.schema_id}
        run_id, warnings = "", ()
        if record.run_id:
            run_id = place.copies.get(Ref(Kind.RUN, record.run_id), "")
            tags |= {SOURCE + "run_id": record.run_id}
            warnings = () if run_id else (f"its run {record.run_id} is not copied",)
        return Wanted(dataclasses.replace(record, tags=tags, run_id=run_id), (), warnings)

    def differences(
        self, wanted: LabelSchema, copy: LabelSchema
    ) -> Iterator[tuple[str, object, object]]:
        for what, old, new in super().differences(_comparable(wanted), _comparable(copy)):
            if what not in ("schema_id", "experiment_id"):
                yield what, old, new


def _comparable(schema: LabelSchema) -> LabelSchema:
    return dataclasses.replace(schema, tags=dict(without_bookkeeping(schema.tags)))
