"""Counts comparisons, for tests of what grows with what."""

from __future__ import annotations


class Counted(str):
    """Text that counts how often it is held against another."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other) is True

    __hash__ = str.__hash__
