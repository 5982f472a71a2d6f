"""Records of a database: rows, with others below them. What is broken in one costs itself."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.database.endpoint import DatabaseSource
from migrate.errors import Malformed
from migrate.kinds import Kind
from tests.endpoints.databases import opened, unpacked
from tests.servers import IS_3_18

Rows = dict[str, dict[str, Any]]
_MADE = {"created_at": 1, "last_updated_at": 2}
_OF = {"workspace": "default"}
#: The rows of an object of each kind, by their tables: as few as there can be.
SEEDED: dict[Kind, Rows] = {
    Kind.ISSUE: {
        "issues": {
            "issue_id": "i",
            "experiment_id": 1,
            "name": "slow",
            "description": "",
            "status": "pending",
            "created_timestamp": 1,
            "last_updated_timestamp": 2,
        }
    },
    Kind.LABEL_SCHEMA: {
        "label_schemas": {
            "schema_id": "l",
            "experiment_id": 1,
            "name": "good?",
            "type": "feedback",
            "input_type": "numeric",
            "input_config": '{"min_value": 1.0, "max_value": null}',
            "created_time": 1,
            "last_update_time": 2,
        }
    },
    Kind.REVIEW_QUEUE: {
        "review_queues": {
            "queue_id": "q",
            "experiment_id": 1,
            "name": "Weekly",
            "name_key": "weekly",
            "queue_type": "custom",
            "creation_time_ms": 1,
            "last_update_time_ms": 2,
        },
        "review_queue_items": {
            "queue_id": "q",
            "item_type": "trace",
            "item_id": "t",
            "status": "pending",
            "creation_time_ms": 1,
            "last_update_time_ms": 2,
        },
    },
    Kind.SCORER: {
        "scorers": {"experiment_id": 1, "scorer_name": "s", "scorer_id": "x"},
        "scorer_versions": {"scorer_id": "x", "scorer_version": 2, "serialized_scorer": "{}"},
    },
    Kind.WEBHOOK: {
        "webhooks": {"webhook_id": "w", "name": "team", "url": "https://h", "status": "ACTIVE"},
        "webhook_events": {"webhook_id": "w", "entity": "prompt", "action": "created"},
    },
    Kind.MCP_SERVER: {
        "mcp_servers": {**_OF, "name": "tools", **_MADE},
        "mcp_server_versions": {
            **_OF,
            "name": "tools",
            "version": "1.0",
            "version_major": 1,
            "version_minor": 0,
            "version_patch": 0,
            "version_prerelease_sort_key": "2",
            "server_json": '{"name": "tools", "description": "speaks for it"}',
            "status": "draft",
            **_MADE,
        },
    },
    Kind.GATEWAY_SECRET: {
        "secrets": {
            "secret_id": "k",
            "secret_name": "key",
            "encrypted_value": b"?",
            "wrapped_dek": b"?",
            "kek_version": 1,
            "masked_value": '{"api_key": "sk-...hush"}',
            **_MADE,
        }
    },
    Kind.GATEWAY_MODEL: {
        "model_definitions": {
            "model_definition_id": "d",
            "name": "gpt",
            "provider": "openai",
            "model_name": "gpt-5",
            **_MADE,
        }
    },
    Kind.GATEWAY_ENDPOINT: {
        "endpoints": {"endpoint_id": "e", "name": "chat", "usage_tracking": 0, **_MADE},
        "endpoint_model_mappings": {
            "mapping_id": "m",
            "endpoint_id": "e",
            "model_definition_id": "d",
            "weight": 0.699999988079071,
            "linkage_type": "PRIMARY",
            "created_at": 1,
        },
    },
    Kind.GATEWAY_BUDGET: {
        "budget_policies": {
            "budget_policy_id": "b",
            "budget_unit": "USD",
            "budget_amount": 1.5,
            "duration_unit": "DAYS",
            "duration_value": 2,
            "target_scope": "GLOBAL",
            "budget_action": "ALERT",
            **_MADE,
        }
    },
    Kind.GATEWAY_GUARDRAIL: {
        "scorers": {"experiment_id": 1, "scorer_name": "s", "scorer_id": "x"},
        "guardrails": {
            "guardrail_id": "g",
            "name": "no harm",
            "scorer_id": "x",
            "scorer_version": 1,
            "stage": "BEFORE",
            "action": "VALIDATION",
            **_MADE,
        },
        "guardrail_configs": {"endpoint_id": "e", "guardrail_id": "g", "created_at": 1},
    },
}
if IS_3_18:
    named = {**_OF, "organization": "acme", "name": "review"}
    SEEDED[Kind.SKILL] = {
        "skills": {**named, **_MADE},
        "skill_versions": {**named, "version": 1, "status": "draft", **_MADE},
    }
#: A column of one row, what it says instead, and what is told of that.
BROKEN: list[tuple[Kind, str, Any, str]] = [
    (Kind.ISSUE, "root_causes", "[1, {", "root_causes is no JSON"),
    (Kind.ISSUE, "categories", '{"a": 1}', "categories"),
    (Kind.ISSUE, "created_timestamp", "then", "created_timestamp"),
    (Kind.LABEL_SCHEMA, "input_config", "[]", "input_config"),
    (Kind.LABEL_SCHEMA, "is_default", "perhaps", "is_default"),
    (Kind.REVIEW_QUEUE, "review_queue_items.completed_time_ms", "late", "completed_time_ms"),
    (Kind.SCORER, "scorer_versions.scorer_version", "first", "scorer_version"),
    (Kind.SCORER, "scorer_versions.serialized_scorer", "{", "serialized_scorer is '{', no JSON"),
    (Kind.WEBHOOK, "creation_timestamp", "then", "creation_timestamp"),
    (Kind.MCP_SERVER, "mcp_server_versions.server_json", "{", "server_json is no JSON"),
    (Kind.MCP_SERVER, "icons", '"none"', "icons"),
    (Kind.GATEWAY_SECRET, "masked_value", "sk-...hush", "masked_value is no JSON"),
    (Kind.GATEWAY_MODEL, "created_at", "then", "created_at"),
    (Kind.GATEWAY_ENDPOINT, "fallback_config_json", "[]", "fallback_config_json"),
    (Kind.GATEWAY_ENDPOINT, "endpoint_model_mappings.weight", "much", "weight"),
    (Kind.GATEWAY_ENDPOINT, "endpoint_model_mappings.weight", 1e300, "weight"),
    (Kind.GATEWAY_BUDGET, "budget_amount", "much", "budget_amount"),
    (Kind.GATEWAY_GUARDRAIL, "guardrails.scorer_id", "gone", "its scorer is not there"),
    (Kind.SKILL, "icons", '"none"', "icons"),
    (Kind.SKILL, "skill_versions.version", 0, "no number of a version"),
    (Kind.SKILL, "skill_versions.status", "paused", "none of draft, active, deprecated"),
    (Kind.SKILL, "skill_versions.source_type", "ftp", "none of git, oci, zip, mlflow"),
    (Kind.SKILL, "skill_versions.last_updated_at", "then", "last_updated_timestamp"),
]
BROKEN = [it for it in BROKEN if it[0] in SEEDED]


def insert(path: Path, rows: Rows) -> None:
    """Put rows into a database, but for those that are there."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, values in rows.items():
            marks = ", ".join("?" * len(values))
            into = f"INSERT OR IGNORE INTO {table} ({', '.join(values)}) VALUES ({marks})"
            connection.execute(into, [*values.values()])


