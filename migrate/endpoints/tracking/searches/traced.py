"""Says whether experiments have traces, and so whatever is made for traces."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import TRACES
from migrate.endpoints.tracking.searches.search import chunks
from migrate.errors import MigrateError

_WHERE = "MLFLOW_EXPERIMENT"


def tell_of_hidden(http: HttpSession, gaps: Gaps, experiment_ids: Sequence[str]) -> None:
    """Say of a source's deleted experiments that what is made for their traces is not shown."""
    if experiment_ids and gaps.may_leave_out and may_have_traces(http, experiment_ids):
        gaps.note(
            f"whether deleted experiments of the source ({', '.join(experiment_ids)}) have review "
            "queues or label schemas is not known: MLflow shows none of them"
        )


def may_have_traces(http: HttpSession, experiment_ids: Sequence[str]) -> bool:
    """Say whether one of these experiments has a trace, or does not say so (MLflow 3.2)."""
    for chunk in chunks(experiment_ids):
        places = [{"type": _WHERE, "mlflow_experiment": {"experiment_id": it}} for it in chunk]
        try:
            asked = {"locations": places, "max_results": 1}
            if http.ask(TRACES.method, TRACES.path, asked).get("traces"):
                return True
        except MigrateError:
            return True
    return False
