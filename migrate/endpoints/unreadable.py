"""What an endpoint has and cannot give, so that nothing is left out in silence."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from migrate.endpoints.answers import Unreadable
from migrate.errors import EndpointError
from migrate.objects import Kind, Ref


class UnreadableObjects:
    """Collects them by kind and container; several threads may report."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[tuple[Ref, str], Unreadable] = {}

    def report(self, ref: Ref, container: str, where: str | Path, problem: EndpointError) -> None:
        """Add one; ``where`` is the place at fault: a file's path, or a call of a server."""
        place = str(where)
        entry = Unreadable(
            ref=ref, container=container, where=place, reason=problem.message, hint=problem.hint
        )
        with self._lock:
            self._found[ref, place] = entry

    def add(self, entry: Unreadable) -> None:
        """Add one that is known from elsewhere."""
        with self._lock:
            self._found[entry.ref, entry.where] = entry

    def forget(self, kind: Kind, container: str = "") -> None:
        """Drop those of a kind in an experiment, which is about to be read again."""
        with self._lock:
            self._found = {
                key: entry
                for key, entry in self._found.items()
                if (entry.ref.kind, entry.container) != (kind, container)
            }

    def forget_below(self, kind: Kind, path: Path) -> None:
        """Drop those of a kind at or below a path, which is about to be read again."""
        with self._lock:
            self._found = {
                (ref, place): entry
                for (ref, place), entry in self._found.items()
                if ref.kind is not kind or not Path(place).is_relative_to(path)
            }

    def all(self) -> list[Unreadable]:
        """Return all of them."""
        with self._lock:
            return list(self._found.values())
