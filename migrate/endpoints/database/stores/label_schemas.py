"""The label schemas of a database (MLflow 3.14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from migrate.endpoints.database.json_columns import json_of
from migrate.endpoints.database.reading import Row
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import as_object, required_text
from migrate.kinds import Kind
from migrate.records.label_schemas import LabelSchema


class LabelSchemaStore(RecordStore[LabelSchema]):
    """Label schemas, the default questions of experiments among them."""

    kind = Kind.LABEL_SCHEMA
    record = LabelSchema
    table = "label_schemas"
    key = "schema_id"
    made = "created_time"
    columns = {"created_at": "created_time", "last_updated_at": "last_update_time"}  # noqa: RUF012
    flags = ("enable_comment", "is_default")
    words = ("type",)
    others = ("input_type", "input_config")
    contained = True

    def _more(self, rows: Sequence[Row]) -> More:
        return lambda row: {"input": _input(row)}


def _input(row: Row) -> Mapping[str, Any]:
    """Return how a schema is answered, as the API gives it: without what is not set."""
    config = as_object(json_of(row, "input_config"), "input_config")
    given = {name: value for name, value in config.items() if value is not None}
    return {required_text(row, "input_type"): given}
