"""Writes many rows at once: to a file by its driver alone, since SQLAlchemy takes longer than it.

Values are converted by the types of their columns all the same. A server gets what SQLAlchemy
makes of many rows: a few statements with many values each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Delete, Dialect, Insert, Update

T = TypeVar("T")

CHUNK = 5_000  #: rows a statement: many enough to be fast, few enough to be no memory


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Cut anything iterable into lists for one statement each."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def write(
    connection: Connection,
    statement: Insert | Update | Delete,
    rows: Iterable[Mapping[str, Any]],
) -> None:
    """Execute a statement once for each of the rows, which name its values and have the same keys.

    It is compiled once where it is kept: as a constant of its module.
    """
    for chunk in chunks(rows):
        if connection.dialect.name != "sqlite":
            connection.execute(statement, chunk)
            continue
        prepared = _prepared(statement, tuple(chunk[0]), connection.dialect)
        connection.exec_driver_sql(prepared.text, list(map(prepared.values_of, chunk)))


class _Prepared(NamedTuple):
    """A statement in the words of a dialect, its values in order, and how each is converted."""

    text: str
    values: Sequence[tuple[str, Callable[[Any], Any] | None]]

    def values_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(
            [row[name] if convert is None else convert(row[name]) for name, convert in self.values]
        )


@lru_cache(64)
def _prepared(
    statement: Insert | Update | Delete, keys: tuple[str, ...], dialect: Dialect
) -> _Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=keys)
    types = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
    order = compiled.positiontup or ()
    return _Prepared(str(compiled), [(it, types[it].bind_processor(dialect)) for it in order])
