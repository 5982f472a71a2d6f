"""What the scheduler knows of objects whose files several workers send."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Sequence

from migrate.kinds import Ref
from migrate.outcomes import Outcome, Part


class Spreading:
    """Parts that wait for a worker, and what has been sent of each object so far."""

    def __init__(self) -> None:
        self._waiting: deque[Part] = deque()
        self._open: Counter[Ref] = Counter()
        self._files: Counter[Ref] = Counter()
        self._bytes: Counter[Ref] = Counter()
        self._straight: dict[Ref, tuple[str, ...]] = {}

    def begin(self, parts: Sequence[Part]) -> None:
        """Have the parts of one object sent."""
        self._waiting.extend(parts)
        self._open[parts[0].of] += len(parts)

    def next(self) -> Part | None:
        """Take a part that waits; None where none does."""
        return self._waiting.popleft() if self._waiting else None

    def ended(self, outcome: Outcome) -> bool:
        """Note the end of a part; say whether it was the last one of its object."""
        ref = outcome.ref
        self._files[ref] += outcome.files_sent
        self._bytes[ref] += outcome.bytes_sent
        self._straight[ref] = self._straight.get(ref, ()) + outcome.straight
        self._open[ref] -= 1
        return not self._open[ref]

    def with_sent(self, outcome: Outcome) -> Outcome:
        """Return the end of an object's task with what its parts have sent."""
        if not self._files:
            return outcome
        files, size = self._files.pop(outcome.ref, 0), self._bytes.pop(outcome.ref, 0)
        straight = self._straight.pop(outcome.ref, ())
        if not files and not straight:
            return outcome
        return dataclasses.replace(
            outcome,
            files_sent=outcome.files_sent + files,
            bytes_sent=outcome.bytes_sent + size,
            straight=outcome.straight + straight,
        )
