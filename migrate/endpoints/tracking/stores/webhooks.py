"""Webhooks of a tracking server's registry (MLflow 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from migrate.endpoints.shapes import (
    Object,
    ident,
    integer,
    objects,
    required,
    required_text,
    text,
    told_id,
)
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.parts import WEBHOOKS as PART
from migrate.endpoints.tracking.stores.record import KeyedStore
from migrate.errors import NotFound
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.webhooks import Webhook, WebhookEvent

WEBHOOKS = PART.path
PER_PAGE = 1000
FORM = Form(Kind.WEBHOOK, lambda entry: Told(told_id(entry, "webhook_id")))


class WebhookStore(KeyedStore[Webhook]):
    """Webhooks of a registry. Whether one is on is set when it is made, never later."""

    kind = Kind.WEBHOOK
    part = PART
    of_registry = True

    def list(self, containers: Sequence[str]) -> Iterator[Webhook]:
        """See ``Store.list``."""
        pages = self._http.get_pages(WEBHOOKS, {"max_results": PER_PAGE})
        found = self._entries.all(pages, "webhooks", FORM, webhook_from)
        yield from sorted(found, key=lambda it: (it.creation_timestamp or 0, it.webhook_id))

    def _read(self, ident: str) -> Webhook:
        return webhook_from(required(self._http.get(_path(ident)), "webhook"))

    def create(self, container: str, wanted: Webhook) -> Webhook:
        """See ``Store.create``."""
        body = {**_fields(wanted), "status": wanted.status}
        answer = self._http.post(WEBHOOKS, body, idempotent=False)
        with read_once():
            return webhook_from(required(answer, "webhook"))

    def finish(
        self, copy: Webhook, wanted: Webhook, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``."""
        old, new = _fields(copy), _fields(wanted)
        path = _path(copy.webhook_id)
        if changed := {name: value for name, value in new.items() if value != old[name]}:
            self._http.change("PATCH", path, {"webhook_id": copy.webhook_id, **changed})
        else:
            self._http.get(path)  # it may be gone
        return ()

    def delete(self, copy: Webhook) -> None:
        """See ``Store.delete``."""
        with suppress(NotFound):
            self._http.change("DELETE", _path(copy.webhook_id), {})


def webhook_from(body: Object) -> Webhook:
    """Read a webhook of a list or a GET. Raises ``Malformed``."""
    return Webhook(
        webhook_id=ident(body, "webhook_id"),
        name=text(body, "name"),
        url=text(body, "url"),
        description=text(body, "description"),
        events=tuple(sorted(map(_event_from, objects(body, "events")))),
        status=text(body, "status") or "ACTIVE",
        creation_timestamp=integer(body, "creation_timestamp"),
        last_updated_timestamp=integer(body, "last_updated_timestamp"),
    )


def _event_from(body: Object) -> WebhookEvent:
    return WebhookEvent(required_text(body, "entity"), required_text(body, "action"))


def _fields(webhook: Webhook) -> dict[str, Any]:
    return {
        "name": webhook.name,
        "url": webhook.url,
        "description": webhook.description,
        "events": [event._asdict() for event in webhook.events],
    }


def _path(webhook_id: str) -> str:
    return f"{WEBHOOKS}/{quote(webhook_id, safe='')}"
