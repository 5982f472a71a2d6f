"""Writes kinds whose objects are a row each, with rows of other tables below it.

It is the way of ``migrate.endpoints.database.stores.record`` back: what a kind says there of its
columns is not said again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from migrate.endpoints.database.reading import Condition, Database, Row, is_
from migrate.endpoints.database.reading import among as one_of
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.database.stores.record import RecordStore
from migrate.endpoints.database.target.below import Below, fill_times
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.endpoints.stores import Found
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.objects import Loss

R = TypeVar("R")
_EXPERIMENT = "experiment_id"


class WrittenRecordStore(RecordStore[R]):
    """Implements ``Store`` for one table, together with a store that reads it.

    An object keeps its id, and appears with all its rows in one transaction, as does every change.
    """

    below: ClassVar[Sequence[Below]] = ()
    #: The column and the member by which a copy is found, where that is its name.
    named: ClassVar[tuple[str, str] | None] = None
    #: Columns and members, by the same names, in which alone its key is its own; those of rows
    #: below it too.
    within: ClassVar[Sequence[str]] = ()
    #: Columns that say when it was made and changed, which may be unknown.
    times: ClassVar[Sequence[str]] = ()
    #: Members that a copy has of its own, once it is made.
    own: ClassVar[Sequence[str]] = ()

    def __init__(self, database: Database, unreadable: UnreadableObjects, *reading: Any) -> None:
        super().__init__(database, unreadable, *reading)
        assert isinstance(database, WrittenDatabase)
        self._written = database

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[R]]]:
        """See ``Store.find``."""
        column, member = self.named or (self.key, self.key)
        where = [one_of(_EXPERIMENT, numbers([container]))] if self.contained else []
        where += [] if keys is None else [one_of(column, keys)]
        found: dict[str, list[Found[R]]] = {}
        for record in self._where(*where):
            found.setdefault(getattr(record, member), []).append(Found(record))
        return found

    def create(self, container: str, wanted: R) -> R:
        """See ``Store.create``; the whole of it is there when this returns.

        Raises ``Refused`` for an id that something else has.
        """
        wanted, _ = self._fitting(container, wanted, None)
        wanted = self._placed(container, wanted)
        self._make(wanted)
        return wanted

    def _make(self, wanted: R) -> None:
        with self._written.transaction() as transaction:
            row = {**self._row(transaction, wanted), **self._made_with(wanted)}
            fill_times(self._written, self.table, row, self.times)
            self._require_free(transaction, row)
            transaction.insert(self.table, row)
            self._write_below(transaction, wanted, row)

    def finish(self, copy: R, wanted: R, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """See ``Store.finish``: what differs is written, and nothing where nothing does."""
        ident = self._ident(copy)
        shown = self.read([ident])
        if not shown:
            raise NotFound(f"{self.kind} {ident} is not in {self._written.shown} any more")
        container = getattr(shown[0], _EXPERIMENT) if self.contained else ""
        wanted, refused = self._fitting(container, wanted, shown[0])
        kept = {name: getattr(shown[0], name) for name in (self.key, *self.own)}
        wanted = self._placed(container, dataclasses.replace(wanted, **kept))  # type: ignore[type-var]
        self._bring(shown[0], wanted)
        return refused

    def _bring(self, there: R, wanted: R) -> None:
        """Write what differs."""
        if self._differs(there, wanted):
            with self._written.transaction() as transaction:
                row = self._row(transaction, wanted)
                unknown = {name for name in self.times if row.get(name) is None}
                named = {self.key, *self.within}
                values = {name: row[name] for name in row if name not in named | unknown}
                transaction.update(self.table, values, *self._mine(row))
                self._write_below(transaction, wanted, row)

    def delete(self, copy: R) -> None:
        """See ``Store.delete``; what is below it goes with it."""
        with self._written.transaction() as transaction:
            row = self._named(transaction, copy)
            for below in reversed(self._below_here()):
                transaction.delete(below.table, *below.mine(self._written, self._whose(below, row)))
            transaction.delete(self.table, *self._mine(row))

    def _named(self, transaction: Transaction, record: R) -> dict[str, Any]:
        """Return the columns that tell its row from all others of the workspace."""
        ident = {self.key: self._row_id(transaction, record)}
        return ident | {name: getattr(record, name) for name in self.within}

    def _mine(self, row: Row) -> Sequence[Condition]:
        named = (is_(name, row[name]) for name in (self.key, *self.within))
        return (*named, *self._written.here(self.table))

    def _whose(self, below: Below, row: Row) -> Row:
        return {below.holder: row[self.key], **{name: row[name] for name in self.within}}

    def _ident(self, record: R) -> str:
        """Return the id of an object in plans."""
        ident: str = getattr(record, self.key)
        return ident

    def _row_id(self, transaction: Transaction, record: R) -> str:
        """Return the id of its row."""
        return self._ident(record)

    def _fitting(self, container: str, wanted: R, there: R | None) -> tuple[R, Sequence[Loss]]:
        """Return what can be had of a copy here, and what not; ``there`` is what it is by now."""
        return wanted, ()

    def _given(self, transaction: Transaction, record: R) -> Row:
        """Return columns that no member is called for."""
        return {}

    def _made_with(self, record: R) -> Row:
        """Return columns that are written when it is made, and never again."""
        return {}

    def _rows_below(
        self, transaction: Transaction, record: R, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        """Return what tables below say of an object with this row, without whose they are."""
        return {}

    def _placed(self, container: str, wanted: R) -> R:
        held = {_EXPERIMENT: container} if self.contained else {}
        placed: R = dataclasses.replace(wanted, **held)  # type: ignore[type-var]
        return placed

    def _row(self, transaction: Transaction, record: R) -> dict[str, Any]:
        """Return the row of an object: what its members say, by the columns that have them."""
        row = {
            column: self._as_kept(name, column, getattr(record, name))
            for name in (it.name for it in dataclasses.fields(self.record))
            if self._written.has(self.table, column := self.columns.get(name, name))
        }
        if self._written.has(self.table, "workspace"):
            row["workspace"] = self._written.workspace
        row |= {**self._given(transaction, record), **self._named(transaction, record)}
        return row

    def _as_kept(self, name: str, column: str, value: Any) -> Any:
        if name in self.json:
            return value or None
        if name in self.flags:
            return bool(value)
        if name in self.words:
            return value.lower()
        if column == _EXPERIMENT:
            return int(value) if value else None
        nothing = value == "" and self._default_of(name) == ""
        return None if nothing and self._written.nullable(self.table, column) else value

    def _default_of(self, name: str) -> Any:
        return next(it.default for it in dataclasses.fields(self.record) if it.name == name)

    def _differs(self, there: R, wanted: R) -> bool:
        for name in (it.name for it in dataclasses.fields(self.record) if it.compare):
            new = getattr(wanted, name)
            unknown = new is None and self.columns.get(name, name) in self.times
            if not unknown and new != getattr(there, name):
                return True
        return False

    def _require_free(self, transaction: Transaction, row: Row) -> None:
        """Raise for an id that is taken: by what is found as a copy, or by something else."""
        held = (_EXPERIMENT,) if self.contained else ()
        columns = (*held, self.named[0] if self.named else self.key)
        for taken in transaction.rows(self.table, columns, is_(self.key, row[self.key])):
            same = all(taken[name] == row[name] for name in columns)
            place = f"experiment {taken[_EXPERIMENT]} of " if self.contained else ""
            raise (AlreadyExists if same else Refused)(self._taken(row[self.key], place))

    def _taken(self, ident: str, place: str = "") -> str:
        return (
            f"{self.kind} {ident} is in {place}{self._written.shown} already, and is no copy that "
            "this migration can complete: it stays as it is"
        )

    def _below_here(self) -> Sequence[Below]:
        """Return the tables below that the database has: the installed MLflow may be older."""
        return [it for it in self.below if self._written.has(it.table)]

    def _write_below(self, transaction: Transaction, record: R, row: Row) -> None:
        rows = self._rows_below(transaction, record, row)
        for below in self._below_here():
            whose = self._whose(below, row)
            below.write(self._written, transaction, whose, [*rows[below.table]])
