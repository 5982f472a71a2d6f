"""The webhooks of a database (MLflow 3.3), without their secrets, which are not read."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.endpoints.database.reading import Row, is_
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import text
from migrate.kinds import Kind
from migrate.records.webhooks import Webhook

_EVENT = ("entity", "action")


class WebhookStore(RecordStore[Webhook]):
    """Webhooks of a registry; rows of deleted ones stay in the table."""

    kind = Kind.WEBHOOK
    record = Webhook
    table = "webhooks"
    key = "webhook_id"
    made = "creation_timestamp"
    listed = (is_("deleted_timestamp", None),)

    def _more(self, rows: Sequence[Row]) -> More:
        events = self._below(rows, "webhook_events", _EVENT)
        return lambda row: {
            "events": sorted(
                ({name: text(it, name).upper() for name in _EVENT} for it in events[row[self.key]]),
                key=lambda event: (event["entity"], event["action"]),
            )
        }
