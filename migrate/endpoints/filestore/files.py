"""Reads what MLflow keeps in files: YAML, texts under their keys, lines of metrics.

None of it is trusted: sizes are bounded, links are not followed, no YAML tag makes anything.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from migrate.endpoints.disk import DAMAGED, open_file, reading, refuse_links
from migrate.endpoints.file_stores import META
from migrate.endpoints.shapes import Object
from migrate.errors import DirectoryError
from migrate.objects import Loss

#: Bytes of a YAML file: the schema and profile of a dataset may have 17 MB together.
LONGEST_YAML = 32 << 20
#: Bytes of a value, and of all params or all tags of one object.
LONGEST_TEXT = 16 << 20
LONGEST_TEXTS = 64 << 20
#: Bytes of a line of a metric: three numbers, an id, and name and digest of a dataset.
LONGEST_LINE = 4096
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: MLflow empties a file before it writes it anew.
_WRITTEN_AGAIN = 0.1
_WHERE = "a file store"
_REPAIR = "mend it, or restore it from a backup; what else is in the store is copied without it"
#: What systems and tools leave in any folder, under names that nobody gives a tag or run.
_FOREIGN = re.compile(
    r"\.DS_Store|\._.*|\.nfs[0-9a-f]+|\.(?:git)?keep|\.gitignore|\.fuse_hidden.*|Thumbs\.db"
    r"|desktop\.ini|__pycache__|\.ipynb_checkpoints|lost\+found",
    re.DOTALL,
)
#: What is lost of one object, for what reads it to add to.
Losses = list[Loss]


def is_foreign(name: str) -> bool:
    """Say whether a file or folder is none of MLflow's, wherever in a store it is."""
    return _FOREIGN.fullmatch(name) is not None


def is_name(text: str) -> bool:
    """Say whether an id can be the name of one file or folder, which no path leads out of."""
    parts = {"/", "\0", os.sep, os.altsep} & {*text}
    return text not in ("", ".", "..") and not parts and len(text) < 256


class StoreFiles:
    """The files of one store, by their paths. Methods raise ``DirectoryError``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def opened(self, path: Path) -> Iterator[BinaryIO]:
        """Open a regular file for reading; what goes wrong as it is read is translated."""
        try:
            with open_file(self.root, path, _WHERE) as file, reading(path):
                yield file
        except DirectoryError as problem:
            hint = _REPAIR if problem.hint == DAMAGED else problem.hint
            raise DirectoryError(problem.message, hint) from problem

    def described(self, folder: Path, name: str = META) -> Object:
        """Return what a YAML file of an object says of it."""
        path = folder / name
        content = self._content(path, LONGEST_YAML)
        if not content.strip():
            time.sleep(_WRITTEN_AGAIN)
            content = self._content(path, LONGEST_YAML)
        if not content.strip():
            raise DirectoryError(f"{path} is empty: writing it was cut off", _REPAIR)
        try:
            value = _parsed(content.decode())
        except (yaml.YAMLError, ValueError, RecursionError) as problem:
            reason = " ".join(str(problem).replace('in "<unicode string>", ', "").split())[:200]
            raise DirectoryError(
                f"{path} is not valid YAML, it may be cut off: {reason}", _REPAIR
            ) from None
        if not isinstance(value, dict):
            raise DirectoryError(f"{path} holds no YAML mapping", _REPAIR)
        return value

    def texts(self, folder: Path, what: str, losses: Losses) -> dict[str, str]:
        """Return the texts below a folder by their keys, which are paths.

        One that cannot be had as it is is added to the losses, as a ``what``: a tag or param.
        """
        found: dict[str, str] = {}
        left = LONGEST_TEXTS
        for key, path in self.keys(folder, what, losses):
            try:
                content = self._content(path, min(left, LONGEST_TEXT))
            except DirectoryError as problem:
                losses.append(self.lost(f"{what} {key}", problem.message))
                continue
            left -= len(content)
            try:
                found[key] = content.decode()
            except UnicodeDecodeError:
                found[key] = content.decode(errors="replace")
                reason = f"{path} is no UTF-8: what is not is replaced"
                losses.append(self.lost(f"{what} {key}", reason))
        return found

    def keys(self, folder: Path, what: str, losses: Losses) -> Iterator[tuple[str, Path]]:
        """Yield the keys below a folder in their order, and their files, which may be links.

        A folder that cannot be listed is added to the losses; a missing one has no keys.
        """
        left = [folder]
        while left:
            place = left.pop()
            try:
                refuse_links(self.root, place, _WHERE)
                with reading(place), os.scandir(place) as entries:
                    listed = sorted(entries, key=lambda it: it.name)
            except DirectoryError as problem:
                if place != folder or os.path.lexists(place):
                    where = place.relative_to(folder.parent).as_posix()
                    losses.append(self.lost(f"folder {where}", problem.message))
                continue
            for entry in listed:
                path = place / entry.name
                if is_foreign(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    left.append(path)
                else:
                    yield path.relative_to(folder).as_posix(), path

    def lines(self, path: Path) -> Iterator[bytes | None]:
        """Yield the lines of a file; None in place of one that is too long to be any."""
        with self.opened(path) as file:
            while line := file.readline(LONGEST_LINE):
                if len(line) < LONGEST_LINE or line.endswith(b"\n"):
                    yield line
                    continue
                while line and not line.endswith(b"\n"):
                    line = file.readline(LONGEST_YAML)
                yield None

    def lost(self, what: str, reason: str) -> Loss:
        """Return a loss as copies tell it: without where on this machine the store is."""
        return Loss(what[:80], reason.replace(f"{self.root}{os.sep}", ""))

    def _content(self, path: Path, longest: int) -> bytes:
        with self.opened(path) as file:
            content = file.read(longest + 1)
        if len(content) > longest:
            raise DirectoryError(f"{path} is longer than {longest} bytes", "shorten it")
        return content


def _parsed(text: str) -> Any:
    """Return what YAML says. Raises ``YAMLError`` and ``ValueError``."""
    if "*" in text and any(isinstance(it, yaml.AliasEvent) for it in yaml.parse(text, _LOADER)):
        raise ValueError("it has an alias, which can make much of little, and MLflow writes none")
    return yaml.load(text, _LOADER)  # noqa: S506 - a safe one
