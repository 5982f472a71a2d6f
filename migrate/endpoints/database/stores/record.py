"""Kinds whose objects are a row each, with columns of JSON, and rows of other tables below it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from migrate.endpoints.database.json_columns import json_of
from migrate.endpoints.database.reading import IDS, Condition, Database, Row, among
from migrate.endpoints.database.stores.entries import grouped, numbers, readable
from migrate.endpoints.record_json import record_from_json
from migrate.endpoints.shapes import Object, ident, text
from migrate.endpoints.stores import Bookkeeping, Identity
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import Kind, Ref

R = TypeVar("R")
#: What other tables say of the object of a row, by members of its record.
More = Callable[[Row], Object]
_EXPERIMENT = "experiment_id"


class RecordStore(Generic[R]):
    """Implements the half of ``migrate.endpoints.stores.Store`` that reads, for one table.

    A member of the record is what its column says, which ``columns`` names where it is called
    otherwise; one that has no column, or NULL there, has its default.
    """

    kind: ClassVar[Kind]
    record: ClassVar[type[Any]]
    table: ClassVar[str]
    #: The member, and column, with its id.
    key: ClassVar[str]
    #: The column that says when it was made.
    made: ClassVar[str]
    columns: ClassVar[Mapping[str, str]] = {}
    #: Members that are JSON in their columns, those that are truth values, and words of the API
    #: that columns have in small letters.
    json: ClassVar[Sequence[str]] = ()
    flags: ClassVar[Sequence[str]] = ()
    words: ClassVar[Sequence[str]] = ()
    #: Columns that are asked for beside those of members.
    others: ClassVar[Sequence[str]] = ()
    #: Whether experiments hold them.
    contained: ClassVar[bool] = False
    #: Which rows are objects.
    listed: ClassVar[Sequence[Condition]] = ()
    identity = Identity.KEPT
    bookkeeping = Bookkeeping.NONE

    def __init__(self, database: Database, unreadable: UnreadableObjects) -> None:
        self._database = database
        self._unreadable = unreadable

    def list(self, containers: Sequence[str]) -> Iterator[R]:
        """See ``Store.list``."""
        if not self.contained:
            self._unreadable.forget(self.kind)
            yield from self._where()
            return
        for container in containers:
            self._unreadable.forget(self.kind, container)
        ids = numbers(containers)
        for start in range(0, len(ids), IDS):
            yield from self._where(among(_EXPERIMENT, ids[start : start + IDS]))

    def read(self, ids: Sequence[str]) -> Sequence[R]:
        """See ``Store.read``."""
        return [*self._where(among(self.key, ids))]

    def _where(self, *where: Condition) -> Iterator[R]:
        here = () if self.contained else self._database.here(self.table)
        held = (_EXPERIMENT,) if self.contained else ()
        fields = dataclasses.fields(self.record)
        members = {it.name: self.columns.get(it.name, it.name) for it in fields if it.repr}
        rows = self._database.rows(
            self.table,
            [*dict.fromkeys([self.key, *members.values(), *self.others])],
            *where,
            *self.listed,
            *here,
            order=(*held, self.made, self.key),
        )
        more = self._more(rows)

        def made_of(row: Row) -> R:
            ident(row, self.key)
            told = {name: row[column] for name, column in members.items()}
            told |= {name: json_of(row, members[name]) for name in self.json}
            told |= {name: _truth(told[name]) for name in self.flags}
            told |= {name: text(told, name).upper() for name in self.words}
            found = {**told, **more(row)}
            known = {name: value for name, value in found.items() if value is not None}
            made: R = record_from_json(self.record, known)
            return made

        def named(row: Row) -> tuple[Ref, str]:
            return Ref(self.kind, self._id(row)), str(row[_EXPERIMENT]) if self.contained else ""

        return readable(rows, made_of, named, self.table, self._unreadable)

    def _id(self, row: Row) -> str:
        """Return the id of an object in plans."""
        return str(row[self.key])

    def _more(self, rows: Sequence[Row]) -> More:
        """Return what other tables say of each of some objects. That may raise ``Malformed``."""
        return lambda row: {}

    def _below(
        self, rows: Sequence[Row], table: str, columns: Sequence[str], *, key: str = ""
    ) -> Mapping[Any, Sequence[Row]]:
        """Return the rows of another table by whose they are: by the column ``key``."""
        key = key or self.key
        ids = [row[self.key] for row in rows]
        here = self._database.here(table)
        found = self._database.rows_of(table, (key, *columns), key, ids, *here)
        return grouped(found, key)


def _truth(value: Any) -> Any:
    """Return a truth value of SQL, which SQLite has as a number; anything else as it is."""
    return bool(value) if value in (0, 1) else value
