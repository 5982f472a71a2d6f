"""Webhooks: what a registry calls when something of it changes (MLflow 3.3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple


class WebhookEvent(NamedTuple):
    """What a webhook is called for, in MLflow's words, such as ``PROMPT`` and ``CREATED``."""

    entity: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook without its secret, which no server tells; ``status`` is ACTIVE or DISABLED."""

    webhook_id: str
    name: str
    url: str
    description: str = ""
    events: tuple[WebhookEvent, ...] = ()
    status: str = "ACTIVE"
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None

    @property
    def key(self) -> str:
        """By what a webhook is found again where its id is not known: a name is not unique."""
        return json.dumps([self.name, self.url])
