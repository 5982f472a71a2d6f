"""Puts a run or logged model together beside its place, and gives it its name in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from migrate.endpoints.directory.layout import (
    ARTIFACTS,
    SIDECAR_FILE,
    name_of_partial,
    name_of_replaced,
    partial_directory,
    replaced_directory,
)
from migrate.endpoints.directory.native.artifacts import INCOMING, IncomingFiles, whole_files
from migrate.endpoints.directory.native.sidecar import Sidecar, StoredFile
from migrate.endpoints.disk import (
    json_text,
    load_object,
    reading,
    refuse_links,
    subdirectories,
    sync,
    writing,
)

_WORK = ".work"  # what a later attempt needs to go on; nothing in it belongs to the export
_STARTED = "started.json"
_NAMES = "names.jsonl"


class PartialCopy:
    """A directory in the making; until ``publish`` has returned, a reader sees the earlier one.

    ``record`` is the name of the JSON file that tells what it is, ``started`` what a later
    attempt can go on from. ``sidecar`` is that of the complete copy which is there already and
    is to be replaced: its files stay where they do not come again.
    """

    def __init__(
        self,
        base: Path,
        place: Path,
        record: str,
        *,
        started: Mapping[str, Any],
        replaces: bool,
        sidecar: Sidecar | None,
        folds_case: bool,
    ) -> None:
        self._base = base
        self._place = place
        self._record = record
        self._replaces = replaces
        self._sidecar = sidecar
        self._partial = partial_directory(place)
        self.work = self._partial / _WORK
        self._begin(started)
        self.files = IncomingFiles(
            self._partial / ARTIFACTS, self.work, self.work / _NAMES, folds_case=folds_case
        )

    def listing(self) -> list[StoredFile]:
        """Return the files the copy has so far, those of the earlier copy included."""
        files = {file.path: file for file in self._files_to_carry()}
        files |= {file.path: file for file in self.files.listing()}
        return list(files.values())

    def publish(self, record: Path, sidecar: Callable[[tuple[StoredFile, ...]], Sidecar]) -> None:
        """Give the directory its name; ``record`` is the JSON file, written in ``work``.

        Contents are made durable first, names with the last one: file systems keep their order,
        and where one does not, the sizes in migrate.json show it. Raises ``StorageFull`` or
        ``DirectoryError``.
        """
        self.files.carry(self._base, self._place, self._files_to_carry())
        with writing(self._place):
            content = sidecar(tuple(sorted(self.files.recorded())))
            self.files.sync()
            self.files.remove_if_empty()
            sidecar_file = self._partial / SIDECAR_FILE
            sidecar_file.write_text(json_text(content.to_json()))
            sync(sidecar_file)
            sync(record)
            os.replace(record, self._partial / self._record)
            replaced = replaced_directory(self._place)
            if self._place.exists():
                os.rename(self._place, replaced)
            os.rename(self._partial, self._place)
            sync(self._place.parent)
            shutil.rmtree(replaced, ignore_errors=True)

    def clear(self) -> None:
        """Remove what only the making needed; called when nothing of it is open any more."""
        shutil.rmtree(self._place / _WORK, ignore_errors=True)

    def _begin(self, started: Mapping[str, Any]) -> None:
        """Make the partial directory, or clear one that was left of all but whole files."""
        refuse_links(self._base, self.work)
        with writing(self._partial):
            self.work.mkdir(parents=True, exist_ok=True)
            for leftover in self.work.glob(f"*{INCOMING}"):
                leftover.unlink()
            for name in (self._record, SIDECAR_FILE):
                (self._partial / name).unlink(missing_ok=True)
            (self.work / _STARTED).write_text(json_text({"mlflow": started}))

    def _files_to_carry(self) -> list[StoredFile]:
        """Return the files of the earlier copy that are as they were written."""
        return whole_files(self._base, self._place, self._sidecar) if self._replaces else []


def settle(folder: Path) -> None:
    """Finish what was killed in ``folder``: replacements, and clearing up after complete copies.

    Raises ``DirectoryError``.
    """
    for place in replaced_in(folder):
        restore_replaced(place)
    if not folder.is_dir():
        return
    with reading(folder):
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    for name in names:
        if os.path.lexists(folder / name / _WORK):
            shutil.rmtree(folder / name / _WORK, ignore_errors=True)


def restore_replaced(place: Path) -> None:
    """Undo or finish a replacement that was killed half-way. Raises ``DirectoryError``."""
    replaced = replaced_directory(place)
    if not os.path.lexists(replaced):
        return
    with writing(place):
        if place.exists():
            shutil.rmtree(replaced)
        else:
            os.rename(replaced, place)


def take_up(place: Path, record: str) -> None:
    """Make a directory that has lost its ``record`` a half-made one, whose files are kept."""
    partial = partial_directory(place)
    whole = place.is_symlink() or os.path.lexists(place / record)
    if place.is_dir() and not whole and not os.path.lexists(partial):
        with writing(place):
            os.rename(place, partial)


def discard_partial(base: Path, place: Path) -> None:
    """Remove what a killed attempt left beside a place. Raises ``DirectoryError``."""
    partial = partial_directory(place)
    refuse_links(base, partial)
    if partial.exists():
        with writing(partial):
            shutil.rmtree(partial)


def started_with(base: Path, partial: Path) -> Mapping[str, Any]:
    """Return what a half-made copy was begun with. Raises ``DirectoryError`` or KeyError."""
    document = load_object(base, partial / _WORK / _STARTED)
    value: Mapping[str, Any] = document["mlflow"]
    return value


def half_made_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and directory of all that is being put together in ``folder``, or was."""
    for path in subdirectories(folder):
        name = name_of_partial(path.name)
        if name is not None:
            yield name, path


def replaced_in(folder: Path) -> Iterator[Path]:
    """Yield the place of everything in ``folder`` whose old copy has been put aside."""
    for path in subdirectories(folder):
        name = name_of_replaced(path.name)
        if name is not None:
            yield path.with_name(name)


def complete_place(place: Path) -> Path | None:
    """Return where the complete copy of what belongs to ``place`` is; None without one."""
    for path in (place, replaced_directory(place)):
        if os.path.lexists(path):
            return path
    return None
