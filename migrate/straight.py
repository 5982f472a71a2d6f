"""Which files went straight from a storage, or to it, past the server that signed URLs for them.

Whoever carries out a batch counts them, in whatever threads it works, and says it with the
outcomes: so the report knows it of all processes and machines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import NamedTuple


class Files(NamedTuple):
    """So many files, and their bytes."""

    number: int = 0
    bytes: int = 0

    def __add__(self, other: object) -> Files:
        """Return both together."""
        if not isinstance(other, Files):
            return NotImplemented
        return Files(self.number + other.number, self.bytes + other.bytes)


_NOTE = re.compile(r"straight, (source|target): (\d+) files, (\d+) bytes(?:,.*)?", re.DOTALL)


class Count:
    """Counts files by side; several threads may."""

    def __init__(self) -> None:
        self._files: dict[str, Files] = {}
        self._first: dict[str, str] = {}
        self._lock = Lock()

    def add(self, side: str, path: str, size: int) -> None:
        """Count a file."""
        with self._lock:
            self._files[side] = self._files.get(side, Files()) + Files(1, size)
            self._first.setdefault(side, path)

    def notes(self) -> Sequence[str]:
        """Return what was counted as texts, which outcomes and state databases keep.

        They name one of the files, since of two equal texts about one object only one is kept.
        """
        return [
            f"straight, {side}: {files.number} files, {files.bytes} bytes, {self._first[side]!r}"
            for side, files in self._files.items()
        ]


_counting: ContextVar[Count | None] = ContextVar("counting", default=None)


@contextmanager
def counting() -> Iterator[Count]:
    """Count the files that this thread, and those that it gives work to, move in the block."""
    count = Count()
    token = _counting.set(count)
    try:
        yield count
    finally:
        _counting.reset(token)


def went(side: str, path: str, size: int) -> None:
    """Say that a file has gone straight from the storage of the source, or to the target's."""
    count = _counting.get()
    if count is not None:
        count.add(side, path, size)


def is_note(text: str) -> bool:
    """Say whether a text is one of ``Count.notes``."""
    return _NOTE.fullmatch(text) is not None


def summed(notes: Iterable[str]) -> Mapping[str, Files]:
    """Return what notes say together, for each side that they name."""
    found: dict[str, Files] = {}
    for note in filter(None, map(_NOTE.fullmatch, notes)):
        files = Files(int(note[2]), int(note[3]))
        found[note[1]] = found.get(note[1], Files()) + files
    return found
