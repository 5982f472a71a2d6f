"""The files of one run: listed, opened, and taken in under safe names."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import BinaryIO, cast
from uuid import uuid4

from migrate.endpoints.directory.layout import ARTIFACTS, escaped, file_name
from migrate.endpoints.directory.native.digests import CheckedFile, digest_on_disk
from migrate.endpoints.directory.native.sidecar import Sidecar, StoredFile
from migrate.endpoints.disk import (
    DAMAGED,
    open_file,
    reading,
    refuse_links,
    sync,
    writing,
)
from migrate.endpoints.shapes import parse_json, texts
from migrate.errors import DirectoryError, Malformed, NotFound, Unavailable
from migrate.objects import Artifact

INCOMING = ".incoming"
_CHUNK = 1 << 20


def files_on_disk(base: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the path below ``folder`` and the size of every file.

    Raises ``DirectoryError`` for a link, a device or a pipe.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    refuse_links(base, folder)
    pending = [(folder, "")]
    while pending:
        directory, prefix = pending.pop()
        with reading(directory), os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append((Path(entry.path), f"{path}/"))
                elif entry.is_file(follow_symlinks=False):
                    yield path, entry.stat(follow_symlinks=False).st_size
                else:
                    raise DirectoryError(
                        f"{entry.path} is neither a file nor a directory; links in an export are"
                        " not followed",
                        "replace it by what it points to, or remove it",
                    )


def stored_files(base: Path, run: Path, sidecar: Sidecar | None) -> list[StoredFile]:
    """Return the files a complete run was written with, and those added by hand since.

    One that is missing or cut off by now is among them; opening it tells.
    """
    written = sidecar.artifacts if sidecar else ()
    known = {file.stored_as for file in written}
    on_disk = files_on_disk(base, run / ARTIFACTS)
    added = [StoredFile(path, size, path) for path, size in on_disk if path not in known]
    return [*written, *added]


def whole_files(base: Path, run: Path, sidecar: Sidecar | None) -> list[StoredFile]:
    """Return the files of a complete run that are on disk as they were written."""
    sizes = dict(files_on_disk(base, run / ARTIFACTS))
    files = stored_files(base, run, sidecar)
    return [file for file in files if sizes.get(file.stored_as) == file.size]


def open_stored(
    base: Path, folder: Path, stored_as: str, size: int, *, digest: str = ""
) -> BinaryIO:
    """Open one file by its path on disk below ``folder``; held against its ``digest``, if any.

    Raises ``NotFound``, and ``DirectoryError`` when it is a link or has another size.
    """
    path = folder / stored_as
    # What is told ends up in tags of the copy, where a path of this machine has no place.
    shown = os.path.relpath(path, base)
    outside = any(part in ("", ".", "..") for part in stored_as.split("/")) or "\0" in stored_as
    if outside or not os.path.lexists(path):
        within = os.path.relpath(folder, base)
        raise NotFound(f"{within} of the export has no artifact {stored_as!r}", DAMAGED)
    file = open_file(base, path)
    found = os.fstat(file.fileno()).st_size
    if found != size:
        file.close()
        raise DirectoryError(f"{shown} has {found} bytes, where {size} were listed", DAMAGED)
    return cast(BinaryIO, CheckedFile(file, path, shown, size, digest)) if digest else file


class IncomingFiles:
    """The files in ``folder``, which is being filled; several threads may add to it.

    What is there stays there when the process dies, with the names it was given, which
    ``journal`` keeps, so that a later attempt goes on from it. Files come in through ``work``.
    ``folds_case`` says that the file system takes ``A`` and ``a`` for the same name; where
    ``durable``, each file survives a power cut as soon as it is there.
    """

    def __init__(
        self, folder: Path, work: Path, journal: Path, *, folds_case: bool, durable: bool = False
    ) -> None:
        self._folder = folder
        self._work = work
        self._journal = journal
        self._folds_case = folds_case
        self._durable = durable
        self._lock = Lock()
        with writing(self._folder):
            self._folder.mkdir(exist_ok=True)
        self._renamed = names_given(self._journal.parent, self._journal)
        self._digests: dict[str, str] = {}

    def put(self, artifact: Artifact, stream: BinaryIO, arrived: Callable[[int], None]) -> None:
        """Take in one file; ``arrived`` is told of every piece's size in bytes.

        Raises ``Unavailable`` when the stream ends early or late, ``Refused`` when the file
        system cannot hold the name, ``StorageFull`` or ``DirectoryError``.
        """
        place = self._folder / self._place(artifact.path)
        incoming = self._work / f"{uuid4().hex}{INCOMING}"
        try:
            size, digest = _write(incoming, _pieces(artifact, stream), arrived)
            if size != artifact.size:
                raise Unavailable(
                    f"artifact {artifact.path!r} came with {size} bytes; it was listed with"
                    f" {artifact.size}"
                )
            with writing(place):
                if self._durable:
                    sync(incoming)
                os.replace(incoming, place)
                if self._durable:
                    sync(place.parent)
            self._digests[artifact.path] = digest
        finally:
            incoming.unlink(missing_ok=True)

    def carry(self, base: Path, run: Path, files: Sequence[StoredFile]) -> None:
        """Take over the files of the run's earlier copy that have not come again."""
        there = {file.path for file in self.listing()}
        for file in files:
            if file.path in there:
                continue
            source = run / ARTIFACTS / file.stored_as
            refuse_links(base, source)
            place = self._folder / self._place(file.path)
            with writing(place):
                _link_or_copy(source, place)
            # What it was written with, not what a disk has made of it since.
            self._digests[file.path] = file.digest

    def listing(self) -> list[StoredFile]:
        """Return what is there so far; every file in it is whole."""
        paths = {stored: path for path, stored in self._renamed.items()}
        return [
            StoredFile(paths.get(stored, stored), size, stored)
            for stored, size in files_on_disk(self._folder.parent, self._folder)
        ]

    def recorded(self) -> list[StoredFile]:
        """Return what is there with its digests; of what an earlier attempt left, it reads them."""
        files = []
        for file in self.listing():
            digest = self._digests.get(file.path)
            if digest is None:
                digest = digest_on_disk(self._folder / file.stored_as)
            files.append(file._replace(digest=digest))
        return files

    def sync(self) -> None:
        """Make the content of everything that is there survive a power cut."""
        for stored, _ in files_on_disk(self._folder.parent, self._folder):
            with writing(self._folder / stored):
                sync(self._folder / stored)

    def remove_if_empty(self) -> None:
        """Remove the directory of a run without files."""
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _place(self, path: str) -> str:
        """Choose the name ``path`` is stored under, and make the directories above it."""
        with self._lock:
            if path in self._renamed:
                stored = self._renamed[path]
            else:
                stored = self._choose(path)
                if stored != path:
                    self._renamed[path] = stored
                    with writing(self._journal), self._journal.open("a") as journal:
                        journal.write("\n" + json.dumps([path, stored]) + "\n")
                    if self._durable:
                        sync(self._journal)
            parent = (self._folder / stored).parent
            with writing(parent):
                parent.mkdir(parents=True, exist_ok=True)
            return stored

    def _choose(self, path: str) -> str:
        directory = self._folder
        chosen = []
        parts = path.split("/")
        for position, part in enumerate(parts, start=1):
            leaf = position == len(parts)
            name = file_name(part)
            if self._clashes(directory, name, leaf):
                name = escaped(part, "/file" if leaf else "/directory")
            directory /= name
            chosen.append(name)
        return "/".join(chosen)

    def _clashes(self, directory: Path, name: str, leaf: bool) -> bool:
        """Say whether the name is another's: object stores hold both ``a`` and ``a/b``."""
        place = directory / name
        if not os.path.lexists(place):
            return False
        if place.is_dir() == leaf:
            return True
        with writing(directory):
            return self._folds_case and name not in os.listdir(directory)


