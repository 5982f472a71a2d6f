"""What a workspace refuses or writes itself where MLflow alone would take what it is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tests.databricks.answers import Refusal

RESERVED_RUN_TAGS = {"mlflow.user", "mlflow.rootRunId", "mlflow.log-model.history"}
#: Where MLflow's server keeps files, and what a workspace calls it.
OURS, THEIRS = "mlflow-artifacts:/", "dbfs:/databricks/mlflow-tracking/"


def check_limits(path: str, size: int, body: Mapping[str, Any]) -> None:
    """What the API's reference says of how much a request may ask for or bring."""
    if path.endswith("/logged-models/search") and body.get("max_results", 0) > 50:
        raise Refusal(400, "INVALID_PARAMETER_VALUE", "max_results is at most 50")
    if path.endswith("/experiments/search"):
        for order in body.get("order_by", ()):
            if order.split()[0] not in ("name", "last_update_time"):
                text = f"Invalid attribute key '{order}' specified."
                raise Refusal(400, "INVALID_PARAMETER_VALUE", text)
    if path.endswith("/experiments/create") and len(body.get("tags", ())) > 20:
        raise Refusal(400, "INVALID_PARAMETER_VALUE", "at most 20 tags a request")
    if path.endswith("/runs/log-batch") and size > 1 << 20:
        raise Refusal(400, "INVALID_PARAMETER_VALUE", "a request holds at most 1 MB")


def check_experiment_name(name: str, folders: Collection[str]) -> None:
    """Experiments are called by an absolute path in a folder that is there."""
    if not name.startswith("/") or name.endswith("/"):
        text = f"Got an invalid experiment name '{name}'. An absolute path is expected."
        raise Refusal(400, "INVALID_PARAMETER_VALUE", text)
    folder = name.rpartition("/")[0]
    if folder not in folders:
        text = f"Parent directory {folder} does not exist."
        raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", text)


def check_run_tags(tags: Iterable[Mapping[str, Any]]) -> None:
    """Some tags of runs are the workspace's own."""
    for tag in tags:
        if tag["key"] in RESERVED_RUN_TAGS:
            raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Cannot update tag '{tag['key']}'")


def check_experiment_tags(tags: Iterable[Mapping[str, Any]]) -> None:
    """A source that is no notebook of this workspace is not found."""
    for tag in tags:
        if tag["key"] in ("mlflow.experiment.sourceType", "mlflow.experiment.sourceId"):
            text = "Node ID 121868365442702 does not exist."
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", text)


def own_tags(name: str, user: str) -> list[dict[str, str]]:
    """Tags that every new experiment gets."""
    own = {
        "mlflow.experiment.sourceName": name,
        "mlflow.experimentType": "MLFLOW_EXPERIMENT",
        "mlflow.ownerEmail": user,
        "mlflow.ownerId": str(sum(user.encode())),
    }
    return [{"key": key, "value": value} for key, value in own.items()]


def to_server(text: str) -> str:
    """A request's text with the places of files as MLflow's server calls them."""
    return re.sub(
        re.escape(THEIRS) + r"(\w+)/(logged_models/)?",
        lambda found: f"{OURS}{found[1]}/{'models/' if found[2] else ''}",
        text,
    )


def to_client(text: str) -> str:
    """An answer's text with the places of files as a workspace calls them."""
    return re.sub(
        re.escape(OURS) + r"(\w+)/(models/)?",
        lambda found: f"{THEIRS}{found[1]}/{'logged_models/' if found[2] else ''}",
        text,
    )
