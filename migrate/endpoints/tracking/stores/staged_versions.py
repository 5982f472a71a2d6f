"""What registries of versions with states have in common: of MCP servers, and of skills.

A version goes from draft to active to deprecated one step at a time, in either direction, and none
that is active is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from migrate.endpoints.shapes import Object, integer, text
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import NotFound, Refused
from migrate.outcomes import Loss

DRAFT, ACTIVE, DEPRECATED = "draft", "active", "deprecated"
_STATES = (DRAFT, ACTIVE, DEPRECATED)


class StagedVersions:
    """The versions, tags and aliases of the objects of one registry.

    Paths are those of an object, or of a version of it. All may be repeated.
    """

    def __init__(self, http: HttpSession) -> None:
        self._http = http

    def move(self, path: str, old: str, new: str) -> None:
        """Take a version from one state to another, step by step."""
        if old == new or not {old, new} <= set(_STATES):
            return
        at, end = _STATES.index(old), _STATES.index(new)
        step = 1 if end > at else -1
        for state in range(at + step, end + step, step):
            self._http.change("PATCH", path, {"status": _STATES[state]})

    def delete(self, path: str, status: str) -> None:
        """Delete a version, whatever its state."""
        with suppress(NotFound):
            if status == ACTIVE:
                self.move(path, ACTIVE, DRAFT)
            self._http.change("DELETE", path, {})

    def tag(self, path: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Have an object or a version have these tags and no others."""
        for key in sorted(new):
            if old.get(key) != new[key]:
                body = {"key": key, "value": new[key]}
                self._http.post(f"{path}/tags", body, idempotent=True)
        for key in sorted(old.keys() - new.keys()):
            with suppress(NotFound):
                self._http.change("DELETE", f"{path}/tags/{quote(key, safe='')}", {})

    def set_aliases(
        self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Sequence[Loss]:
        """Have aliases point to these versions; return those that are refused."""
        refused: list[Loss] = []
        for alias, version in new.items():
            if old.get(alias) != version:
                body = {"alias": alias, "version": version}
                refused += self.attempt(f"alias {alias}", f"{path}/aliases", body)
        return refused

    def remove_aliases(self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Take off the aliases that are not wanted."""
        for alias in old.keys() - new.keys():
            with suppress(NotFound):
                self._http.change("DELETE", f"{path}/aliases/{quote(alias, safe='')}", {})

    def attempt(self, name: str, path: str, body: Mapping[str, Any]) -> Sequence[Loss]:
        """Make something that is called ``name``; return what is refused."""
        try:
            self._http.post(path, body, idempotent=False)
        except (Refused, NotFound) as problem:
            return (Loss(name, f"refused by the target: {problem}"),)
        return ()


def said_by_itself(body: Object) -> dict[str, Any]:
    """Read what a server says by itself of an object or a version: when and by whom it was made."""
    times = ("creation_timestamp", "last_updated_timestamp")
    said: dict[str, Any] = {name: integer(body, name) for name in times}
    return said | {name: text(body, name) for name in ("created_by", "last_updated_by")}
