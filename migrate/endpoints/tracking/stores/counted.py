"""The kinds of a tracking server that are only counted: how each is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from migrate.endpoints.tracking.parts import (
    WORKSPACE_WEBHOOKS,
    Part,
)
from migrate.endpoints.tracking.stores.evaluation_datasets import EvaluationDatasetStore
from migrate.endpoints.tracking.stores.issues import IssueStore
from migrate.endpoints.tracking.stores.label_schemas import LabelSchemaStore
from migrate.endpoints.tracking.stores.review_queues import ReviewQueueStore
from migrate.endpoints.tracking.stores.scorers import ScorerStore
from migrate.endpoints.tracking.stores.webhooks import WebhookStore
from migrate.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A kind, the part of the API that tells of it, and the list in its answers."""

    kind: Kind
    part: Part
    key: str


#: A workspace of Databricks lists its webhooks elsewhere, and publishes no route for what is made
#: for traces or of them.
OF_WORKSPACE = Counted(kind=WebhookStore.kind, part=WORKSPACE_WEBHOOKS, key="webhooks")
OF_TRACES = (
    EvaluationDatasetStore.kind,
    ScorerStore.kind,
    IssueStore.kind,
    LabelSchemaStore.kind,
    ReviewQueueStore.kind,
)
