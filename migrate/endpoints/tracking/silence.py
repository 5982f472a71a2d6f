"""Whether a route that answered with nothing is believed.

MLflow answers an empty search with ``{}`` and 200, and so does a gateway that keeps a route to
itself. So such a route is asked once more, for something that MLflow refuses: what finds nothing
wrong with that is not MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from migrate.errors import AlreadyExists, MigrateError, NotFound, Refused

#: Refused by every search of every MLflow version, but for those below.
NOT_A_TOKEN: Mapping[str, Any] = {"page_token": "not a page token"}
_NOT_A_FILTER: Mapping[str, Any] = {"filter": "not a filter"}
#: What else is refused, by the end of a route: these take any page token, or break off at one.
_ELSEWHERE: Mapping[str, Mapping[str, Any]] = {
    "/logged-models/search": _NOT_A_FILTER,
    "/model-versions/search": _NOT_A_FILTER,
    # An experiment that is none: what is no number breaks servers before 3.17 off.
    "/scorers/list": {"experiment_id": str(2**31 - 1)},
}
#: Lists that take anything, so that nothing can be learned of them; their neighbours are asked.
_TAKE_ANYTHING = (
    "/gateway/endpoints/list",
    "/gateway/model-definitions/list",
    "/gateway/secrets/list",
)

#: Asks by a method, a path and a request, and returns the JSON answer.
Ask = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]


def nonsense(path: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as MLflow refuses it on this route, before it looks anything up."""
    wrong = next((it for end, it in _ELSEWHERE.items() if path.endswith(end)), NOT_A_TOKEN)
    return {**request, **wrong}


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

    def look_at(self, method: str, path: str, request: Mapping[str, Any]) -> None:
        """Look at a route that has answered this request with nothing."""
        known = path in self._believed or path in self._doubts
        if known or path.endswith(_TAKE_ANYTHING):
            return
        try:
            answer = self._ask(method, path, nonsense(path, request))
        except (Refused, NotFound, AlreadyExists):
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
