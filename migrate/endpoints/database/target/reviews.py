"""Label schemas and review queues of a database that is written to."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence

from migrate.endpoints.database.reading import Row, is_
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.database.stores.label_schemas import LabelSchemaStore
from migrate.endpoints.database.stores.review_queues import ReviewQueueStore
from migrate.endpoints.database.target.below import Below
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.stores import Identity
from migrate.errors import Refused
from migrate.objects import Loss
from migrate.records.label_schemas import LabelSchema
from migrate.records.review_queues import ReviewQueue

#: What MLflow keeps of each way to answer, also where it is not set.
_SET = {
    "pass_fail": ("positive_label", "negative_label"),
    "categorical": ("options", "multi_select"),
    "numeric": ("min_value", "max_value"),
    "text": ("max_length",),
}
_USERS, _SCHEMAS = "review_queue_users", "review_queue_label_schemas"
_ITEMS = "review_queue_items"


class WrittenLabelSchemaStore(WrittenRecordStore[LabelSchema], LabelSchemaStore):
    """Label schemas; which one is an experiment's default question stays as it is."""

    identity = Identity.NAMED
    named = ("name", "name")
    times = ("created_time", "last_update_time")
    own = ("is_default",)

    def _given(self, transaction: Transaction, record: LabelSchema) -> Row:
        if len(record.input) != 1:
            raise Refused(f"a label schema is answered in one way, not in {len(record.input)}")
        [(kind, config)] = record.input.items()
        said = {**dict.fromkeys(_SET.get(kind, ())), **config}
        return {"input_type": kind, "input_config": json.dumps(said)}


class WrittenReviewQueueStore(WrittenRecordStore[ReviewQueue], ReviewQueueStore):
    """Review queues, with such items as are traces of their experiment here."""

    identity = Identity.NAMED
    named = ("name_key", "key")
    times = ("creation_time_ms", "last_update_time_ms")
    below = (
        Below(_USERS, "queue_id", ("user_id",)),
        Below(_SCHEMAS, "queue_id", ("schema_id",)),
        Below(
            _ITEMS,
            "queue_id",
            ("item_id",),
            times=("creation_time_ms", "last_update_time_ms"),
        ),
    )

    def _fitting(
        self, container: str, wanted: ReviewQueue, there: ReviewQueue | None
    ) -> tuple[ReviewQueue, Sequence[Loss]]:
        within = [is_("experiment_id", number) for number in numbers([container])]
        ids = [it.item_id for it in wanted.items]
        found = self._database.rows_of("trace_info", ("request_id",), "request_id", ids, *within)
        known = {row["request_id"] for row in found}
        lost = [it.item_id for it in wanted.items if it.item_id not in known]
        fitting = tuple(it for it in wanted.items if it.item_id in known)
        why = "its trace is not in the copy of the experiment"
        losses = tuple(Loss(f"item {it}", why) for it in lost)
        return dataclasses.replace(wanted, items=fitting), losses

    def _given(self, transaction: Transaction, record: ReviewQueue) -> Row:
        return {"name_key": record.key}

    def _rows_below(
        self, transaction: Transaction, record: ReviewQueue, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        return {
            _USERS: [{"user_id": it} for it in record.users],
            _SCHEMAS: [{"schema_id": it} for it in record.schema_ids],
            _ITEMS: [
                {
                    "item_id": it.item_id,
                    "item_type": it.item_type.lower(),
                    "status": it.status.lower(),
                    "completed_by": it.completed_by or None,
                    "completed_time_ms": it.completed_time_ms,
                    "creation_time_ms": it.creation_time_ms,
                    "last_update_time_ms": it.last_update_time_ms,
                }
                for it in record.items
            ],
        }
