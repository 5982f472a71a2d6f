"""The webhooks of a database that is written to, which have no secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from migrate.endpoints.database.reading import Row
from migrate.endpoints.database.stores.webhooks import WebhookStore
from migrate.endpoints.database.target.below import Below
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.records.webhooks import Webhook

_EVENTS = "webhook_events"


class WrittenWebhookStore(WrittenRecordStore[Webhook], WebhookStore):
    """Webhooks. Whether one is on is for the user to say, once it has its secret."""

    times = ("creation_timestamp", "last_updated_timestamp")
    own = ("status",)
    below = (Below(_EVENTS, "webhook_id", ("entity", "action")),)

    def _rows_below(
        self, transaction: Transaction, record: Webhook, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        said = (event._asdict() for event in record.events)
        return {_EVENTS: ({name: word.lower() for name, word in it.items()} for it in said)}
