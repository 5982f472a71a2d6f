"""Opens connections to the state database, and says in plain words why one does not work."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from migrate.errors import MigrateError, StateError, StateInUse, StorageFull, UsageError
from migrate.redaction import (
    is_bare_login,
    keep_secret,
    redacted,
    redacted_json,
    shown_address,
    without_logins,
)

SERVERS = ("postgresql", "mysql", "mariadb")
OURS = "state_version"  #: the table by which a state database is told from any other

_BUSY_SECONDS = 30
_WAL_BYTES = 64 * 1024 * 1024  #: the write-ahead log shrinks to this after a large transaction
_SHORT = 500  #: characters; reasons are alike by the thousand
#: 32 MB: ids come in no order, so each batch touches pages of indexes everywhere, and those that
#: are touched again before the log is written back are written once.
_WAL_PAGES = 8192
#: For what goes through the whole database, or writes a plan: its index grows everywhere.
_LARGE_CACHE_KIB = 64 * 1024
#: For what is written a batch at a time. SQLite goes through all that is kept at the end of each
#: transaction that splits a page, which takes longer than to read a page once more now and then.
_SMALL_CACHE_KIB = 4 * 1024


@dataclass(frozen=True, slots=True)
class Location:
    """Where a state database is: a SQLite file (``path``) or a database server (``url``)."""

    label: str
    path: Path | None = None
    url: URL | None = None


def locate(location: str | Path) -> Location:
    """Read a path or a SQLAlchemy URL.

    Raises ``UsageError`` for what is neither, and ``StateError`` for what is no file.
    """
    text = str(location)
    if is_bare_login(text):
        raise UsageError(
            f"--state {shown_address(text)!r} is not a database URL: it begins with a login",
            "A URL looks like postgresql+psycopg2://host/database.",
        )
    if "://" not in text:
        return _file(Path(text))
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except ArgumentError:
        raise UsageError(
            f"not a database URL: {redacted(text)}",
            "A path names a SQLite file; a URL looks like postgresql+psycopg2://host/database.",
        ) from None
    keep_secret(url.password and str(url.password), user=url.username or "")
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise UsageError("a state database in memory forgets all", "Name a file with --state.")
        return _file(Path(url.database))
    if backend not in SERVERS:
        raise UsageError(
            f"{backend} databases cannot hold the state",
            f"Use a path (a SQLite file) or a URL of {', '.join(SERVERS)}.",
        )
    return Location(redacted(url.render_as_string(hide_password=True)), url=url)


def _file(path: Path) -> Location:
    # Two names of one file, such as a link to it, must lead to the same lock.
    resolved = path.expanduser().resolve()
    if resolved.exists() and not (resolved.is_file() or resolved.is_dir()):
        # SQLite would wait for the other end of a pipe for ever.
        raise StateError(
            f"{resolved} is a pipe, socket or device, and cannot hold the state",
            "Name a file on a disk with --state.",
        )
    return Location(str(resolved), path=resolved)


def connect(location: Location, *, read_only: bool) -> Connection:
    """Open a connection whose transactions begin when asked and hold DDL too.

    A reader sees one snapshot for each transaction. Raises ``StateError``.
    """
    with translated(location.label):
        if location.path is not None:
            return _connect_file(location.path, read_only)
        assert location.url is not None
        return _connect_server(location.url, read_only)


def _connect_file(path: Path, read_only: bool) -> Connection:
    engine = create_engine(
        "sqlite://",
        creator=lambda: _read_file(path) if read_only else _write_file(path),
        poolclass=NullPool,
        json_serializer=_json,
        json_deserializer=_read_json,
    )
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine.connect()


def _write_file(path: Path) -> sqlite3.Connection:
    return _sqlite(path, "rwc", _set_up_writer)


def _read_file(path: Path) -> sqlite3.Connection:
    try:
        return _sqlite(path, "ro", _table_names)
    except sqlite3.OperationalError:
        if path.with_name(path.name + "-wal").exists():
            raise
        # A directory we may not write to has no room for the files by which readers and a writer
        # agree; without a log beside it the file is complete, and may be read as it is.
        return _sqlite(path, "ro&immutable=1", _table_names)


def _sqlite(
    path: Path, mode: str, set_up: Callable[[sqlite3.Connection], object]
) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{_LARGE_CACHE_KIB}")
        set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _table_names(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in found.fetchall()}


def _set_up_writer(connection: sqlite3.Connection) -> None:
    tables = _table_names(connection)
    if not tables or OURS in tables:  # nothing may be changed in a database of something else
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{_SMALL_CACHE_KIB}")


@contextmanager
def writing_much(connection: Connection) -> Iterator[None]:
    """Keep more pages of a file in memory while very many rows are written at once."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(f"PRAGMA cache_size = -{_LARGE_CACHE_KIB}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA cache_size = -{_SMALL_CACHE_KIB}")


