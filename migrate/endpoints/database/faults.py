"""What database drivers raise, as errors that say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from migrate.endpoints.failures import AWAY, LOCKED
from migrate.errors import (
    EndpointError,
    MigrateError,
    NotAuthenticated,
    NotPermitted,
    Unavailable,
    UsageError,
)
from migrate.redaction import cut


class _Fault(NamedTuple):
    words: re.Pattern[str]
    error: type[MigrateError]
    what: str
    hint: str


def _fault(words: str, error: type[MigrateError], what: str, hint: str) -> _Fault:
    return _Fault(re.compile(words, re.IGNORECASE), error, what, hint)


_FAULTS = (
    _fault(
        "file is not a database|file is encrypted",
        UsageError,
        "is no SQLite database",
        "name the file that the server has as --backend-store-uri",
    ),
    _fault(
        "malformed|disk I/O error|marked as crashed|is corrupt",
        EndpointError,
        "is damaged",
        "restore it from a backup; for a file of SQLite, try: sqlite3 FILE .recover",
    ),
    _fault(
        "readonly database|read-only database",
        EndpointError,
        "was left by a server that was killed: its journal has to be played back, which writes",
        "start its server once and stop it, or copy the file with its -journal and name the copy",
    ),
    _fault(
        "unable to open",
        NotPermitted,
        "cannot be opened",
        "may this user read the file, and (where it has a -wal file) write into its folder?",
    ),
    _fault(
        LOCKED,
        Unavailable,
        "is being written to, without an end",
        "is a long transaction under way?",
    ),
    _fault(
        r"password authentication failed|no password supplied|role \S+ does not exist"
        r"|no pg_hba.conf entry|Access denied for user \S+ \(using|^\(1698,"
        "|is not allowed to connect",
        NotAuthenticated,
        "does not accept the login",
        "check user and password in its URI",
    ),
    _fault(
        "permission denied|command denied to user|Access denied for user|Access denied; you need",
        NotPermitted,
        "does not let this user read all of it",
        "it takes SELECT on every table of MLflow: GRANT SELECT ON ALL TABLES IN SCHEMA ...",
    ),
    _fault(
        r"database \S+ does not exist|Unknown database",
        UsageError,
        "is not there",
        "check the name of the database at the end of its URI",
    ),
    _fault(
        AWAY,
        Unavailable,
        "cannot be reached",
        "is it running, and are host and port right?",
    ),
)


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Turn what a driver raises into an error of ours; ``shown`` names the database."""
    try:
        yield
    except DBAPIError as problem:
        raise _told(str(problem.orig), shown) from None
    except SQLAlchemyError as problem:
        raise _told(str(problem), shown) from None
    except RuntimeError as problem:
        if type(problem) is not RuntimeError:
            raise
        raise _told(str(problem), shown) from None  # pymysql's own, of what a server asks for


@contextmanager
def raised_by_driver(connection: Connection, statement: str = "") -> Iterator[None]:
    """Have what a driver raises be SQLAlchemy's, where the driver itself is asked."""
    driver: Any = connection.dialect.dbapi
    try:
        yield
    except driver.Error as problem:
        raise DBAPIError.instance(statement, None, problem, driver.Error) from None


def _told(text: str, shown: str) -> MigrateError:
    said = cut(" ".join(text.split()), 300)
    for fault in _FAULTS:
        if fault.words.search(text):
            return fault.error(f"{shown} {fault.what}: {said}", fault.hint)
    return EndpointError(f"{shown} cannot be read: {said}")
