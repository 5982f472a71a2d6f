"""Reads rows of one database, for several threads, over one connection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from threading import RLock
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    Select,
    column,
    func,
    inspect,
    null,
    select,
    tuple_,
)
from sqlalchemy import table as sql_table
from sqlalchemy.sql.elements import ColumnElement

from migrate.endpoints.database.faults import translated
from migrate.endpoints.database.mysql import exact, folding_of
from migrate.endpoints.database.opening import begin, engine_of, url_of
from migrate.endpoints.database.revisions import ESSENTIAL, VERSION_TABLE, require_known
from migrate.errors import EndpointError
from migrate.folding import NO_FOLDING, Folding
from migrate.redaction import shown_address

Row = Mapping[str, Any]
T = TypeVar("T")
Condition = ColumnElement[bool]
#: Ids in one query.
IDS = 500
#: Rows taken at a time, of what is read without holding all of it.
TAKEN = 5000


class Column(NamedTuple):
    """What a column takes: so many characters (None: no bound), nothing at all, JSON."""

    length: int | None
    nullable: bool
    is_json: bool


def among(name: str, values: Collection[object]) -> Condition:
    """Return the condition that a column has one of these values."""
    return column(name).in_(list(values))


def is_(name: str, value: object) -> Condition:
    """Return the condition that a column has this value."""
    return column(name) == value


def between(name: str, first: object | None, last: object | None) -> Sequence[Condition]:
    """Return the conditions that a column is from ``first`` to ``last``; None is no bound."""
    bounds = []
    if first is not None:
        bounds.append(column(name) >= first)
    if last is not None:
        bounds.append(column(name) <= last)
    return bounds


class Database:
    """Rows of the tables that are there; a table or column that is not reads as nothing.

    One state of the database is seen by all reads as long as the connection lasts, but for SQLite
    without a write-ahead log. No read leaves anything open, so that none keeps writers waiting.
    ``workspace`` is the one whose objects are read.
    """

    #: Columns of the tables without which nothing can be read.
    _essential: Mapping[str, Sequence[str]] = ESSENTIAL

    def __init__(self, uri: str, workspace: str = "default") -> None:
        self.shown = shown_address(uri)
        self.workspace = workspace
        self._uri = uri
        self._lock = RLock()
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        #: The columns of each table.
        self._columns: dict[str, dict[str, Column]] = {}
        self._tables: frozenset[str] = frozenset()
        self.revision = ""
        self.in_one_state = False

    def open(self) -> None:
        """Connect, and look at what there is; may be repeated.

        Raises ``UsageError`` for what is no database that can be read, ``EndpointError`` for a
        damaged one, ``NotAuthenticated``, ``NotPermitted`` and ``Unavailable``.
        """
        with self._lock, translated(self.shown):
            if self._connection is None:
                self._connect()

    def _connect(self) -> None:
        self._engine = self._engine or self._new_engine()
        connection = self._engine.connect()
        try:
            self.in_one_state = self._begin(connection)
            inspector = inspect(connection)
            self._tables = frozenset(inspector.get_table_names())
            self.revision = self._recognized(connection)
            self._columns = {
                table: {
                    it["name"]: Column(
                        getattr(it["type"], "length", None),
                        it["nullable"],
                        isinstance(it["type"], JSON),
                    )
                    for it in columns
                }
                for (_, table), columns in inspector.get_multi_columns().items()
            }
            self._require_columns()
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _new_engine(self) -> Engine:
        return engine_of(self._uri)

    def _begin(self, connection: Connection) -> bool:
        """Begin to read; return whether all is read in one state."""
        return begin(connection)

    def _recognized(self, connection: Connection) -> str:
        """Return of which revision it is. Raises ``UsageError`` for what is none of MLflow's."""
        versions: Sequence[str] = ()
        if VERSION_TABLE in self._tables:
            names: Select[Any] = select(column("version_num")).select_from(sql_table(VERSION_TABLE))
            versions = connection.execute(names).scalars().all()
        return require_known(versions, self._tables, self.shown)

    def _require_columns(self) -> None:
        for table, names in self._essential.items():
            if lacking := [name for name in names if name not in self._columns[table]]:
                raise EndpointError(
                    f"{self.shown} lacks {lacking[0]} in its table {table}: an upgrade of it did "
                    "not end, or it is damaged",
                    "restore it from a backup",
                )

    def has(self, table: str, name: str = "") -> bool:
        """Say whether there is such a table, with ``name`` such a column of it."""
        self.open()
        return name in self._columns.get(table, ()) if name else table in self._tables

    def here(self, table: str) -> Sequence[Condition]:
        """Return the condition for what is of the workspace that is read."""
        return (is_("workspace", self.workspace),) if self.has(table, "workspace") else ()

    def rows(
        self,
        table: str,
        columns: Sequence[str],
        *where: Condition,
        order: Sequence[str] = (),
        limit: int | None = None,
    ) -> Sequence[Row]:
        """Return rows, none where there is no such table; missing columns are None."""
        statement = self._select(table, columns, where)
        if statement is None:
            return ()
        statement = statement.order_by(*map(column, order)).limit(limit)
        return self._read(lambda it: [dict(row) for row in it.execute(statement).mappings()])

    def rows_of(
        self,
        table: str,
        columns: Sequence[str],
        key: str,
        values: Sequence[object],
        *where: Condition,
    ) -> Iterator[Row]:
        """Yield the rows with one of these values, in as few queries as it takes."""
        for start in range(0, len(values), IDS):
            yield from self.rows(table, columns, among(key, values[start : start + IDS]), *where)

    def pages(
        self, table: str, columns: Sequence[str], key: Sequence[str], size: int, *where: Condition
    ) -> Iterator[Sequence[Row]]:
        """Yield rows in order of columns that are a key together, each page a query of its own."""
        after: tuple[Condition, ...] = ()
        while page := self.rows(table, columns, *where, *after, order=key, limit=size):
            yield page
            if len(page) < size:
                return
            last = page[-1]
            # The first of them once more: by that alone MySQL begins where the page before ended.
            after = (
                column(key[0]) >= last[key[0]],
                tuple_(*map(column, key)) > tuple_(*(last[it] for it in key)),
            )

    def take(
        self,
        table: str,
        columns: Sequence[str],
        use: Callable[[Sequence[Any]], None],
        *where: Condition,
    ) -> None:
        """Hand the rows to ``use``, some thousand at a time, in the order of the columns."""
        statement = self._select(table, columns, where)
        if statement is None:
            return

        if self.backend != "sqlite":  # which hands out row by row whatever it is told
            statement = statement.execution_options(stream_results=True, max_row_buffer=TAKEN)

        def stream(connection: Connection) -> None:
            for some in connection.execute(statement).partitions(TAKEN):
                use(some)

        self._read(stream)

    def count(self, table: str, *where: Condition) -> int:
        """Return how many rows there are."""
        statement = self._select(table, (), where)
        if statement is None:
            return 0
        counted = statement.with_only_columns(func.count())
        return self._read(lambda it: int(it.execute(counted).scalar_one()))

    def counts(self, table: str, by: Sequence[str], *where: Condition) -> Sequence[Sequence[Any]]:
        """Return for each combination of these columns how many rows there are, as the last."""
        statement = self._select(table, by, where)
        if statement is None:
            return ()
        counted = statement.add_columns(func.count()).group_by(*map(column, by))
        if self.is_mysql:  # which counts texts together that differ in case only
            known = [name for name in by if self.has(table, name)]
            told = (func.min(column(it)) if it in known else null() for it in by)
            counted = statement.with_only_columns(*told, func.count()).group_by(*map(exact, known))
        return self._read(lambda it: [tuple(row) for row in it.execute(counted)])

    @cached_property
    def backend(self) -> str:
        """What SQLAlchemy calls this kind of database: ``sqlite``, ``postgresql`` or ``mysql``."""
        return url_of(self._uri).get_backend_name()

    @property
    def is_mysql(self) -> bool:
        """Whether this is a database of MySQL or MariaDB, which may compare texts without case."""
        return self.backend == "mysql"

    def folding(self, table: str, name: str) -> Folding:
        """Return what the database leaves out of account when it compares this column."""
        if not self.is_mysql:
            return NO_FOLDING
        return self._read(lambda it: folding_of(it, table, name))

    def other_than(self, name: str, values: Collection[str]) -> Condition:
        """Return the condition that a column has none of these texts, spelled as they are."""
        return (exact(name) if self.is_mysql else column(name)).not_in(list(values))

    def close(self) -> None:
        """Let go of the connection, and so of the state of the database that was read."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _select(
        self, table: str, columns: Sequence[str], where: Sequence[Condition]
    ) -> Select[Any] | None:
        self.open()
        known = self._columns.get(table)
        if known is None:
            return None
        named = (column(it) if it in known else null().label(it) for it in columns)
        statement: Any = select(*named)
        return cast("Select[Any]", statement.select_from(sql_table(table)).where(*where))

    def _read(self, read: Callable[[Connection], T]) -> T:
        with self._lock:
            self.open()
            assert self._connection is not None
            try:
                with translated(self.shown):
                    return read(self._connection)
            except BaseException:
                self.close()  # what has failed once is not gone on with
                raise
