"""Webhooks of a tracking server's registry (MLflow 3.3)."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from migrate.endpoints.stores import Bookkeeping, Found, Identity
from migrate.endpoints.tracking.entries import Entries, Form, Told
from migrate.endpoints.tracking.http.session import HttpSession, read_once
from migrate.endpoints.tracking.parts import WEBHOOKS as PART
from migrate.errors import NotFound
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.webhooks import Webhook, WebhookEvent

WEBHOOKS = PART.path
PER_PAGE = 1000
FORM = Form(Kind.WEBHOOK, lambda entry: Told(told_id(entry, "webhook_id")))


class WebhookStore:
    """Implements ``Store`` for webhooks. Whether one is on is set when it is made, never later."""

    kind = Kind.WEBHOOK
    part = PART
    identity = Identity.NAMED
    bookkeeping = Bookkeeping.NONE

    def __init__(self, http: HttpSession, entries: Entries) -> None:
        self._http = http
        self._entries = entries

    def list(self, containers: Sequence[str]) -> Iterator[Webhook]:
        """See ``Store.list``."""
        pages = self._http.get_pages(WEBHOOKS, {"max_results": PER_PAGE})
        found = self._entries.all(pages, "webhooks", FORM, webhook_from)
        yield from sorted(found, key=lambda it: (it.creation_timestamp or 0, it.webhook_id))

    def read(self, ids: Sequence[str]) -> builtins.list[Webhook]:
        """See ``Store.read``."""
        found = []
        for webhook_id in ids:
            with suppress(NotFound):
                found.append(webhook_from(required(self._http.get(_path(webhook_id)), "webhook")))
        return found

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Webhook]]]:
        """See ``Store.find``."""
        found: dict[str, builtins.list[Found[Webhook]]] = {}
        for webhook in self.list(()):
            if keys is None or webhook.key in keys:
                found.setdefault(webhook.key, []).append(Found(webhook))
        return found

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
