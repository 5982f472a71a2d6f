"""Yields what is whole in an experiment's directory, and reports what is not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.indexes.listed import Listed, listed_in
from migrate.endpoints.directory.layout import EXPERIMENT_FILE, directory_name
from migrate.endpoints.directory.native.replacing import half_made_in
from migrate.endpoints.directory.native.sidecar import Sidecar
from migrate.endpoints.directory.unreadable import (
    half_made,
    held_twice,
    not_listed,
    not_there,
)
from migrate.endpoints.disk import DAMAGED, load_object
from migrate.errors import DirectoryError
from migrate.kinds import Kind, Ref

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Generic[T]):
    """A kind that lies in an experiment's directory, ``folder`` being where ours puts it.

    Indexes list it under the name of that folder.
    """

    kind: Kind
    folder: str
    directories: Callable[[Path], Iterator[tuple[str, Path]]]
    load: Callable[[Path, str], tuple[T, Sidecar | None]]
    id_of: Callable[[T], str]


class Listing(Generic[T]):
    """Lists one kind; several threads may use it."""

    def __init__(self, export: Export, member: Member[T]) -> None:
        self._export = export
        self._member = member
        self._holders: dict[str, str] = {}  # id -> the first directory found with it
        self._indexes: dict[Path, tuple[object, Listed]] = {}

    def of(self, experiment_id: str, directory: Path) -> Iterator[T]:
        """Yield what can be read in an experiment's directory, and report what cannot.

        What the export lacks and is not there failed to export.
        """
        member = self._member
        self._export.unreadable.forget(member.kind, experiment_id)
        index = directory / EXPERIMENT_FILE
        listed = self._listed(index)
        names = set()
        for name, path in member.directories(directory):
            names.add(name)
            try:
                found, sidecar = member.load(path, experiment_id)
                ident = member.id_of(found)
                names.add(ident)
                self._require_only(ident, path)
                _require_listed(listed, index, path, ident, sidecar)
            except DirectoryError as problem:
                self._report(name, experiment_id, path, problem)
                continue
            yield found
        for name, path in half_made_in(directory / member.folder):
            if name not in names:
                names.add(name)
                self._report(name, experiment_id, path, half_made(path))
        for lacking in self._export.lacks.within(member.kind, experiment_id):
            if not names & {lacking.ref.id, directory_name(lacking.ref.id)}:
                names.add(lacking.ref.id)
                self._export.unreadable.add(lacking)
        self._report_absent(experiment_id, index, listed, names)

    def require_whole(
        self, directory: Path, path: Path, ident: str, sidecar: Sidecar | None
    ) -> None:
        """Raise ``DirectoryError`` when what was read at ``path`` did not finish its export.

        ``directory`` is that of its experiment, ``ident`` its id.
        """
        index = directory / EXPERIMENT_FILE
        signature = _signature(index)
        kept = self._indexes.get(index)
        if kept is None or kept[0] != signature:
            listed = self._listed(index)
            kept = self._indexes[index] = signature, listed
        _require_listed(kept[1], index, path, ident, sidecar)

    def _listed(self, index: Path) -> Listed:
        """Return what experiment.json lists; nothing where it is damaged, which is reported."""
        try:
            document = load_object(self._export.base, index)
            return listed_in(index, document, self._member.folder)
        except DirectoryError as problem:
            if problem.hint != DAMAGED:
                raise
            return Listed(None, frozenset())

    def _report(self, name: str, container: str, path: Path, problem: DirectoryError) -> None:
        self._export.unreadable.report(Ref(self._member.kind, name), container, path, problem)

    def _require_only(self, ident: str, path: Path) -> None:
        """Raise ``DirectoryError`` when another directory holds one of the same id."""
        first = self._holders.setdefault(ident, str(path))
        if first != str(path):
            if os.path.lexists(first):
                raise held_twice(f"{self._member.kind} {ident}", path, Path(first))
            self._holders[ident] = str(path)

    def _report_absent(
        self, experiment_id: str, index: Path, listed: Listed, found: set[str]
    ) -> None:
        known = found | {directory_name(name) for name in found}
        for name in sorted((listed.whole or frozenset()) | listed.failed):
            if name not in known and directory_name(name) not in known:
                failed = name in listed.failed
                problem = not_there(index, f"{self._member.kind} {name}", failed=failed)
                path = index.with_name(directory_name(name))
                self._report(name, experiment_id, path, problem)


def _require_listed(
    listed: Listed, index: Path, path: Path, ident: str, sidecar: Sidecar | None
) -> None:
    """Other tools write a record first and its files later, and list both when they are there."""
    if sidecar is None and not listed.holds(path.name, ident):
        raise not_listed(path, index)


def _signature(path: Path) -> tuple[int, int]:
    """Return what changes with a file's content; the same for all that are missing."""
    try:
        status = path.lstat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
