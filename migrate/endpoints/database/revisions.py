"""The revisions of MLflow's database that can be read, and what each has.

Tables and columns are read as far as they are there; this says which have to be, so that what a
half-upgraded or damaged database lacks is not taken for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from migrate.errors import EndpointError, UsageError

#: Alembic's revisions in their order, each with the first release that has it or a later one.
REVISIONS = {
    "97727af70f4d": "1.30",
    "3500859a5d39": "2.9",
    "7f2a7d5fae7d": "2.9",
    "2d6e25af4d3e": "2.9",
    "acf3f17fdcc7": "2.9",
    "867495a8f9d4": "2.17",
    "5b0e9adcef9c": "2.17",
    "4465047574b1": "2.17",
    "f5a4f2784254": "2.17",
    "0584bdc529eb": "2.22",
    "400f98739977": "3.1",
    "6953534de441": "3.1",
    "bda7b8c39065": "3.1",
    "cbc13b556ace": "3.3",
    "770bee3ae1dd": "3.3",
    "a1b2c3d4e5f6": "3.3",
    "de4033877273": "3.3",
    "1a0cddfcaa16": "3.3",
    "534353b11cbc": "3.4",
    "71994744cf8e": "3.4",
    "3da73c924c2f": "3.5",
    "bf29a5ff90ea": "3.5",
    "1bd49d398cd23": "3.8",
    "b7c8d9e0f1a2": "3.9",
    "5d2d30f0abce": "3.9",
    "c9d4e5f6a7b8": "3.9",
    "2c33131f4dae": "3.9",
    "d3e4f5a6b7c8": "3.9",
    "d0e1f2a3b4c5": "3.10",
    "c8d9e0f1a2b3": "3.10",
    "1b5f0d9ad7c1": "3.10",
    "e1f2a3b4c5d6": "3.11",
    "76601a5f987d": "3.11",
    "c3d6457b6d8a": "3.11",
    "a5b4c3d2e1f0": "3.12",
    "ae8bbe7743c9": "3.12",
    "7d34483879f0": "3.12",
    "da6fb0208061": "3.13",
    "89d3d66ed43f": "3.14",
    "b7e4c1a90f23": "3.14",
    "a8b9c0d1e2f3": "3.15",
    "c1d2e3f4a5b6": "3.15",
    "c3d9e7f1a2b4": "3.15",
    "6f8d9c3b2a1e": "3.15",
    "1971f2d9a75b": "3.16",
    "17e22815139b": "3.16",
    "b7e2c1a4d9f3": "3.16",
    "75868b020152": "3.17",
    "dc11669786a5": "3.17",
    "e7d1f4b2a9c6": "3.18",
    "8b6ad64cb8f5": "3.18",
    "f4a9b2c7d1e6": "3.18",
}
#: Those before the first of these, by the year 2022: known by name, and not read.
OLDER = frozenset(
    [
        "451aebb31d03",
        "90e64c465722",
        "181f10493468",
        "df50e92ffc5e",
        "7ac759974ad8",
        "89d4b8295536",
        "2b4d017a5e9b",
        "cfd24bdc0731",
        "0a8213491aaa",
        "728d730b5ebd",
        "27a6a02d2cf1",
        "84291f40a231",
        "a8c4a736bde6",
        "39d1c3be5f05",
        "c48cb773bb87",
        "bd07f7e963c5",
        "0c779009ac13",
        "cc1f77228345",
    ]
)
_FIRST = next(iter(REVISIONS))
#: The tables that are read or counted, and the revision that makes them.
TABLES = {
    **dict.fromkeys(
        [
            "experiments",
            "experiment_tags",
            "runs",
            "params",
            "tags",
            "metrics",
            "latest_metrics",
            "registered_models",
            "registered_model_tags",
            "model_versions",
            "model_version_tags",
        ],
        _FIRST,
    ),
    "registered_model_aliases": "3500859a5d39",
    **dict.fromkeys(("datasets", "inputs", "input_tags"), "7f2a7d5fae7d"),
    **dict.fromkeys(("trace_info", "trace_tags", "trace_request_metadata"), "867495a8f9d4"),
    **dict.fromkeys(
        ["logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics"],
        "400f98739977",
    ),
    "assessments": "770bee3ae1dd",
    "spans": "a1b2c3d4e5f6",
    "entity_associations": "de4033877273",
    **dict.fromkeys(("webhooks", "webhook_events"), "1a0cddfcaa16"),
    **dict.fromkeys(("scorers", "scorer_versions"), "534353b11cbc"),
    **dict.fromkeys(
        ["evaluation_datasets", "evaluation_dataset_tags", "evaluation_dataset_records"],
        "71994744cf8e",
    ),
    "jobs": "bf29a5ff90ea",
    **dict.fromkeys(
        ["secrets", "endpoints", "endpoint_model_mappings", "endpoint_tags", "model_definitions"],
        "1bd49d398cd23",
    ),
    "online_scoring_configs": "2c33131f4dae",
    "workspaces": "1b5f0d9ad7c1",
    "budget_policies": "e1f2a3b4c5d6",
    "issues": "76601a5f987d",
    "issue_categories": "8b6ad64cb8f5",
    **dict.fromkeys(("guardrails", "guardrail_configs"), "ae8bbe7743c9"),
    "label_schemas": "89d3d66ed43f",
    **dict.fromkeys(
        [
            "review_queues",
            "review_queue_items",
            "review_queue_label_schemas",
            "review_queue_users",
        ],
        "b7e4c1a90f23",
    ),
    **dict.fromkeys(
        [
            "mcp_servers",
            "mcp_access_endpoints",
            "mcp_server_aliases",
            "mcp_server_tags",
            "mcp_server_version_tags",
            "mcp_server_versions",
        ],
        "a8b9c0d1e2f3",
    ),
    **dict.fromkeys(
        ["skills", "skill_aliases", "skill_tags", "skill_versions", "skill_version_tags"],
        "e7d1f4b2a9c6",
    ),
}
#: What no store can do without.
ESSENTIAL = {
    "experiments": ("experiment_id", "name", "lifecycle_stage"),
    "runs": ("run_uuid", "experiment_id", "status", "lifecycle_stage"),
    "metrics": ("run_uuid", "key", "value", "timestamp", "step", "is_nan"),
    "latest_metrics": ("run_uuid", "key", "value", "timestamp", "step", "is_nan"),
    "params": ("run_uuid", "key", "value"),
    "tags": ("run_uuid", "key", "value"),
}
VERSION_TABLE = "alembic_version"


def require_known(found: Sequence[str], tables: Collection[str], shown: str) -> str:
    """Return the revision of a database, by what its table of versions says and its tables are.

    Raises ``UsageError`` for what is no database of MLflow, or of another revision, and
    ``EndpointError`` for one that lacks something.
    """
    if not tables:
        raise UsageError(f"{shown} is empty: it has no tables", "is it the right database?")
    if VERSION_TABLE not in tables and "experiments" not in tables:
        raise UsageError(
            f"{shown} is no database of an MLflow tracking server: it has no table of experiments",
            "name what the server has as --backend-store-uri",
        )
    if len(found) != 1:
        said = f"names {len(found)} revisions" if found else "says of no revision which it is"
        raise EndpointError(
            f"{shown} {said} ({VERSION_TABLE}): an upgrade of it did not end, or it is damaged",
            f"complete a copy of it with: mlflow db upgrade {shown}",
        )
    [revision] = found
    if revision in OLDER:
        raise UsageError(
            f"{shown} is of revision {revision}, older than MLflow 1.30, and cannot be read",
            "upgrade a copy of it: mlflow db upgrade DATABASE",
        )
    if revision not in REVISIONS:
        raise UsageError(
            f"{shown} is of revision {revision}, which this tool does not know: it knows those of "
            f"MLflow {min_release()} to {max_release()}",
            "copy from its server over http, or use a newer version of this tool",
        )
    order = list(REVISIONS)
    missing = [
        table
        for table, since in TABLES.items()
        if table not in tables and order.index(since) <= order.index(revision)
    ]
    if missing:
        raise EndpointError(
            f"{shown} lacks {', '.join(missing[:5])}, which a database of revision {revision} "
            f"(MLflow {REVISIONS[revision]}) has: an upgrade did not end, or it is damaged",
            "restore it from a backup, or complete a copy of it with: mlflow db upgrade DATABASE",
        )
    return revision


def min_release() -> str:
    """Return the oldest release whose database can be read."""
    return REVISIONS[_FIRST]


def max_release() -> str:
    """Return the newest."""
    return list(REVISIONS.values())[-1]
