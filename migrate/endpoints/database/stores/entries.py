"""Makes records of rows, one by one: what is malformed costs itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from migrate.endpoints.database.reading import Row
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import Malformed
from migrate.folding import ANY_FOLDING
from migrate.kinds import Ref

R = TypeVar("R")


def readable(
    rows: Iterable[Row],
    make: Callable[[Row], R],
    named: Callable[[Row], tuple[Ref, str]],
    table: str,
    unreadable: UnreadableObjects,
) -> Iterator[R]:
    """Yield what ``make`` makes of rows; report the others by ref and container (``named``)."""
    for row in rows:
        try:
            yield make(row)
        except Malformed as problem:
            ref, container = named(row)
            unreadable.report(ref, container, f"table {table}", problem)


def spelled_as(rows: Iterable[Row], by: str, asked: Iterable[str]) -> Iterator[Row]:
    """Yield rows with a column as it was asked for: a database may take two spellings for one.

    Raises ``Malformed`` for what is none of these.
    """
    names = {name: name for name in asked}
    alike = {ANY_FOLDING.of(name): name for name in names}
    for row in rows:
        told = str(row[by])
        name = names.get(told) or alike.get(ANY_FOLDING.of(told))
        if name is None:
            raise Malformed(f"{told[:60]!r} is none of the names that were asked for")
        yield row if name == told else {**row, by: name}


def grouped(rows: Iterable[Row], by: str) -> Mapping[Any, Sequence[Row]]:
    """Return rows by what a column says; nothing for what is in none."""
    found: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[by]].append(row)
    return found


def texts_by(
    rows: Iterable[Row], by: str, key: str = "key", value: str = "value"
) -> Mapping[Any, Mapping[str, str]]:
    """Return keys and their texts, by whose they are; a value of NULL is empty."""
    found: defaultdict[Any, dict[str, str]] = defaultdict(dict)
    for row in rows:
        found[row[by]][str(row[key])] = _text(row[value])
    return found


def pairs(rows: Iterable[Row], key: str = "key", value: str = "value") -> dict[str, str]:
    """Return keys and their texts; a value of NULL is empty."""
    return {str(row[key]): _text(row[value]) for row in rows}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def numbers(ids: Iterable[str]) -> Sequence[int]:
    """Return ids of experiments as a database has them; what is none of these is left out."""
    return [int(ident) for ident in ids if ident.isascii() and ident.isdigit()]
