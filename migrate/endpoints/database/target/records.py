"""The kinds of a database that is written to whose objects are records."""

from __future__ import annotations

from typing import Any

from migrate.endpoints.database.target.evaluation_datasets import WrittenDatasetStore
from migrate.endpoints.database.target.gateway import (
    WrittenBudgetStore,
    WrittenEndpointStore,
    WrittenGatewayModelStore,
    WrittenGuardrailStore,
    WrittenSecretStore,
)
from migrate.endpoints.database.target.issues import WrittenIssueStore
from migrate.endpoints.database.target.mcp_servers import WrittenMCPServerStore
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.reviews import (
    WrittenLabelSchemaStore,
    WrittenReviewQueueStore,
)
from migrate.endpoints.database.target.scorers import WrittenScorerStore
from migrate.endpoints.database.target.webhooks import WrittenWebhookStore

RECORDS: tuple[type[WrittenRecordStore[Any]], ...] = (
    WrittenDatasetStore,
    WrittenScorerStore,
    WrittenIssueStore,
    WrittenLabelSchemaStore,
    WrittenReviewQueueStore,
    WrittenWebhookStore,
    WrittenMCPServerStore,
    WrittenSecretStore,
    WrittenGatewayModelStore,
    WrittenEndpointStore,
    WrittenBudgetStore,
    WrittenGuardrailStore,
)
