"""Rows of a database that is written to: read as they are now, written in transactions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import RLock
from typing import Any, TypeVar

from sqlalchemy import JSON, Connection, Engine, column, delete, inspect, select, text, update
from sqlalchemy import insert as plain_insert
from sqlalchemy import table as sql_table
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from migrate.endpoints.database.faults import translated
from migrate.endpoints.database.opening import engine_of, file_of, url_of
from migrate.endpoints.database.reading import Column, Condition, Database, Row
from migrate.endpoints.database.target.copying import copy_missing
from migrate.endpoints.database.target.schema import (
    drop_tables,
    is_empty,
    make_file,
    make_tables,
    new_number,
    require_head,
)
from migrate.errors import AlreadyExists, NotPermitted, Refused, StorageFull, UsageError
from migrate.redaction import cut

T = TypeVar("T")
_TWICE = re.compile("unique|duplicate", re.IGNORECASE)
_FULL = re.compile("disk is full|No space left|disk full", re.IGNORECASE)
_READ_ONLY = re.compile("readonly|read-only|permission denied", re.IGNORECASE)
_RIGHTS = "may this user write to the file and into its folder, or to the tables of MLflow?"
DEFAULT_WORKSPACE = "default"
#: Rows that go to the database in one call.
ROWS = 5000


class Transaction:
    """What is written together: all of it is there afterwards, or nothing."""

    def __init__(self, connection: Connection, columns: Mapping[str, Mapping[str, Column]]) -> None:
        self._connection = connection
        self._columns = columns
        is_sqlite = connection.dialect.name == "sqlite"
        self._insert: Any = sqlite_insert if is_sqlite else postgres_insert

    def insert(self, table: str, row: Row) -> None:
        """Insert a row. Raises ``AlreadyExists`` where it is there."""
        self.insert_all(table, [row])

    def insert_all(self, table: str, rows: Iterable[Row]) -> None:
        """Insert rows, some at a time. Raises ``AlreadyExists`` where one is there."""
        for some in self._some(table, rows):
            self._connection.execute(plain_insert(self._table(table, some[0])), some)

    def insert_missing(self, table: str, rows: Iterable[Row]) -> None:
        """Insert those rows that are not there yet; as many as there are, some at a time."""
        for some in self._some(table, rows):
            statement: Any = self._insert(self._table(table, some[0])).on_conflict_do_nothing()
            self._connection.execute(statement, some)

    def insert_many(
        self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        """Do the same with very many, past all that is not the driver's."""
        if self._connection.dialect.name != "sqlite":
            copy_missing(self._connection, table, columns, rows)
            return
        statement = sqlite_insert(self._table(table, columns)).on_conflict_do_nothing()
        compiled = str(statement.compile(dialect=self._connection.dialect))
        rest = iter(rows)
        while some := list(islice(rest, ROWS)):
            self._connection.exec_driver_sql(compiled, some)

    def put(self, table: str, key: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert rows, each in place of one that has the same ``key``."""
        key = [name for name in key if name in self._columns[table]]
        for some in self._some(table, rows):
            statement: Any = self._insert(self._table(table, some[0]))
            new = {name: statement.excluded[name] for name in some[0] if name not in key}
            statement = statement.on_conflict_do_update(index_elements=key, set_=new)
            self._connection.execute(statement, some)

    def _some(self, table: str, rows: Iterable[Row]) -> Iterator[list[dict[str, Any]]]:
        """Yield rows, as many as go in one call, without columns that came with later MLflows."""
        known, rest = self._columns[table], iter(rows)
        while some := list(islice(rest, ROWS)):
            yield [{name: it[name] for name in it if name in known} for it in some]

    def update(self, table: str, values: Mapping[str, Any], *where: Condition) -> None:
        """Change columns of the rows that are meant."""
        self._connection.execute(update(self._table(table, values)).where(*where).values(**values))

    def delete(self, table: str, *where: Condition) -> None:
        """Delete the rows that are meant."""
        self._connection.execute(delete(sql_table(table)).where(*where))

    def rows(self, table: str, columns: Sequence[str], *where: Condition) -> Sequence[Row]:
        """Return rows as they are in this transaction."""
        statement: Any = select(*map(column, columns)).select_from(sql_table(table)).where(*where)
        return [dict(row) for row in self._connection.execute(statement).mappings()]

    def run(self, statement: str) -> None:
        """Run a statement of SQL."""
        self._connection.execute(text(statement))

    def _table(self, table: str, names: Iterable[str]) -> Any:
        """Name a table with columns that are written; those of JSON take objects, as MLflow's."""
        known = self._columns[table]
        return sql_table(
            table, *(column(it, JSON()) if known[it].is_json else column(it) for it in names)
        )


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
                yield Transaction(connection, self._columns)
                connection.commit()
                self._has_written = True
            except BaseException:
                self._writer = None
                connection.close()  # which takes back what was begun
                raise

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file of SQLite, which bounds neither texts nor numbers."""
        return url_of(self._uri).get_backend_name() == "sqlite"

    def length(self, table: str, name: str) -> int | None:
        """Return how many characters a column holds; None: no bound."""
        self.open()
        return None if self.is_sqlite else self._columns[table][name].length

    def nullable(self, table: str, name: str) -> bool:
        """Say whether a column may say nothing."""
        self.open()
        return self._columns[table][name].nullable

    def keeps_json(self, table: str, name: str) -> bool:
        """Say whether a column is of JSON, and not of a text that may be such."""
        self.open()
        return self._columns[table][name].is_json

    def identity(self) -> str:
        """Return what tells this database from another that may come to be at its address.

        One that says nothing of the kind gets a number in its header.
        """
        if not self.is_sqlite:
            return str(self._value("SELECT 'experiments'::regclass::oid::bigint"))
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
                tables = frozenset(inspect(connection).get_table_names())
            if is_empty(tables):
                make_tables(engine)
                self._is_made = True
        return engine

    def _begin(self, connection: Connection) -> bool:
        return super()._begin(connection) if self._reads_only else False

    def _connect(self) -> None:
        super()._connect()
        if self._reads_only:
            return
        try:
            require_head(self.revision, self.shown)
            self._require_workspace()
        except BaseException:
            self.withdraw()
            self.close()
            raise

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
        if isinstance(problem, IntegrityError | DataError):
            raise Refused(f"{shown} does not take it: {said}") from None
        if _FULL.search(said):
            raise StorageFull(f"no space is left for {shown}: {said}") from None
        if _READ_ONLY.search(said):
            raise NotPermitted(f"{shown} cannot be written to: {said}", _RIGHTS) from None
        with translated(shown):
            raise
    except ValueError as problem:  # psycopg2's own, of a text that Postgres cannot hold
        raise Refused(f"{shown} does not take it: {problem}") from None
