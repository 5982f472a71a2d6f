"""What servers and storages mean by failing: that it may pass, or that no room is left."""

from __future__ import annotations

import re

from migrate.errors import StorageFull

#: Statuses that may pass by themselves.
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
#: "Insufficient Storage".
INSUFFICIENT = 507
#: The words of operating systems, SQLite, MySQL and S3-like storages. Not "quota" alone: a limit
#: of requests has that name as well, and passes.
_WORDS = re.compile(
    r"no space left|\b(?:disk|file ?system|volume|storage) (?:or disk )?is full|\bdisk full"
    r"|\b(?:disk|storage) quota|\bEDQUOT\b|\bENOSPC\b|\btable '[^']*' is full"
    r"|not enough (?:disk )?space|minimum free drive threshold|XMinioStorageFull",
    re.IGNORECASE,
)

#: Databases and their drivers: another transaction is in the way.
LOCKED = (
    "database (table )?is locked|database schema is locked|lock wait timeout|deadlock"
    "|lock timeout|could not serialize|record has changed since"
)
#: Databases and their drivers: there is no connection, or no more of it.
AWAY = (
    "connection refused|could not connect|could not translate host name|timeout expired"
    "|timed out|closed the connection|connection to server|terminating connection"
    "|starting up|shutting down|too many (clients|connections)|can't connect to|gone away"
    "|lost connection|unknown mysql server host|shutdown in progress|connection was killed"
    "|query execution was interrupted|connection reset|broken pipe|is blocked because of"
    "|SSL connection has been closed|SSL SYSCALL error|could not (send|receive) data"
    # What drivers say of a connection that was lost with the statement before.
    "|connection already closed|connection is (closed|lost)|cursor already closed"
)
#: SQLAlchemy: what went wrong before, with the same connection, or one not to be had.
_SPOILT = (
    "pool limit of size|invalid transaction is rolled back|transaction has been rolled back"
    "|current transaction is aborted|packet sequence number wrong"
)
_PASSES = re.compile(f"{LOCKED}|{AWAY}|{_SPOILT}", re.IGNORECASE)
#: Drivers of databases: what was written beside is there already.
_RACE = re.compile(r"\((?:\w+\.)+(?:IntegrityError|UniqueViolation)\)")
#: Ends what SQLAlchemy says of itself and of a driver.
_OF_SQLALCHEMY = "https://sqlalche.me/"


def database_may_recover(text: str) -> bool:
    """Say whether a server passes on that its database has no connection for it, or no turn.

    MLflow answers with 400 and ``BAD_REQUEST`` to all that SQLAlchemy raises but
    ``OperationalError``: a pool of connections that is used up (15 by default) among it.
    """
    return _OF_SQLALCHEMY in text and _PASSES.search(without_statement(text)) is not None


def is_race(text: str) -> bool:
    """Say whether two requests were about to write one row at once, such as a shared dataset.

    MLflow passes on what SQLAlchemy says. Values of users, which may have such words in them, stand
    in the statement, or in a message that is none of SQLAlchemy's.
    """
    return _OF_SQLALCHEMY in text and _RACE.search(without_statement(text)) is not None


def without_statement(text: str) -> str:
    """Return what SQLAlchemy says without the statement, which has values of users in it."""
    return text.partition("[SQL")[0]


def says_full(text: str) -> bool:
    """Say whether these are the words of something that has no room left."""
    return _WORDS.search(without_statement(text)) is not None


def storage_full(message: str, side: str) -> StorageFull:
    """Return the error for a ``side`` that has no room left."""
    return StorageFull(
        message, f"make room where the {side} keeps its files and its database, then go on"
    )