Filled = Callable[[Rows], DatabaseSource]


@pytest.fixture
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Filled:
    """Gives a database with these rows."""

    def fill(rows: Rows) -> DatabaseSource:
        is_new = "skills" in rows
        path = request.getfixturevalue("new_database") if is_new else unpacked("3.17.2", tmp_path)
        insert(path, rows)
        return opened(path)

    return fill


def _listed(source: DatabaseSource, kind: Kind) -> list[Any]:
    store = source.store(kind)
    assert store is not None
    return [*store.list(["1", "no number"])]


@pytest.mark.parametrize("kind", SEEDED, ids=lambda it: it.replace(" ", "-"))
def test_one_with_nothing_but_what_has_to_be_there_is_read(kind: Kind, filled: Filled) -> None:
    source = filled(SEEDED[kind])
    [record] = _listed(source, kind)
    store: Any = source.store(kind)
    ident = getattr(record, dataclasses.fields(record)[0].name)
    assert store.read(["none", ident]) == [record]
    assert source.unreadable.all() == []
    assert kind in source.capabilities().readable


@pytest.mark.parametrize(("kind", "column", "value", "says"), BROKEN)
def test_one_that_makes_no_sense_costs_itself(
    kind: Kind, column: str, value: Any, says: str, filled: Filled
) -> None:
    rows = {table: dict(values) for table, values in SEEDED[kind].items()}
    table, _, name = column.rpartition(".")
    rows[table or next(iter(rows))][name] = value
    source = filled(rows)
    assert _listed(source, kind) == []
    [entry] = source.unreadable.all()
    assert entry.ref.kind is kind
    assert says in entry.reason
    assert _listed(source, kind) == []
    assert len(source.unreadable.all()) == 1


def test_what_is_no_longer_listed_is_not_read(filled: Filled) -> None:
    rows = {table: dict(values) for table, values in SEEDED[Kind.WEBHOOK].items()}
    rows["webhooks"]["deleted_timestamp"] = 3
    assert _listed(filled(rows), Kind.WEBHOOK) == []
    rows = {table: dict(values) for table, values in SEEDED[Kind.MCP_SERVER].items()}
    rows["mcp_server_versions"]["status"] = "deleted"
    [server] = _listed(filled(rows), Kind.MCP_SERVER)
    assert (server.versions, server.description) == ((), None)


def test_an_mcp_server_that_says_nothing_is_described_by_its_newest_version(filled: Filled) -> None:
    [server] = _listed(filled(SEEDED[Kind.MCP_SERVER]), Kind.MCP_SERVER)
    assert server.description == "speaks for it"


def test_the_weight_of_a_model_is_that_of_the_api(filled: Filled) -> None:
    [endpoint] = _listed(filled(SEEDED[Kind.GATEWAY_ENDPOINT]), Kind.GATEWAY_ENDPOINT)
    assert [it.weight for it in endpoint.model_configs] == [0.7]


def test_a_record_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    path = unpacked("3.17.2", tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE evaluation_dataset_records SET inputs = '{' WHERE rowid = 1")
    connection.commit()
    connection.close()
    store: Any = opened(path).store(Kind.EVALUATION_DATASET)
    [dataset] = store.list(())
    with pytest.raises(Malformed, match=r"record dr-.*: inputs is no JSON"):
        list(store.contents(dataset))


@pytest.mark.parametrize("version", ["1.30.1", "3.1.4"])
def test_what_a_revision_has_no_table_for_is_no_kind_of_it(version: str, tmp_path: Path) -> None:
    source = opened(unpacked(version, tmp_path))
    for kind in SEEDED:
        assert source.store(kind) is None
        assert kind not in source.capabilities().readable
