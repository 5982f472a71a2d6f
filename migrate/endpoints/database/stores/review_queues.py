"""The review queues of a database (MLflow 3.14), with their items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migrate.endpoints.database.reading import Row
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import text
from migrate.kinds import Kind
from migrate.records.review_queues import ReviewItem, ReviewQueue


class ReviewQueueStore(RecordStore[ReviewQueue]):
    """Review queues of experiments."""

    kind = Kind.REVIEW_QUEUE
    record = ReviewQueue
    table = "review_queues"
    key = "queue_id"
    made = "creation_time_ms"
    words = ("queue_type",)
    contained = True

    def _more(self, rows: Sequence[Row]) -> More:
        users = self._below(rows, "review_queue_users", ("user_id",))
        schemas = self._below(rows, "review_queue_label_schemas", ("schema_id",))
        items = self._below(rows, "review_queue_items", ReviewItem._fields)
        return lambda row: {
            "users": sorted(text(it, "user_id") for it in users[row[self.key]]),
            "schema_ids": sorted(text(it, "schema_id") for it in schemas[row[self.key]]),
            "items": sorted(map(_item, items[row[self.key]]), key=lambda it: str(it["item_id"])),
        }


def _item(row: Row) -> dict[str, Any]:
    told = {name: row[name] for name in ReviewItem._fields if row[name] is not None}
    return told | {name: text(row, name).upper() for name in ("item_type", "status")}
