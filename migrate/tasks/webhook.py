"""Copies webhooks, which are disabled on the target: their secrets are not there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from migrate.endpoints.stores import Bookkeeping, Identity
from migrate.kinds import Kind, Ref
from migrate.outcomes import Loss
from migrate.records.webhooks import Webhook
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.wanted import Place, Wanted

DISABLED = "DISABLED"
SECRET = Loss("secret", "no server tells it: where there is one, set it on the copy")
#: What a copy has of its own: whether it is on is for the user to say, once it has its secret.
_OWN = frozenset({"webhook_id", "status", "creation_timestamp", "last_updated_timestamp"})


class Webhooks(RecordCarrier[Webhook]):
    """Webhooks. Nothing on one says whose copy it is: it is found by name and address."""

    kind = Kind.WEBHOOK
    colours = ("#ece6df", "#6d4c41")

    def ref(self, record: Webhook) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(Kind.WEBHOOK, record.webhook_id)

    def name(self, record: Webhook) -> str:
        """See ``RecordCarrier.name``."""
        return record.name

    def key(self, record: Webhook, identity: Identity) -> str:
        """See ``RecordCarrier.key``."""
        return record.key if identity is Identity.NAMED else record.webhook_id

    def wanted(self, record: Webhook, place: Place) -> Wanted[Webhook]:
        """See ``RecordCarrier.wanted``."""
        if place.store.bookkeeping is not Bookkeeping.NONE:
            return Wanted(record, (SECRET,))
        is_on = f"it is {record.status} at the source: enable the copy when all is there"
        warnings = (is_on,) if record.status != DISABLED else ()
        return Wanted(dataclasses.replace(record, status=DISABLED), (SECRET,), warnings)

    def differences(self, wanted: Webhook, copy: Webhook) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``."""
        for what, old, new in super().differences(wanted, copy):
            if what not in _OWN:
                yield what, old, new
