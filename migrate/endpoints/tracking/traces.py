"""Says whether there are traces in experiments, whatever the server's version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from migrate.endpoints.shapes import items
from migrate.endpoints.tracking.http import HttpSession
from migrate.errors import NotFound, NotPermitted

EXPERIMENTS_PER_SEARCH = 100


def has_traces(http: HttpSession, experiment_ids: Sequence[str]) -> bool:
    """Say whether one of these experiments has a trace, or may have one we may not see."""
    for start in range(0, len(experiment_ids), EXPERIMENTS_PER_SEARCH):
        chunk = experiment_ids[start : start + EXPERIMENTS_PER_SEARCH]
        locations = [
            {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": ident}}
            for ident in chunk
        ]
        body = {"locations": locations, "max_results": 1}
        try:
            page = http.post("/api/3.0/mlflow/traces/search", body, idempotent=True)
        except NotFound:  # before 3.2
            page = _page_of_old_traces(http, chunk)
        except NotPermitted:  # there may be some: better said than passed over
            return True
        if items(page, "traces"):
            return True
    return False


def _page_of_old_traces(http: HttpSession, experiment_ids: Sequence[str]) -> Mapping[str, Any]:
    params = {"experiment_ids": list(experiment_ids), "max_results": 1}
    try:
        page: Mapping[str, Any] = http.get("/api/2.0/mlflow/traces", params)
        return page
    except NotFound:  # before 2.14
        return {}
