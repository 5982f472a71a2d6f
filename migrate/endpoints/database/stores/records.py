"""The kinds of a database whose objects are records."""

from __future__ import annotations

from typing import Any

from migrate.endpoints.database.stores.evaluation_datasets import EvaluationDatasetStore
from migrate.endpoints.database.stores.gateway import (
    GatewayBudgetStore,
    GatewayEndpointStore,
    GatewayGuardrailStore,
    GatewayModelStore,
    GatewaySecretStore,
)
from migrate.endpoints.database.stores.issues import IssueStore
from migrate.endpoints.database.stores.label_schemas import LabelSchemaStore
from migrate.endpoints.database.stores.mcp_servers import MCPServerStore
from migrate.endpoints.database.stores.record import RecordStore
from migrate.endpoints.database.stores.review_queues import ReviewQueueStore
from migrate.endpoints.database.stores.scorers import ScorerStore
from migrate.endpoints.database.stores.webhooks import WebhookStore

RECORDS: tuple[type[RecordStore[Any]], ...] = (
    EvaluationDatasetStore,
    ScorerStore,
    IssueStore,
    LabelSchemaStore,
    ReviewQueueStore,
    WebhookStore,
    MCPServerStore,
    GatewaySecretStore,
    GatewayModelStore,
    GatewayEndpointStore,
    GatewayBudgetStore,
    GatewayGuardrailStore,
)
