"""Keeps a second writer away from an export for as long as the first one lives.

A lock on a file in the directory, which ends with the process, however it ends. Who only reads
needs none: every object appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from migrate.endpoints.directory.layout import LOCK_FILE
from migrate.endpoints.disk import refuse_links, writing
from migrate.errors import DirectoryError, TargetInUse
from migrate.holder import Holder, this_process

#: A reader that looks whether somebody writes holds the lock for a moment.
_PATIENCE_SECONDS = 2.0


class ExportLock:
    """The right to write into the export at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: FileLock | None = None
        self._before = b""

    @property
    def held(self) -> bool:
        """True while this is the one that may write."""
        return self._lock is not None

    def take(self) -> None:
        """Take it, once. Raises ``TargetInUse`` or ``DirectoryError``."""
        if self._lock is not None:
            return
        file = self._path / LOCK_FILE
        refuse_links(self._path, file)
        lock = FileLock(file, timeout=_PATIENCE_SECONDS, thread_local=False)
        try:
            lock.acquire()
            self._before = file.read_bytes()
            file.write_text(json.dumps(this_process()._asdict()) + "\n")
        except Timeout:
            raise TargetInUse(
                f"{self._path} is being written by {_holder(file)}",
                "wait for it or stop it, then try again; migrate plan, migrate verify and imports"
                " from it may run beside it. To export meanwhile, name another directory",
            ) from None
        except OSError as error:
            lock.release()
            raise DirectoryError(
                f"{file} cannot be locked: {error.strerror or error}",
                "check the permissions of the directory",
            ) from error
        self._lock = lock

    def finished(self) -> None:
        """Say that nothing is left undone; does nothing where it is not held."""
        if self._lock is not None:
            with writing(self._path / LOCK_FILE):
                (self._path / LOCK_FILE).write_bytes(b"")

    def unused(self) -> None:
        """Say that nothing was written; does nothing where it is not held."""
        if self._lock is not None:
            with writing(self._path / LOCK_FILE):
                (self._path / LOCK_FILE).write_bytes(self._before)

    def release(self) -> None:
        """Let others write; does nothing where it is not held.

        Without ``finished`` before it, readers are told of a writer that did not finish.
        """
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def state_of(path: Path) -> str:
    """Say that somebody writes into the export at ``path``, or did not finish; else nothing.

    Writes nothing there. Who writes cannot be seen on Windows, nor where the file is not to be
    read.
    """
    if sys.platform == "win32":
        return ""
    import fcntl

    file = path / LOCK_FILE
    with suppress(OSError):
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.fstat(handle).st_size:
                return f"{path} is as {_holder(file)}, left it when it did not finish: export again"
        except BlockingIOError:
            return f"{path} is being written by {_holder(file)}: it is read as it was meanwhile"
        finally:
            os.close(handle)
    return ""


def _holder(file: Path) -> str:
    try:
        return str(Holder(**json.loads(file.read_bytes())))
    except (OSError, ValueError, TypeError):
        return "another process"  # it has only just begun
