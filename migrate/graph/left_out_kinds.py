"""Which kinds the user leaves out, from the names that ``--kinds`` and ``--without`` give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from migrate.errors import UsageError
from migrate.kinds import Kind

#: Versions go with what they are versions of.
_NAMEABLE = tuple(kind for kind in Kind if not kind.is_version)


def names_of_kinds() -> tuple[str, ...]:
    """Return how the kinds are written that can be taken or left out."""
    return tuple(_spelled(kind.plural) for kind in _NAMEABLE)


def parse_left_out(only: Sequence[str], without: Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds that are left out, those of what they hold among them.

    ``only`` are the values of ``--kinds``, where any are given, ``without`` those of ``--without``:
    kinds, or comma lists of these. What holds a kind that is taken is taken too. Raises
    ``UsageError`` for what is no kind, and where nothing is left.
    """
    taken: set[Kind] = set(_NAMEABLE)
    if only:
        taken = {around for kind in _parse(only, "--kinds") for around in _around(kind)}
    taken -= _parse(without, "--without")
    if not any(taken.issuperset(_around(kind)) for kind in taken):
        raise UsageError("--kinds and --without leave nothing to copy")
    return tuple(kind for kind in Kind if not taken.issuperset(_around(kind) & _ALL))


_ALL = frozenset(_NAMEABLE)


def _around(kind: Kind) -> frozenset[Kind]:
    """Return a kind, and those of what holds its objects."""
    return frozenset({kind}) | (_around(kind.container) if kind.container else frozenset())


def _parse(values: Sequence[str], option: str) -> set[Kind]:
    named: set[Kind] = set()
    known = {_spelled(word): kind for kind in _NAMEABLE for word in (kind, kind.plural)}
    for part in (part for value in values for part in value.split(",")):
        word = _spelled(part)
        if word not in known:
            close = get_close_matches(word, known, n=1)
            kinds = f"kinds are {', '.join(names_of_kinds())}; versions go with their models"
            raise UsageError(
                f"{option} {part.strip()!r} is no kind of object",
                f"did you mean {close[0]}?" if close else kinds,
            )
        named.add(known[word])
    return named


def _spelled(text: str) -> str:
    return re.sub(r"[\s_-]+", "-", text.strip().lower())
