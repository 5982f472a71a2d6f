"""The evaluation datasets of a database (MLflow 3.4), and their records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrate.endpoints.database.json_columns import json_of
from migrate.endpoints.database.reading import Row, is_
from migrate.endpoints.database.stores.entries import grouped, pairs
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.dataset_records import record_from
from migrate.endpoints.shapes import as_object, ident, text
from migrate.errors import Malformed
from migrate.kinds import Kind
from migrate.records.evaluation_datasets import DatasetRecord, EvaluationDataset

#: Records in one page.
RECORDS = 100
_JSON = ("inputs", "outputs", "expectations", "tags", "source")
_ID = "dataset_record_id"
_OTHERS = ("created_time", "last_update_time", "created_by", "last_updated_by")
#: Around what is no object, and what is one too.
WRAPPED = "mlflow_wrapped"
_DATASET, _EXPERIMENT = "evaluation_dataset", "experiment"


class EvaluationDatasetStore(RecordStore[EvaluationDataset]):
    """Evaluation datasets; ``HoldsContents`` too, as far as that reads."""

    kind = Kind.EVALUATION_DATASET
    record = EvaluationDataset
    table = "evaluation_datasets"
    key = "dataset_id"
    made = "created_time"

    def _more(self, rows: Sequence[Row]) -> More:
        tags = self._below(rows, "evaluation_dataset_tags", ("key", "value"))
        ends = (is_("source_type", _DATASET), is_("destination_type", _EXPERIMENT))
        ids = [row[self.key] for row in rows]
        columns = ("source_id", "destination_id")
        linked = grouped(
            self._database.rows_of("entity_associations", columns, "source_id", ids, *ends),
            "source_id",
        )
        return lambda row: {
            "tags": pairs(tags[row[self.key]]),
            "experiment_ids": sorted(ident(it, "destination_id") for it in linked[row[self.key]]),
        }

    def contents(self, holder: EvaluationDataset) -> Iterator[Sequence[DatasetRecord]]:
        """See ``HoldsContents.contents``. Raises ``Malformed``, with the id of the record."""
        where = is_(self.key, holder.dataset_id)
        table, columns = "evaluation_dataset_records", (_ID, *_JSON, *_OTHERS)
        for page in self._database.pages(table, columns, (_ID,), RECORDS, where):
            yield [*map(_record, page)]


def _record(row: Row) -> DatasetRecord:
    try:
        told = {name: json_of(row, name) for name in _JSON}
        if told["outputs"] is not None:
            told["outputs"] = as_object(told["outputs"], "outputs").get(WRAPPED)
        given = {name: row[name] for name in (_ID, *_OTHERS) if row[name] is not None}
        return record_from({**told, **given})
    except Malformed as problem:
        raise problem.within(f"record {text(row, _ID)}") from None
