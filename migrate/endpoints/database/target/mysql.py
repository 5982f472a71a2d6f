"""What is written to MySQL and MariaDB, which have SQL and comparisons of their own.

``INSERT IGNORE`` would cut texts that are too long and drop rows without a parent, in silence:
rows that are there are passed over by an update that changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, column, func, inspect, literal_column, select, tuple_
from sqlalchemy import table as sql_table
from sqlalchemy.dialects.mysql import insert

from migrate.endpoints.database.reading import Column, is_
from migrate.endpoints.database.target.transaction import Transaction
from migrate.errors import Refused


class MySQLTransaction(Transaction):
    """A ``Transaction`` of MySQL or MariaDB; keys that are taken for one another are refused.

    ``unique`` remembers between transactions which tables have more that is unique than a key.
    """

    def __init__(
        self,
        connection: Connection,
        columns: Mapping[str, Mapping[str, Column]],
        unique: dict[str, bool],
    ) -> None:
        super().__init__(connection, columns)
        self._unique = unique

    def _inserting_missing(self, table: str, columns: Iterable[str]) -> Any:
        names = list(columns)
        there = self._connection.dialect.identifier_preparer.quote(names[0])
        # What is there stays as it is: its own column is named by its table.
        unchanged: dict[Any, Any] = {names[0]: literal_column(f"{table}.{there}")}
        return insert(self._table(table, names)).on_duplicate_key_update(unchanged)

    def _insert_missing_some(self, table: str, rows: list[dict[str, Any]]) -> None:
        super()._insert_missing_some(table, rows)
        if not all(is_plain(it) for row in rows for it in row.values()):
            found = inspect(self._connection).get_pk_constraint(table)
            self._require_all(table, found["constrained_columns"], rows)

    def _put_some(self, table: str, key: Sequence[str], rows: list[dict[str, Any]]) -> None:
        if self._has_other_keys(table):
            for row in rows:
                self._put_one(table, key, row)
            return
        names = list(rows[0])
        statement: Any = insert(self._table(table, names))
        new = {name: statement.inserted[name] for name in names if name not in key}
        if new:
            statement = statement.on_duplicate_key_update(new)
        else:
            statement = self._inserting_missing(table, names)
        self._connection.execute(statement, rows)
        self._require_all(table, key, rows)

    def _put_one(self, table: str, key: Sequence[str], row: Mapping[str, Any]) -> None:
        """Put a row where another one may have what is to be unique in this one."""
        mine = [is_(name, row[name]) for name in key]
        if self.rows(table, key, *mine):
            self.update(table, {name: row[name] for name in row if name not in key}, *mine)
        else:
            self.insert(table, row)

    def _require_all(
        self, table: str, key: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Raise ``Refused`` where one row has taken the place of another that was written."""
        wanted = [tuple(row[name] for name in key) for row in rows]
        if all(is_plain(it) for one in wanted for it in one) and len(wanted) == len(
            {tuple(map(_folded, one)) for one in wanted}
        ):
            return
        among = tuple_(*map(column, key)).in_(wanted)
        counted = select(func.count()).select_from(sql_table(table)).where(among)
        if self._connection.execute(counted).scalar_one() < len(set(wanted)):
            odd = {str(it)[:60] for one in wanted for it in one if not is_plain(it)}
            named = ", ".join(map(repr, sorted(odd)[:5])) or "texts that differ in case or blanks"
            raise Refused(
                f"{table} has keys that the collation of this database takes for one: {named}"
            )

    def _has_other_keys(self, table: str) -> bool:
        if table not in self._unique:
            self._unique[table] = bool(inspect(self._connection).get_unique_constraints(table))
        return self._unique[table]


def is_plain(value: object) -> bool:
    """Say whether every collation compares a text by its letters alone, and their case."""
    return not isinstance(value, str) or (value.isascii() and value.isprintable())


def _folded(value: object) -> object:
    return value.casefold().rstrip() if isinstance(value, str) else value
