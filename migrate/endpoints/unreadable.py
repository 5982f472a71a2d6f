"""What an endpoint has and cannot give, so that nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from migrate.endpoints.answers import Unreadable
from migrate.errors import EndpointError
from migrate.kinds import Kind, Ref


class UnreadableObjects:
    """Collects them by kind and container; several threads may report."""

    def __init__(self) -> None:
        self._lock = Lock()
        #: By place, of each object.
        self._found: dict[Ref, dict[str, Unreadable]] = {}
        #: The objects of each kind and container.
        self._held: dict[tuple[Kind, str], set[Ref]] = {}

    def report(self, ref: Ref, container: str, where: str | Path, problem: EndpointError) -> None:
        """Add one; ``where`` is the place at fault: a file's path, or a call of a server."""
        self.add(
            Unreadable(
                ref=ref,
                container=container,
                where=str(where),
                reason=problem.message,
                hint=problem.hint,
            )
        )

    def add(self, entry: Unreadable) -> None:
        """Add one that is known from elsewhere."""
        with self._lock:
            self._found.setdefault(entry.ref, {})[entry.where] = entry
            self._held.setdefault((entry.ref.kind, entry.container), set()).add(entry.ref)

    def forget(self, kind: Kind, container: str = "") -> None:
        """Drop those of a kind in an experiment, which is about to be read again."""
        with self._lock:
            for ref in self._held.pop((kind, container), ()):
                self._keep(ref, lambda entry: entry.container != container)

    def forget_below(self, kind: Kind, path: Path) -> None:
        """Drop those of a kind at or below a path, which is about to be read again."""
        with self._lock:
            for ref in [ref for ref in self._found if ref.kind is kind]:
                self._keep(ref, lambda entry: not Path(entry.where).is_relative_to(path))

    def _keep(self, ref: Ref, wanted: Callable[[Unreadable], bool]) -> None:
        entries = self._found.pop(ref, {})
        kept = {place: entry for place, entry in entries.items() if wanted(entry)}
        if kept:
            self._found[ref] = kept

    def of(self, ref: Ref) -> Unreadable | None:
        """Return the first that is about an object, None when there is none."""
        with self._lock:
            return next(iter(self._found.get(ref, {}).values()), None)

    def all(self) -> list[Unreadable]:
        """Return all of them."""
        with self._lock:
            return [entry for entries in self._found.values() for entry in entries.values()]
