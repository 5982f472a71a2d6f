"""Opens a database; a source so that nothing is written to it, whatever is asked of it."""

from __future__ import annotations

import sqlite3
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from migrate.endpoints.database import mysql
from migrate.errors import UsageError
from migrate.redaction import keep_secret, shown_address

#: How MLflow's URIs of databases begin, as far as they can be read here.
SCHEMES = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")
#: Those that MLflow takes as well.
UNREAD = ("mssql",)
#: How long a reader waits for a writer of SQLite, in seconds.
_WAIT = 30
#: What is called the same by others.
_SPELLED = {"postgres": "postgresql", "mariadb": "mysql"}
#: SQLAlchemy's names of drivers with their modules, the one to use first; and what installs one.
_DRIVERS = {
    "postgresql": {"psycopg": "psycopg", "psycopg2": "psycopg2"},
    "mysql": {"pymysql": "pymysql", "mysqldb": "MySQLdb"},
}
_EXTRAS = {"postgresql": "postgres", "mysql": "mysql"}


def is_database(scheme: str) -> bool:
    """Say whether a scheme is that of a database, in whichever form of a driver."""
    return scheme.partition("+")[0] in (*SCHEMES, *UNREAD)


def engine_of(uri: str, *, writes: bool = False) -> Engine:
    """Return what connects to a database, only to read unless it ``writes``.

    Raises ``UsageError``.
    """
    url, shown = url_of(uri), shown_address(uri)
    if url.get_backend_name() != "sqlite":
        return _server(url, shown, writes=writes)
    path = file_of(url, shown)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise UsageError(f"{path} {what}", "name the file of a SQLite database: sqlite:///FILE")
    return _sqlite(path, "rw" if writes else "ro")


def url_of(uri: str) -> URL:
    """Read the URI of a database. Raises ``UsageError`` for one that cannot be opened here."""
    shown = shown_address(uri)
    scheme, colon, rest = uri.partition(":")
    backend, plus, driver = scheme.partition("+")
    uri = f"{_SPELLED.get(backend, backend)}{plus}{driver}{colon}{rest}"
    try:
        url = make_url(uri)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise UsageError(
            f"{shown} is no URI of a database",
            "use sqlite:///FILE, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or mysql://...",
        ) from None
    keep_secret(url.password and str(url.password), user=url.username or "")
    if backend not in SCHEMES:
        raise UsageError(
            f"databases of {backend} are neither read nor written: {shown}",
            "name its tracking server instead: http(s)://host:port",
        )
    return url


def file_of(url: URL, shown: str) -> Path:
    """Return the file of a SQLite database. Raises ``UsageError``."""
    if not url.database or url.database == ":memory:":
        raise UsageError(f"{shown} names no file", "use sqlite:///FILE, or sqlite:////PATH/FILE")
    return Path(url.database).expanduser().absolute()


def _sqlite(path: Path, mode: str) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"file://{quote(str(path))}?mode={mode}",
            uri=True,
            timeout=_WAIT,
            isolation_level=None,  # transactions are begun by us
            check_same_thread=False,
        )

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _server(url: URL, shown: str, *, writes: bool) -> Engine:
    backend = url.get_backend_name()
    if not url.database and backend == "mysql":
        raise UsageError(f"{shown} names no database", "add its name: mysql://HOST:PORT/DATABASE")
    if "+" not in url.drivername:
        # What SQLAlchemy takes it for differs by its version: whichever is installed will do.
        drivers = _DRIVERS[backend]
        driver = next((it for it in drivers if find_spec(drivers[it])), next(iter(drivers)))
        url = url.set(drivername=f"{backend}+{driver}")
    try:
        if backend == "mysql":
            return _mysql(url, writes=writes)
        if writes:
            return create_engine(url, poolclass=NullPool)
        return create_engine(
            url, poolclass=NullPool, isolation_level="REPEATABLE READ"
        ).execution_options(postgresql_readonly=True)
    except (ModuleNotFoundError, NoSuchModuleError) as problem:
        raise UsageError(
            f"the driver for {shown} is not installed: {problem}",
            f"pip install 'mlflow-migrate[{_EXTRAS[backend]}]'",
        ) from None


def _mysql(url: URL, *, writes: bool) -> Engine:
    said = f"SET SESSION sql_mode = '{mysql.MODES}'" if writes else mysql.ONLY_READ
    # Read again, all is as it is then; and fewer rows are locked that a server may want to write.
    level = "READ COMMITTED" if writes else "REPEATABLE READ"
    return create_engine(
        url.update_query_dict({"charset": "utf8mb4"}),
        poolclass=NullPool,
        isolation_level=level,
        connect_args={"init_command": said},
    )


def begin(connection: Connection) -> bool:
    """Have all be read in one state of the database; return False where that cannot be.

    Postgres does so by itself, MySQL where it is told to, SQLite in a transaction where it has a
    write-ahead log. Without one, an open transaction keeps every writer waiting, so each read is
    one of its own.
    """
    if connection.dialect.name in mysql.DIALECTS:
        connection.exec_driver_sql(mysql.BEGIN)
    if connection.dialect.name != "sqlite":
        return True
    if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
        return False
    connection.exec_driver_sql("BEGIN")
    return True