def survive_power_cut(connection: Connection, survive: bool) -> None:
    """Say whether the commits to come wait for the disk; a server has a rule of its own.

    Without, a crash of the machine (not of the process) may undo the last of them, in order.
    """
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(f"PRAGMA synchronous = {'FULL' if survive else 'NORMAL'}")


def _connect_server(url: URL, read_only: bool) -> Connection:
    options: dict[str, object] = {}
    if url.get_driver_name() == "psycopg2":
        options["executemany_mode"] = "values_plus_batch"
    try:
        engine = create_engine(
            url,
            poolclass=NullPool,
            isolation_level="REPEATABLE READ",
            json_serializer=_json,
            json_deserializer=_read_json,
            **options,
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StateError(
            f"the driver of {redacted(str(url))} is not installed: {error}",
            "For Postgres: pip install 'mlflow-migrate[postgres]'.",
        ) from None
    if read_only and engine.dialect.name == "postgresql":
        engine = engine.execution_options(postgresql_readonly=True)
    return engine.connect()


def _read_json(stored: str) -> object:
    """Return what a column holds; it is not to be changed, as columns that are alike share it."""
    if isinstance(stored, str) and stored.startswith("[") and len(stored) <= _SHORT:
        return _parsed_once(stored)
    return _parsed(stored)


def _parsed(stored: str) -> object:
    try:
        value: object = json.loads(stored)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(f"what is no JSON ({error})") from None
    return value


_parsed_once = lru_cache(1024)(_parsed)


def damaged(what: str) -> StateError:
    """Return the error for a state database that holds what this tool has not written."""
    return StateError(
        f"the state database holds {what}: it is damaged, or was changed by something else",
        "Restore it, or move it away: a new plan finds what was copied by its origin on the "
        "target.",
    )


def _json(value: object) -> str:
    if isinstance(value, tuple):
        return _json_of_texts(value)
    return json.dumps(redacted_json(value, without_logins))


@lru_cache(1024)
def _json_of_texts(texts: tuple[object, ...]) -> str:
    """Return texts, and tuples of them, as JSON: reasons and warnings are alike by the thousand."""
    return json.dumps(redacted_json(texts, without_logins))


#: True whether or not a plan was stored by then, which ``--resume`` would need.
_AGAIN = (
    "Run the same command again: what was committed is safe and is not copied again, and where "
    "nothing was, it plans anew."
)


@contextmanager
def translated(label: str) -> Iterator[None]:
    """Turn errors of the database into ours; ``label`` names it in the message.

    Raises ``StateError``, ``StateInUse`` or ``StorageFull``. A broken constraint stays as it is:
    it is a mistake in this package.
    """
    try:
        yield
    except IntegrityError:
        raise
    except OverflowError:  # sqlite3's own: a number counted up from one that fills its column
        raise damaged("a number too large to go on from") from None
    except DBAPIError as error:
        lost = error.connection_invalidated
        raise _translate(error.orig, label, connection_is_lost=lost) from error
    except sqlite3.Error as error:  # rows of a file are read by the driver itself
        raise _translate(error, label, connection_is_lost=False) from error


def _translate(
    error: BaseException | None, label: str, *, connection_is_lost: bool
) -> MigrateError:
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "pgcode", None)
    cause = redacted(str(error).strip().partition("\n")[0])
    match str(code).split("_"):
        case ["SQLITE", "FULL"] | ["SQLITE", "IOERR", "WRITE" | "FSYNC"] | ["53100"]:
            return StorageFull(
                f"the state database {label} cannot grow: {cause}",
                f"The disk is full, or a quota or file size limit is reached. Make room. {_AGAIN}",
            )
        case ["SQLITE", "BUSY" | "LOCKED", *_]:
            return StateInUse(
                f"another program has locked the state database {label}",
                "Close what has the file open (an SQL shell, a backup) and try again.",
            )
        case ["SQLITE", "NOTADB" | "CORRUPT", *_]:
            return StateError(
                f"{label} is damaged, or no state database: {cause}",
                "Name another file with --state, or move this one away: a new plan finds what "
                "was copied by its origin on the target.",
            )
        case ["SQLITE", "CANTOPEN" | "READONLY" | "PERM" | "IOERR", *_]:
            return StateError(
                f"the state database {label} cannot be opened or written: {cause}",
                "Check that the directory exists and that you may write to it, or name another "
                "file with --state.",
            )
    if connection_is_lost:
        return connection_lost(label, cause)
    return StateError(
        f"the state database {label} does not work: {cause}",
        "Check the address, the credentials and that the database server is up.",
    )


def connection_lost(label: str, cause: str = "") -> StateError:
    """Return the error for a server connection that broke, and the hold on the database with it."""
    return StateError(
        f"the connection to the state database {label} broke{': ' * bool(cause)}{cause}",
        _AGAIN,
    )
