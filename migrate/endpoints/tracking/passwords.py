"""The file in which the passwords of users made on a target are kept, for their owners to get.

A line of JSON each, after a first line that says what the file is. The only place where they are:
whoever may read it may log in as these users. A password is on the disk before its user is made.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from migrate.endpoints.disk import sync, writing
from migrate.endpoints.shapes import parse_json
from migrate.errors import UsageError
from migrate.redaction import keep_secret

_FIRST = {"mlflow-migrate": "passwords of users made on tracking servers"}
#: Bytes of chance in a password, which is a third longer; MLflow wants 12 characters.
_STRENGTH = 24
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OWN_ONLY = 0o600


class PasswordFile:
    """The passwords of users of one server in such a file; safe for use by several threads."""

    def __init__(self, path: Path, server: str) -> None:
        self._path = path
        self._server = server
        self._lock = threading.Lock()

    def users(self) -> Collection[str]:
        """Return whom this tool has made. Raises ``UsageError`` for a file that is not ours."""
        return self._read().keys()

    def keep_new(self, username: str) -> tuple[str, bool]:
        """Return the password that a user is to get, and whether it was made and kept just now.

        One that is kept stays: its user may have been made without our hearing of it. Raises
        ``UsageError`` and ``DirectoryError``.
        """
        with self._lock:
            kept = self._read().get(username)
            password = kept or secrets.token_urlsafe(_STRENGTH)
            keep_secret(password)
            if kept is None:
                self._append(username, password)
            return password, kept is None

    def withdraw(self, username: str) -> None:
        """Say that the password kept last is nobody's: somebody else has made the user."""
        with self._lock:
            self._append(username, None)

    def _read(self) -> dict[str, str]:
        """Return the passwords by user. The last word on a user counts."""
        found: dict[str, str] = {}
        for line in check_password_file(self._path):
            if line.get("server") == self._server:
                found[line["username"]] = line["password"]
        return {username: password for username, password in found.items() if password}

    def _append(self, username: str, password: str | None) -> None:
        line = {"server": self._server, "username": username, "password": password}
        flags = os.O_WRONLY | os.O_APPEND | _SAFE
        with writing(self._path):
            try:
                handle = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, _OWN_ONLY)
            except FileExistsError:
                handle = os.open(self._path, flags)
            with os.fdopen(handle, "wb") as file:
                # A line may have been cut off before: it ends here.
                begin = "\n" if os.fstat(handle).st_size else json.dumps(_FIRST) + "\n"
                file.write(f"{begin}{json.dumps(line)}\n".encode())
                file.flush()
                os.fsync(handle)
            sync(self._path.parent)


def check_password_file(path: Path) -> list[dict[str, Any]]:
    """Return what such a file says of users; nothing where there is no file yet.

    Raises ``UsageError`` where it can be no such file: something else is there, others may read it,
    or its directory is not one that can be written to.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _SAFE)
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise _no_use(path, "its directory is missing, or not writable") from None
        return []
    except OSError as problem:
        raise _no_use(path, problem.strerror or str(problem)) from None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        raise _no_use(path, "it is no file")
    with os.fdopen(handle, "rb") as file:
        lines = [_parsed(line) for line in file.read().splitlines() if line]
    if about.st_size and lines[:1] != [_FIRST]:
        raise _no_use(path, "a file that is not of this tool is there")
    if about.st_mode & 0o077:
        raise _no_use(path, "others may read it; let nobody but yourself: chmod 600")
    return [line for line in lines[1:] if {"server", "username", "password"} <= line.keys()]


def _parsed(line: bytes) -> dict[str, Any]:
    """Return a line; empty where it is none of ours, as one that was cut off."""
    try:
        value = parse_json(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _no_use(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"passwords of new users cannot be kept in {path}: {reason}",
        "name a file that does not exist yet, or one that an earlier --users has made",
    )
