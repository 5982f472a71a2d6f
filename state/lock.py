"""Keeps a second process away from a state database for as long as the first one lives.

A lock on a file beside SQLite's, a lock of the session on a database server. Both end with the
process, however it ends, so nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from migrate.errors import MigrateError, StateError, StateInUse
from migrate.holder import Holder, this_process
from state import schema
from state.database import Location, connect

_NOTICE_SECONDS = 2.0
_PURPOSE = 0x6D6C6D67  #: tells our advisory locks from those of other programs


def lock_file(location: Location, path: Path) -> FileLock:
    """Take the lock beside a SQLite file. Raises ``StateInUse`` or ``StateError``."""
    lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise _in_use(location) from None
    except OSError as error:
        raise StateError(
            f"the state database {path} cannot be locked: {error.strerror or error}",
            "Check that you may write to its directory, or name another file with --state.",
        ) from error
    return lock


def lock_session(location: Location, connection: Connection) -> None:
    """Take the lock of a database server, which lasts until the connection closes.

    Raises ``StateInUse`` after two seconds, in which the server may notice that the process that
    held it is dead.
    """
    deadline = time.monotonic() + _NOTICE_SECONDS
    while not _try_session(connection):
        if time.monotonic() > deadline:
            raise _in_use(location)
        time.sleep(0.1)


def _try_session(connection: Connection) -> bool:
    with connection.begin():
        if connection.dialect.name == "postgresql":
            # The server keeps such locks apart by database; a schema may hold a state of its own.
            schema_key = func.hashtext(func.current_schema())
            taken = connection.scalar(select(func.pg_try_advisory_lock(_PURPOSE, schema_key)))
        else:
            database = str(connection.scalar(select(func.database())))
            name = f"mlflow-migrate {hashlib.sha256(database.encode()).hexdigest()[:40]}"
            taken = connection.scalar(select(func.get_lock(name, 0)))
    return bool(taken)


def sign(connection: Connection) -> None:
    """Write down who holds the lock, for the message another process gets."""
    connection.execute(delete(schema.holder))
    connection.execute(insert(schema.holder).values(this_process()._asdict()))


def _in_use(location: Location) -> StateInUse:
    return StateInUse(
        f"the state database {location.label} is in use by {_holder(location)}",
        "Wait for it or stop it, then try again; `migrate status` and `migrate map` may run "
        "beside it. To migrate something else meanwhile, name another --state.",
    )


def _holder(location: Location) -> str:
    try:
        with connect(location, read_only=True) as connection, connection.begin():
            row = connection.execute(select(schema.holder)).one()
    except (SQLAlchemyError, MigrateError):
        return "another process"  # it has only just begun: the table is not there yet
    return str(Holder(row.pid, row.host, row.since))
