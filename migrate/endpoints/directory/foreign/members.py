"""The params, tags, points and links of one record: what is malformed costs itself, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from migrate.endpoints.shapes import Object, objects, pairs
from migrate.errors import Malformed
from migrate.objects import Loss

#: How much of a name is told.
_SHOWN = 60

T = TypeVar("T")


class Members:
    """Reads the members of a record that another tool wrote, one by one.

    What is no object where one has to be is no member: it makes the whole record malformed.
    """

    def __init__(self) -> None:
        #: How often each was left out, and the first reason.
        self._lost: dict[str, tuple[int, Malformed]] = {}

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What was left out, each name once."""
        return tuple(
            Loss(what, f"{count} of its points: {why}" if what.startswith("metric") else str(why))
            for what, (count, why) in self._lost.items()
        )

    def pairs(self, body: Object, name: str, word: str) -> dict[str, str]:
        """Return params or tags as ``pairs`` does; one of them is called by ``word`` and its key.

        One that is there twice, with two values, is left out: nobody can tell which is meant.
        """
        with suppress(Malformed):
            return pairs(body, name)
        value = body.get(name)
        alone: Iterable[Any] = (
            ({key: told} for key, told in value.items())
            if isinstance(value, dict)
            else ([entry] for entry in objects(body, name))
        )
        found: dict[str, str] = {}
        odd: set[str] = set()
        for one in alone:
            key = _key(one)
            try:
                ((key, told),) = pairs({name: one}, name).items()
                if found.setdefault(key, told) != told:
                    raise Malformed(f"{name} has it twice, with two values")
            except Malformed as problem:
                odd.add(key)
                self._lose(named(word, key) if key else f"{word} without a key", problem)
        return {key: told for key, told in found.items() if key not in odd}

    def each(
        self,
        entries: Sequence[Object],
        read: Callable[[Object], T],
        called: Callable[[Object], str],
    ) -> list[T]:
        """Return what ``read`` makes of the entries of a list; ``called`` names one in a loss."""
        found: list[T] = []
        for entry in entries:
            try:
                found.append(read(entry))
            except Malformed as problem:
                self._lose(called(entry), problem)
        return found

    def _lose(self, what: str, problem: Malformed) -> None:
        count, first = self._lost.get(what, (0, problem))
        self._lost[what] = count + 1, first


def named(word: str, name: Any) -> str:
    """Return what a member is called in a loss; ``name`` may be anything."""
    return f"{word} {name[:_SHOWN]}" if isinstance(name, str) and name else word


def _key(one: Any) -> str:
    """Return the key of a param or tag, as one of an object or of a list; or an empty text."""
    if isinstance(one, dict):
        return str(next(iter(one)))
    key = one[0].get("key")
    return key if isinstance(key, str) else ""
