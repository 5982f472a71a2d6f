"""Finds out what a server fails at, by asking for ever less: by halves, or letter by letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_letters, digits
from typing import TypeVar

#: MLflow's own ids are of the first sixteen; others were made by hand. To a search the last one
#: stands for any character, so what it is part of is looked at as a whole at the end.
CHARACTERS = "".join(dict.fromkeys(digits + "abcdef" + ascii_letters + "-._"))
LONGEST_ID = 64

T = TypeVar("T")


def spelled(begins: Callable[[str], bool], whole: Callable[[str], bool], usual: int) -> str:
    """Return the text for which ``whole`` is true, found by what it ``begins`` with; or nothing.

    ``usual`` is the length at which it is looked at as a whole first.
    """
    found = ""
    while len(found) < LONGEST_ID:
        if len(found) == usual and whole(found):
            return found
        longer = next((found + one for one in CHARACTERS if begins(found + one)), "")
        if not longer:
            break
        found = longer
    return found if found and whole(found) else ""


def culprit(members: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> T | None:
    """Return the one of some members at which what ``fails`` for all of them does, or None."""
    while len(members) > 1:
        half = members[: len(members) // 2]
        members = half if fails(half) else members[len(half) :]
    return members[0] if members and fails(members) else None
