"""The kinds of a tracking server that are only counted: how each is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from migrate.endpoints.tracking.parts import (
    GATEWAY,
    GATEWAY_BUDGETS,
    GATEWAY_ENDPOINTS,
    GATEWAY_GUARDRAILS,
    GATEWAY_MODELS,
    GATEWAY_SECRETS,
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
    """A kind, the part of the API that tells of it, and the list in its answers.

    ``path`` lists the objects where the part only shows that there is such a thing. ``needs`` is
    the kind without which it cannot be there: as the lists of both take anything, that is the only
    evidence against an empty one.
    """

    kind: Kind
    part: Part
    key: str
    path: str = ""
    needs: Kind | None = None


#: What belongs to no experiment: it is only missed where the whole server is copied.
OF_SERVER = (
    Counted(
        kind=Kind.GATEWAY_ENDPOINT,
        part=GATEWAY_ENDPOINTS,
        key="endpoints",
        path=f"{GATEWAY}/endpoints/list",
        needs=Kind.GATEWAY_MODEL,
    ),
    Counted(
        kind=Kind.GATEWAY_MODEL,
        part=GATEWAY_MODELS,
        key="model_definitions",
        path=f"{GATEWAY}/model-definitions/list",
        needs=Kind.GATEWAY_SECRET,
    ),
    Counted(
        kind=Kind.GATEWAY_SECRET,
        part=GATEWAY_SECRETS,
        key="secrets",
        path=f"{GATEWAY}/secrets/list",
    ),
    Counted(kind=Kind.GATEWAY_BUDGET, part=GATEWAY_BUDGETS, key="budget_policies"),
    Counted(kind=Kind.GATEWAY_GUARDRAIL, part=GATEWAY_GUARDRAILS, key="guardrails"),
)
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
