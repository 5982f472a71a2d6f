"""Whether a route that answered with nothing is believed.

MLflow answers an empty search with ``{}`` and 200, and so does a gateway that keeps a route to
itself. So such a route is asked once more, for something that MLflow refuses: what finds nothing
wrong with that is not MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from migrate.errors import AlreadyExists, MigrateError, NotFound, NotPermitted, Refused

_NOT_A_TOKEN: Mapping[str, Any] = {"page_token": "not a page token"}
_NOT_A_FILTER: Mapping[str, Any] = {"filter": "not a filter"}
#: What every MLflow version refuses, by the end of a route; the first that fits counts. Routes that
#: are not among them take anything, so that nothing can be learned of them.
_REFUSED: Mapping[str, Mapping[str, Any]] = {
    # These take any page token, or break off at one.
    "/logged-models/search": _NOT_A_FILTER,
    "/model-versions/search": _NOT_A_FILTER,
    "/search": _NOT_A_TOKEN,
    "/mlflow/traces": _NOT_A_TOKEN,
    "/webhooks": _NOT_A_TOKEN,
    "/mcp-servers": _NOT_A_TOKEN,
    "/mlflow/skills": _NOT_A_TOKEN,
    "/review-queues/list": _NOT_A_TOKEN,
    "/budgets/list": _NOT_A_TOKEN,
    "/guardrails/list": _NOT_A_TOKEN,
    # An experiment that is none: at what is no number, servers before 3.17 break off.
    "/scorers/list": {"experiment_id": str(2**31 - 1)},
    "/artifacts/list": {"run_id": "0" * 32, "run_uuid": "0" * 32},
    "/mlflow-artifacts/artifacts": {"path": "../.."},
}

#: Asks by a method, a path and a request, and returns the JSON answer.
Ask = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]


def nonsense(path: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a request as MLflow refuses it on this route; None where it takes anything."""
    wrong = next((it for end, it in _REFUSED.items() if path.endswith(end)), None)
    return None if wrong is None else {**request, **wrong}


def has_items(page: Mapping[str, Any]) -> bool:
    """Say whether a page of a search has anything on it."""
    return any(isinstance(value, list) and value for value in page.values())


class Silence:
    """Looks at the routes of one server that answered with nothing; each is asked once."""

    def __init__(self, ask: Ask, where: Callable[[str], str]) -> None:
        self._ask = ask
        self._where = where
        self._believed: set[str] = set()
        self._doubts: dict[str, str] = {}

    def doubts(self) -> Sequence[str]:
        """Return a sentence on every route whose silence is not believed."""
        return tuple(self._doubts.values())

    def believe(self, path: str) -> None:
        """Hear that a route has refused nonsense already."""
        self._believed.add(path)

    def swallowed(self, path: str) -> str:
        """Return the sentence on a route that answers nonsense with nothing."""
        return (
            f"{self._where(path)} answers with nothing even what MLflow refuses, as a gateway does "
            "that passes no such request on: its empty answers are not believed"
        )

    def look_at(self, method: str, path: str, request: Mapping[str, Any]) -> str:
        """Look at a route that has answered this request with nothing; return what is doubted."""
        question = nonsense(path, request)
        if question is None or path in self._believed or path in self._doubts:
            return self._doubts.get(path, "")
        try:
            answer = self._ask(method, path, question)
        except (Refused, NotFound, NotPermitted, AlreadyExists):
            self.believe(path)
        except MigrateError as problem:
            self._doubts[path] = (
                f"{self._where(path)} answered with nothing, and whether that may be believed "
                f"could not be learned: {problem}"
            )
        else:
            if has_items(answer):
                self.believe(path)
            else:
                self._doubts[path] = self.swallowed(path)
        return self._doubts.get(path, "")
