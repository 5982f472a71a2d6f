"""How long an export took, which its files tell people."""

from __future__ import annotations

import time
from threading import Lock


class Durations:
    """Times one export from its opening on, and what is written into each experiment.

    All in seconds; several threads may use it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._opened = time.monotonic()
        self._spans: dict[str, tuple[float, float]] = {}

    def note(self, experiment_id: str) -> None:
        """Say that something is written into an experiment now."""
        now = time.monotonic()
        with self._lock:
            began, _ = self._spans.get(experiment_id, (now, now))
            self._spans[experiment_id] = began, now

    def of(self, experiment_id: str) -> float | None:
        """Return the time from the first to the last note of it; None without any."""
        with self._lock:
            span = self._spans.get(experiment_id)
        return None if span is None else _rounded(span[1] - span[0])

    def total(self) -> float:
        """Return the time since the opening."""
        return _rounded(time.monotonic() - self._opened)


def _rounded(seconds: float) -> float:
    return round(seconds, 1)
