"""What is written to a database together: each of them has its own SQL for rows that are there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Connection, column, delete, select, text, update
from sqlalchemy import insert as plain_insert
from sqlalchemy import table as sql_table
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from migrate.endpoints.database.reading import Column, Condition, Row
from migrate.endpoints.database.target.copying import copy_missing
from migrate.errors import EndpointError

#: Rows that go to the database in one call.
ROWS = 5000
#: Columns that came after MLflow 3.1.
_LATER = frozenset({"workspace"})


class Transaction:
    """What is written together: all of it is there afterwards, or nothing."""

    def __init__(self, connection: Connection, columns: Mapping[str, Mapping[str, Column]]) -> None:
        self._connection = connection
        self._columns = columns

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
            self._insert_missing_some(table, some)

    def insert_many(
        self, table: str, columns: Sequence[str], rows: Callable[[], Iterable[tuple[Any, ...]]]
    ) -> None:
        """Do the same with very many, past all that is not the driver's.

        ``rows`` may be asked for twice.
        """
        if self._connection.dialect.name == "postgresql":
            copy_missing(self._connection, table, columns, rows)
            return
        statement = self._inserting_missing(table, columns)
        dialect = self._connection.dialect
        compiled = str(statement.compile(dialect=dialect))
        rest = iter(rows())
        while some := list(islice(rest, ROWS)):
            values: Any = (
                some if dialect.positional else [dict(zip(columns, it, strict=True)) for it in some]
            )
            self._connection.exec_driver_sql(compiled, values)

    def put(self, table: str, key: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert rows, each in place of one that has the same ``key``."""
        key = [name for name in key if name in self._columns[table]]
        for some in self._some(table, rows):
            self._put_some(table, key, some)

    def _insert_missing_some(self, table: str, rows: list[dict[str, Any]]) -> None:
        self._connection.execute(self._inserting_missing(table, rows[0]), rows)

    def _inserting_missing(self, table: str, columns: Iterable[str]) -> Any:
        return self._inserting(table, columns).on_conflict_do_nothing()

    def _put_some(self, table: str, key: Sequence[str], rows: list[dict[str, Any]]) -> None:
        statement = self._inserting(table, rows[0])
        new = {name: statement.excluded[name] for name in rows[0] if name not in key}
        statement = statement.on_conflict_do_update(index_elements=key, set_=new)
        self._connection.execute(statement, rows)

    def _inserting(self, table: str, columns: Iterable[str]) -> Any:
        is_sqlite = self._connection.dialect.name == "sqlite"
        return (sqlite_insert if is_sqlite else postgres_insert)(self._table(table, columns))

    def _some(self, table: str, rows: Iterable[Row]) -> Iterator[list[dict[str, Any]]]:
        """Yield rows, as many as go in one call, without columns that came with later MLflows.

        Raises ``EndpointError`` where a column is missing that all of them have.
        """
        known, rest = self._columns[table], iter(rows)
        while some := list(islice(rest, ROWS)):
            if missing := some[0].keys() - known.keys() - _LATER:
                raise EndpointError(
                    f"the database lacks {min(missing)} in its table {table}: an upgrade of it did "
                    "not end, or it is damaged",
                    "restore it from a backup",
                )
            yield [
                {name: self._kept(table, name, it[name]) for name in it if name in known}
                for it in some
            ]

    def update(self, table: str, values: Mapping[str, Any], *where: Condition) -> None:
        """Change columns of the rows that are meant."""
        kept = {name: self._kept(table, name, value) for name, value in values.items()}
        self._connection.execute(update(self._table(table, kept)).where(*where).values(**kept))

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

    def _kept(self, table: str, name: str, value: Any) -> Any:
        """Return what a column is given: objects and lists as a text, where it is not of JSON."""
        is_json = isinstance(value, Mapping | list | tuple)
        return json.dumps(value) if is_json and not self._columns[table][name].is_json else value

    def _table(self, table: str, columns: Iterable[str]) -> Any:
        """Return a table with these columns, for statements."""
        known = self._columns[table]
        typed = (column(it, JSON()) if known[it].is_json else column(it) for it in columns)
        return sql_table(table, *typed)
