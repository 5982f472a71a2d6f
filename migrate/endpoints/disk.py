"""Reading and writing files safely: no links followed, no half-written file, named errors."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from migrate.endpoints.shapes import parse_json
from migrate.errors import DirectoryError, EndpointError, Refused, StorageFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # opening a named pipe must not hang
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

DAMAGED = "restore it from a backup, or delete it and export again"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of writing ``path`` into an error of ``migrate.errors``."""
    try:
        yield
    except OSError as error:
        raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> EndpointError:
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageFull(f"{path} cannot be written: {reason}", "free space, then resume")
    if error.errno == errno.ENAMETOOLONG:
        return Refused(f"{path} cannot be written: {reason}", "export to a shorter path")
    hint = "check the permissions of the directory and the state of the disk, then resume"
    return DirectoryError(f"{path} cannot be written: {reason}", hint)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of reading ``path`` into a ``DirectoryError``."""
    try:
        yield
    except FileNotFoundError as error:
        raise DirectoryError(f"{path} is missing", DAMAGED) from error
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "check the permissions of the directory and the state of the disk"
        raise DirectoryError(f"{path} cannot be read: {reason}", hint) from error


def refuse_links(base: Path, path: Path, where: str = "an export") -> None:
    """Raise ``DirectoryError`` when ``path``, below ``base``, is or goes through a link.

    ``where`` says what ``base`` is.
    """
    step = base
    for part in path.relative_to(base).parts:
        step = step / part
        if step.is_symlink():
            raise DirectoryError(
                f"{step} is a symbolic link; links in {where} are not followed",
                "replace it by what it points to",
            )


def open_file(base: Path, path: Path, where: str = "an export") -> BinaryIO:
    """Open a regular file below ``base`` for reading. Raises as ``refuse_links``."""
    refuse_links(base, path, where)
    with reading(path):
        handle = os.open(path, _READ_FLAGS)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise DirectoryError(f"{path} is not a regular file", "remove it")
        return os.fdopen(handle, "rb")


def load_object(base: Path, path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object. Raises ``DirectoryError``."""
    with open_file(base, path) as file, reading(path):
        content = file.read()
    return parse_object(path, content)


def parse_object(path: Path, content: bytes) -> dict[str, Any]:
    """Return the JSON object in ``content``, which was read from ``path``."""
    try:
        value = parse_json(content)
    except ValueError as error:
        raise DirectoryError(
            f"{path} is not valid JSON, it may be cut off: {error}", DAMAGED
        ) from error
    if not isinstance(value, dict):
        raise DirectoryError(f"{path} holds no JSON object", DAMAGED)
    return value


def write_object(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file so that it is there either whole or as it was before."""
    partial = partial_file(path)
    with writing(path):
        partial.write_bytes(json_text(value).encode())
        sync(partial)
        os.replace(partial, path)
        sync(path.parent)


def create_object(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file whole, unless there is one: of several at once, the first stays."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    with writing(path):
        try:
            partial.write_bytes(json_text(value).encode())
            sync(partial)
            _name_first(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        sync(path.parent)


def clear_created(path: Path) -> None:
    """Remove what ``create_object`` left when it was killed; ``path`` is there by now."""
    with writing(path.parent):
        for leftover in path.parent.glob(f".{path.name}.*.partial"):
            leftover.unlink(missing_ok=True)


def _name_first(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        return
    except OSError:  # some file systems have no hard links
        if not os.path.lexists(path):
            os.replace(partial, path)


def partial_file(path: Path) -> Path:
    """Return the name a file has while it is written."""
    return path.with_name(f".{path.name}.partial")


def json_text(value: Mapping[str, Any]) -> str:
    """Return JSON as every tool of this format writes it; NaN stays a bare ``NaN``."""
    return json.dumps(value, indent=2) + "\n"


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a directory, survive a power cut."""
    posix = os.name == "posix"
    if not posix and path.is_dir():
        return  # only POSIX opens directories
    handle = os.open(path, os.O_RDONLY if posix else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def subdirectories(path: Path) -> Iterator[Path]:
    """Yield what is a directory, or a link to be refused by who reads it, in order of name."""
    refuse_links(path.parent, path)
    if not path.is_dir():
        return
    with reading(path), os.scandir(path) as entries:
        names = [entry.name for entry in entries if entry.is_symlink() or entry.is_dir()]
    for name in sorted(names):
        yield path / name


def files_in(path: Path, end: str) -> Iterator[Path]:
    """Yield what is no directory and has a name with this end, in order of name."""
    refuse_links(path.parent, path)
    if not path.is_dir():
        return
    with reading(path), os.scandir(path) as entries:
        names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    for name in sorted(names):
        if name.endswith(end) and not name.startswith("."):
            yield path / name
