"""Reads and writes many rows at once: of a file by its driver alone, since SQLAlchemy takes longer.

Values are converted by the types of their columns all the same, a column of many rows at a time:
most values of a column are alike, or need no conversion. A server gets what SQLAlchemy makes of
many rows: a few statements with many values each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.types import TypeEngine

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
    names: tuple[str, ...],
    rows: Iterable[Sequence[Any]],
) -> int:
    """Execute a statement once for each of the rows, which are values in the order of ``names``.

    It is compiled once where it is kept: as a constant of its module. Return how many rows of a
    file it changed; a server does not say.
    """
    changed = 0
    for chunk in chunks(rows):
        if connection.dialect.name != "sqlite":
            connection.execute(statement, [dict(zip(names, row, strict=True)) for row in chunk])
            continue
        prepared = _prepared(statement, names, connection.dialect)
        columns = list(zip(*chunk, strict=True))
        ordered = [convert(columns[place]) for place, convert in prepared.values]
        rows_of_chunk = list(zip(*ordered, strict=True))
        changed += connection.exec_driver_sql(prepared.text, rows_of_chunk).rowcount
    return changed


def read(
    connection: Connection, query: Select[Any], named: Mapping[str, Any] | None = None
) -> Iterator[Sequence[Any]]:
    """Run a query, kept as ``write`` says, whose result is too large to be fetched at once."""
    if connection.dialect.name != "sqlite":
        yield from connection.execute(query, named, execution_options={"yield_per": CHUNK})
        return
    converting = _result_columns(query, connection.dialect)
    with connection.execute(query, named) as result:
        assert result.cursor is not None
        while rows := result.cursor.fetchmany(CHUNK):
            columns = zip(converting, zip(*rows, strict=True), strict=True)
            yield from zip(*(convert(column) for convert, column in columns), strict=True)


#: Converts the values of a column, of many rows.
ConvertColumn = Callable[[Sequence[Any]], Sequence[Any]]


class _Prepared(NamedTuple):
    """A statement in the words of a dialect, and its values in order: where each is in a row."""

    text: str
    values: Sequence[tuple[int, ConvertColumn]]


@lru_cache(64)
def _prepared(
    statement: Insert | Update | Delete, names: tuple[str, ...], dialect: Dialect
) -> _Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=names)
    written = {name: _written(bind.type, dialect) for name, bind in compiled.binds.items()}
    order = compiled.positiontup or ()
    return _Prepared(str(compiled), [(names.index(it), written[it]) for it in order])


@lru_cache(64)
def _result_columns(query: Select[Any], dialect: Dialect) -> Sequence[ConvertColumn]:
    return [_read_as(column.type, dialect) for column in query.selected_columns]


def _written(kind: TypeEngine[Any], dialect: Dialect) -> ConvertColumn:
    convert = kind.dialect_impl(dialect).bind_processor(dialect)
    return _converting(convert, getattr(kind, "is_written_as_it_is", None))


def _read_as(kind: TypeEngine[Any], dialect: Dialect) -> ConvertColumn:
    convert = kind.dialect_impl(dialect).result_processor(dialect, None)
    return _converting(convert, getattr(kind, "is_read_as_it_is", None))


def _converting(
    convert: Callable[[Any], Any] | None, is_as_it_is: Callable[[Sequence[Any]], bool] | None
) -> ConvertColumn:
    """Return what converts a column by what converts a value."""
    if convert is None:
        return lambda values: values
    one = convert

    def converted(values: Sequence[Any]) -> Sequence[Any]:
        if is_as_it_is is not None and is_as_it_is(values):
            return values
        try:
            different = set(values)
        except TypeError:  # lists
            return list(map(one, values))
        if 2 * len(different) > len(values):
            return list(map(one, values))
        known = {value: one(value) for value in different}
        return list(map(known.__getitem__, values))

    return converted
