"""Copies label schemas. Nothing on one says whose copy it is: it is found by its name."""

from __future__ import annotations

from collections.abc import Iterator

from migrate.endpoints.stores import Identity
from migrate.kinds import Kind, Ref
from migrate.records.label_schemas import LabelSchema
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.wanted import Place, Wanted

#: What each endpoint gives out itself.
_GIVEN_OUT = frozenset(
    {"schema_id", "experiment_id", "created_at", "created_by", "last_updated_at"}
)


class LabelSchemas(RecordCarrier[LabelSchema]):
    """Label schemas of experiments."""

    kind = Kind.LABEL_SCHEMA
    colours = ("#e8f4f8", "#2a6f8a")

    def ref(self, record: LabelSchema) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(self.kind, record.schema_id)

    def name(self, record: LabelSchema) -> str:
        """See ``RecordCarrier.name``."""
        return record.name

    def container(self, record: LabelSchema) -> str:
        """See ``RecordCarrier.container``."""
        return record.experiment_id

    def key(self, record: LabelSchema, identity: Identity) -> str:
        """See ``RecordCarrier.key``."""
        return record.name if identity is Identity.NAMED else record.schema_id

    def wanted(self, record: LabelSchema, place: Place) -> Wanted[LabelSchema]:
        """See ``RecordCarrier.wanted``."""
        return Wanted(record)

    def differences(
        self, wanted: LabelSchema, copy: LabelSchema
    ) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``. What MLflow makes itself is as it makes it there."""
        if wanted.is_default and copy.is_default:
            return
        for what, old, new in super().differences(wanted, copy):
            if what not in _GIVEN_OUT:
                yield what, old, new
