"""Label schemas and review queues: how a server is filled with them, and what it shows of them."""

from __future__ import annotations

import uuid
from typing import Any

from tests.seed_records import Api, Json, Seeded, experiment_names

DEFAULT = "Feedback"
SCHEMAS: dict[str, Json] = {
    "Is it polite?": {
        "type": "FEEDBACK",
        "input": {"pass_fail": {"positive_label": "yes", "negative_label": "no"}},
        "instruction": "Look at the tone. ☃",
        "enable_comment": True,
    },
    "Ünïcödé": {
        "type": "EXPECTATION",
        "input": {"categorical": {"options": ["a", "b", "☃"], "multi_select": True}},
    },
    "how good": {
        "type": "FEEDBACK",
        "input": {"numeric": {"min_value": 0.5, "max_value": 5}},
        "instruction": "",
    },
    "ideal answer": {"type": "EXPECTATION", "input": {"text": {"max_length": 40}}},
}
RENAMED = "renamed"


def make_schema(api: Api, experiment_id: str, name: str, **changed: Any) -> str:
    body = {"experiment_id": experiment_id, "name": name, **SCHEMAS[name], **changed}
    return str(api("POST", "label-schemas/create", body)["label_schema"]["schema_id"])


def open_questions(api: Api, experiment_id: str) -> None:
    """List the questions of an experiment, as its page does: MLflow makes one."""
    api("GET", "label-schemas/list", {"experiment_id": experiment_id})


def seed_schemas(api: Api) -> None:
    first, second = api.experiment("support"), api.experiment("search")
    for experiment in (first, second):
        open_questions(api, experiment)
    for name in SCHEMAS:
        make_schema(api, first, name)
    make_schema(api, second, "how good")


def schema_named(api: Api, experiment_id: str, name: str) -> Json | None:
    asked = {"experiment_id": experiment_id, "name": name}
    found = api.maybe("GET", "label-schemas/get-by-name", asked)
    return found["label_schema"] if found else None


def change_schema(api: Api) -> None:
    first = api.experiment("support")
    name = RENAMED if schema_named(api, first, RENAMED) else "ideal answer"
    schema = schema_named(api, first, name)
    assert schema is not None
    changed = {"name": RENAMED, "instruction": uuid.uuid4().hex, "enable_comment": True}
    api("PATCH", "label-schemas/update", {"schema_id": schema["schema_id"], **changed})


def own_schema(api: Api) -> None:
    make_schema(api, api.experiment("support"), "how good", enable_comment=True)


def schemas_shown(api: Api) -> list[Json]:
    given_out = ("schema_id", "experiment_id", "created_at", "last_updated_at")
    shown = []
    for ident, experiment in experiment_names(api).items():
        for name in (DEFAULT, *SCHEMAS, RENAMED):
            if schema := schema_named(api, ident, name):
                kept = {key: value for key, value in schema.items() if key not in given_out}
                shown.append({"experiment": experiment, **kept})
    return shown


LABEL_SCHEMAS = Seeded(
    kind="label schema",
    count=7,
    seed=seed_schemas,
    change=change_schema,
    own=own_schema,
    shown=schemas_shown,
    create="/label-schemas/create$",
)


def make_queue(api: Api, experiment_id: str, name: str, **said: Any) -> str:
    body = {"experiment_id": experiment_id, "name": name, "queue_type": "CUSTOM", **said}
    return str(api("POST", "review-queues/create", body)["review_queue"]["queue_id"])


def make_traces(api: Api, experiment_id: str, number: int) -> list[str]:
    ids = [f"tr-{uuid.uuid4().hex}" for _ in range(number)]
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
    for ident in ids:
        info = {"trace_id": ident, "trace_location": where, "request_time": "2024-01-01T00:00:00Z"}
        api("POST", "traces", {"trace": {"trace_info": {**info, "state": "OK"}}})
    return ids


def add(api: Api, queue: str, *traces: str) -> None:
    api("POST", "review-queues/items/add", {"queue_id": queue, "item_ids": list(traces)})


def set_status(api: Api, queue: str, trace: str, status: str, by: str = "") -> None:
    body = {"queue_id": queue, "item_id": trace, "status": status}
    api("POST", "review-queues/items/set-status", body | ({"completed_by": by} if by else {}))


def seed_queues(api: Api) -> None:
    first, second = api.experiment("support"), api.experiment("search")
    for experiment in (first, second):
        open_questions(api, experiment)
    asked = []
    for name in ("Is it polite?", "how good"):
        known = schema_named(api, first, name)
        asked.append(known["schema_id"] if known else make_schema(api, first, name))
    queue = make_queue(api, first, "Weekly", users=["grace", "ada"], schema_ids=asked)
    api("POST", "review-queues/update", {"queue_id": queue, "new_owner": "Ada"})
    make_queue(api, first, "ada", queue_type="USER")
    make_queue(api, second, "weekly")


def _queues(api: Api) -> list[Json]:
    return [
        queue
        for ident in experiment_names(api)
        for queue in api("GET", "review-queues/list", {"experiment_id": ident}).get(
            "review_queues", []
        )
    ]


def change_queue(api: Api) -> None:
    queue = next(it for it in _queues(api) if len(it.get("schema_ids", [])) > 0)
    changed = {"name": uuid.uuid4().hex, "update_users": True, "users": ["alan"]}
    changed |= {"update_schema_ids": True, "schema_ids": queue["schema_ids"][:1]}
    api("POST", "review-queues/update", {"queue_id": queue["queue_id"], **changed})


def own_queue(api: Api) -> None:
    make_queue(api, api.experiment("support"), "WEEKLY", users=["somebody"])


def queues_shown(api: Api) -> list[Json]:
    names = experiment_names(api)
    shown = []
    for queue in _queues(api):
        asked = {"queue_id": queue["queue_id"]}
        items = api("GET", "review-queues/items/list", asked).get("items", [])
        ids = queue.get("schema_ids", [])
        schemas = [api("GET", "label-schemas/get", {"schema_id": it}) for it in ids]
        shown.append(
            {
                "experiment": names[queue["experiment_id"]],
                **{key: queue.get(key) for key in ("name", "queue_type", "created_by")},
                "users": sorted(queue.get("users", [])),
                "questions": sorted(it["label_schema"]["name"] for it in schemas),
                "items": sorted(
                    [it["item_id"], it["status"], it.get("completed_by", "")] for it in items
                ),
            }
        )
    return shown


REVIEW_QUEUES = Seeded(
    kind="review queue",
    count=3,
    seed=seed_queues,
    change=change_queue,
    own=own_queue,
    shown=queues_shown,
    create="/review-queues/create$",
)
