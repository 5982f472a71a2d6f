"""What is in an export and cannot be read, so that nothing is left out in silence."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from migrate.endpoints.answers import Unreadable
from migrate.endpoints.directory.disk import DAMAGED
from migrate.errors import DirectoryError
from migrate.objects import Kind, Ref


class UnreadableObjects:
    """Collects them by kind and experiment; several threads may report."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[tuple[Ref, Path], Unreadable] = {}

    def report(self, ref: Ref, container: str, path: Path, problem: DirectoryError) -> None:
        """Add one."""
        entry = Unreadable(
            ref=ref, container=container, where=str(path), reason=problem.message, hint=problem.hint
        )
        with self._lock:
            self._found[ref, path] = entry

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
                if ref.kind is not kind or not place.is_relative_to(path)
            }

    def all(self) -> list[Unreadable]:
        """Return all of them."""
        with self._lock:
            return list(self._found.values())


def held_twice(what: str, here: Path, there: Path) -> DirectoryError:
    """Say that two directories hold the same object."""
    return DirectoryError(f"{here} holds {what}, which {there} holds too", "remove one of them")


def not_listed(place: Path, index: Path) -> DirectoryError:
    """Say that what another tool wrote, which lists what is whole, is not listed."""
    return DirectoryError(
        f"{place} is not listed in {index}: its export did not finish",
        "export it again; if you know it to be whole, add its id to the list there",
    )


def half_made(place: Path) -> DirectoryError:
    """Say that the export of something did not finish."""
    return DirectoryError(f"{place} is half made: its export did not finish", "resume the export")


def not_there(index: Path, name: str, *, failed: bool) -> DirectoryError:
    """Say that an index names what is not on disk; ``failed``: as one that did not export."""
    if failed:
        return DirectoryError(f"{name} failed to export, says {index}", "export it again")
    return DirectoryError(f"{name} is listed in {index}, but is not there", DAMAGED)
