"""Rows of a database that is written to: read as they are now, written in transactions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, column, inspect, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from migrate.endpoints.database.faults import translated
from migrate.endpoints.database.opening import engine_of, file_of, url_of
from migrate.endpoints.database.reading import Database
from migrate.endpoints.database.target.making import make_tables, wait_for_tables
from migrate.endpoints.database.target.mysql import MySQLTransaction
from migrate.endpoints.database.target.schema import (
    drop_tables,
    holds_nothing,
    is_empty,
    make_file,
    new_number,
    require_head,
)
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.failures import says_full
from migrate.errors import (
    AlreadyExists,
    EndpointError,
    NotPermitted,
    Refused,
    StorageFull,
    UsageError,
)
from migrate.redaction import cut

T = TypeVar("T")
_TWICE = re.compile("unique|duplicate", re.IGNORECASE)
_READ_ONLY = re.compile(
    r"readonly|read-only|read only|permission denied|command denied|for user \S+ to database", re.I
)
#: Of MySQL and MariaDB: what it cannot hold, by the numbers of their errors.
_NOT_TAKEN = re.compile(r"^\((1153|1301|3819|4025),")
_RIGHTS = "may this user write to the file and into its folder, or to the tables of MLflow?"
#: What a server tells of its tables that is another for others: a number, or when one was made
#: that no upgrade of MLflow makes anew.
_MADE = {
    "postgresql": "SELECT 'experiments'::regclass::oid::bigint",
    "mysql": "SELECT unix_timestamp(create_time) FROM information_schema.tables "
    "WHERE table_schema = database() AND table_name = 'alembic_version'",
}
_MAKE_ANEW = (
    "it has tables and no rows, as where a copy was stopped while these were made: if nobody needs "
    "it, drop the database, create it again and run this again"
)
DEFAULT_WORKSPACE = "default"


class WrittenDatabase(Database):
    """A database of the head revision of the installed MLflow; a missing or empty one is made.

    What is written is read at once, also what a server writes meanwhile. One transaction is under
    way at a time. One that ``reads_only`` is not made, may be of any revision that can be read, and
    is never written to.
    """

    def __init__(self, uri: str, workspace: str, *, reads_only: bool = False) -> None:
        super().__init__(uri, workspace)
        self._reads_only = reads_only
        self._writing = RLock()
        self._writer: Connection | None = None
        self._is_made = False
        self._has_written = False
        self._unique: dict[str, bool] = {}

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Write something: all of it when the block ends, nothing when it raises.

        Raises ``AlreadyExists`` for what is there, ``Refused`` for what the database does not
        take, ``StorageFull``, ``NotPermitted`` and ``Unavailable``.
        """
        if self._reads_only:
            raise NotPermitted(f"{self.shown} was opened only to be read")
        self.open()
        with self._writing, _written(self.shown):
            connection = self._writer = self._writer or engine_of(self._uri, writes=True).connect()
            try:
                if self.is_sqlite:
                    connection.exec_driver_sql("PRAGMA foreign_keys = ON")
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield self._begun(connection)
                connection.commit()
                self._has_written = True
            except BaseException:
                self._writer = None
                connection.close()  # which takes back what was begun
                raise

    def _begun(self, connection: Connection) -> Transaction:
        if self.is_mysql:
            return MySQLTransaction(connection, self._columns, self._unique)
        return Transaction(connection, self._columns)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file of SQLite, which bounds neither texts nor numbers."""
        return self.backend == "sqlite"

    def length(self, table: str, name: str) -> int | None:
        """Return how many characters a column holds; None: no bound."""
        self.open()
        return None if self.is_sqlite else self._columns[table][name].length

    def nullable(self, table: str, name: str) -> bool:
        """Say whether a column may say nothing."""
        self.open()
        return self._columns[table][name].nullable

    def identity(self) -> str:
        """Return what tells this database from another that may come to be at its address.

        One that says nothing of the kind gets a number in its header.
        """
        if not self.is_sqlite:
            return str(self._value(_MADE[self.backend]))
        number = self._value("PRAGMA user_version")
        if number:
            return str(number)
        default = self.rows("experiments", ("creation_time",), column("experiment_id") == 0)
        if default:
            return str(default[0]["creation_time"])
        if not self._reads_only:
            with self.transaction() as transaction:
                transaction.run(f"PRAGMA user_version = {new_number()}")
        return str(self._value("PRAGMA user_version"))

    def withdraw(self) -> None:
        """Take back what opening it has made, where nothing was written since."""
        with self._writing:
            if not self._is_made or self._has_written:
                return
            self.close()
            if self.is_sqlite:
                file_of(url_of(self._uri), self.shown).unlink(missing_ok=True)
            else:
                with engine_of(self._uri, writes=True).begin() as connection:
                    drop_tables(connection)
            self._engine, self._is_made = None, False

    def close(self) -> None:
        """See ``Database.close``."""
        super().close()
        with self._writing:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    def _value(self, statement: str) -> Any:
        return self._read(lambda it: it.execute(text(statement)).scalar())

    def _new_engine(self) -> Engine:
        if self._reads_only:
            return super()._new_engine()
        if self.is_sqlite:
            path = file_of(url_of(self._uri), self.shown)
            if not path.exists() or (path.is_file() and not path.stat().st_size):
                make_file(path)
                self._is_made = True
        engine = engine_of(self._uri, writes=True)
        if not self._is_made:
            with engine.connect() as connection:
                if self.is_mysql:
                    wait_for_tables(connection)
                tables = frozenset(inspect(connection).get_table_names())
            if is_empty(tables):
                make_tables(self._uri)
                self._is_made = True
        return engine

    def _begin(self, connection: Connection) -> bool:
        return super()._begin(connection) if self._reads_only else False

    def _connect(self) -> None:
        if self._reads_only:
            super()._connect()
            return
        try:
            super()._connect()
            require_head(self.revision, self.shown)
            self._require_workspace()
        except BaseException as problem:
            self.withdraw()
            self.close()
            if isinstance(problem, UsageError | EndpointError) and self._is_half_made():
                raise EndpointError(problem.message, _MAKE_ANEW) from None
            raise

    def _is_half_made(self) -> bool:
        """Say whether a server's database has tables of MLflow, and no row in any of them.

        There each table is made by itself: what stops this leaves some.
        """
        if self.is_sqlite or self._engine is None:
            return False
        with self._engine.connect() as connection:
            return holds_nothing(connection)

    def _require_workspace(self) -> None:
        names = self.rows("workspaces", ("name",), column("name") == self.workspace)
        if self.workspace != DEFAULT_WORKSPACE and not names:
            raise UsageError(
                f"{self.shown} has no workspace {self.workspace!r}",
                "make it by its server, or leave out --target-workspace",
            )

    def _read(self, read: Callable[[Connection], T]) -> T:
        def once(connection: Connection) -> T:
            try:
                return read(connection)
            finally:
                connection.rollback()  # what is read next is as it is then

        return super()._read(read if self._reads_only else once)


@contextmanager
def _written(shown: str) -> Iterator[None]:
    """Turn what a driver raises at a write into an error of ours; ``shown`` names the database."""
    try:
        yield
    except DBAPIError as problem:
        said = cut(" ".join(str(problem.orig).split()), 300)
        if isinstance(problem, IntegrityError) and _TWICE.search(said):
            raise AlreadyExists(f"{shown} has it already: {said}") from None
        if isinstance(problem, IntegrityError | DataError) or _NOT_TAKEN.search(said):
            raise Refused(f"{shown} does not take it: {said}") from None
        if says_full(said):
            raise StorageFull(f"no space is left for {shown}: {said}") from None
        if _READ_ONLY.search(said):
            raise NotPermitted(f"{shown} cannot be written to: {said}", _RIGHTS) from None
        with translated(shown):
            raise
    except ValueError as problem:  # psycopg2's own, of a text that Postgres cannot hold
        raise Refused(f"{shown} does not take it: {problem}") from None
