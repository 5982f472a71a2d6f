"""Counts what a database has and is not read from it, so that none of it is left out in silence."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.endpoints.database.reading import IDS, Database, Row, among
from migrate.endpoints.database.stores.entries import numbers
from migrate.kinds import Kind

#: What experiments hold, by its table.
_WITHIN = {
    Kind.SCORER: "scorers",
    Kind.ISSUE: "issues",
    Kind.REVIEW_QUEUE: "review_queues",
}
_SCHEMAS = "label_schemas"
#: What nothing holds.
_FREE = {
    Kind.EVALUATION_DATASET: "evaluation_datasets",
    Kind.WEBHOOK: "webhooks",
    Kind.MCP_SERVER: "mcp_servers",
    Kind.GATEWAY_ENDPOINT: "endpoints",
    Kind.GATEWAY_MODEL: "model_definitions",
    Kind.GATEWAY_SECRET: "secrets",
    Kind.GATEWAY_BUDGET: "budget_policies",
    Kind.GATEWAY_GUARDRAIL: "guardrails",
    Kind.JOB: "jobs",
}


def count_unread(
    database: Database, experiment_ids: Sequence[str], *, whole: bool
) -> dict[Kind, int]:
    """Count what is in these experiments, and with ``whole`` what is in none."""
    counts: dict[Kind, int] = {}
    ids = numbers(experiment_ids)
    for start in range(0, len(ids), IDS):
        within = among("experiment_id", ids[start : start + IDS])
        for kind, table in _WITHIN.items():
            counts[kind] = counts.get(kind, 0) + database.count(table, within)
        # The default one MLflow makes by itself, wherever somebody looks.
        schemas: Sequence[Row] = database.rows(_SCHEMAS, ("is_default",), within)
        own = sum(1 for row in schemas if not row["is_default"])
        counts[Kind.LABEL_SCHEMA] = counts.get(Kind.LABEL_SCHEMA, 0) + own
    if whole:
        for kind, table in _FREE.items():
            counts[kind] = database.count(table, *database.here(table))
        counts[Kind.WORKSPACE] = len(_others(database))
    return {kind: number for kind, number in counts.items() if number}


def _others(database: Database) -> set[str]:
    """Return the workspaces with anything in them that are not the one which is read."""
    tables = ("experiments", "registered_models")
    found = {name for table in tables for name, _ in database.counts(table, ("workspace",))}
    return found - {None, database.workspace}