def names_given(base: Path, journal: Path) -> dict[str, str]:
    """Return, by their paths, the names of files that do not have their own.

    A line may be empty or cut off. Raises ``DirectoryError``.
    """
    if not os.path.lexists(journal):
        return {}
    with open_file(base, journal) as file, reading(journal):
        lines = file.read().splitlines()
    names = {}
    for line in lines:
        try:
            path, stored = texts({"names": parse_json(line)}, "names")
        except (ValueError, Malformed):
            continue
        names[path] = stored
    return names


def _pieces(artifact: Artifact, stream: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            piece = stream.read(_CHUNK)
        except OSError as error:  # of the source, not of this directory
            raise Unavailable(f"artifact {artifact.path!r} broke off: {error}") from error
        if not piece:
            return
        yield piece


def _write(path: Path, pieces: Iterable[bytes], arrived: Callable[[int], None]) -> tuple[int, str]:
    """Write a file; return how many bytes it has, and their digest."""
    size, digest = 0, hashlib.sha256()
    with writing(path), path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            size += len(piece)
            arrived(len(piece))
    return size, digest.hexdigest()


def _link_or_copy(source: Path, place: Path) -> None:
    try:
        os.link(source, place)
    except OSError:  # some file systems have no hard links
        shutil.copyfile(source, place)
