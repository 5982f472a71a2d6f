"""Writes rows of a table that belong to an object of another one."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from migrate.endpoints.database.reading import Condition, Row, is_
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase

_WORKSPACE = "workspace"


class Below(NamedTuple):
    """Rows of another table that belong to an object, which the column ``holder`` names.

    Those of one object are told apart by ``key``. A row that is made gets an ``ident`` of its own,
    which begins with ``prefix``, and is made now where ``times`` have to be known and are not;
    what it says ``once`` is not changed later. Of those that are not ``listed``, nothing is known
    or changed. With ``stays``, none is taken off.
    """

    table: str
    holder: str
    key: Sequence[str]
    ident: str = ""
    prefix: str = ""
    times: Sequence[str] = ()
    once: Sequence[str] = ()
    listed: Sequence[Condition] = ()
    stays: bool = False

    def mine(self, database: WrittenDatabase, whose: Row) -> Sequence[Condition]:
        """Return the conditions for the rows of an object: what ``whose`` says names it there."""
        named = (is_(name, value) for name, value in whose.items())
        return (*named, *database.here(self.table), *self.listed)

    def write(
        self, database: WrittenDatabase, transaction: Transaction, whose: Row, rows: Sequence[Row]
    ) -> None:
        """Bring the rows of an object to what they should be, each by its key.

        What ``rows`` say is all but ``whose`` they are.
        """
        mine = self.mine(database, whose)
        names = [*rows[0]] if rows else [*self.key]
        asked = [*names, *([self.ident] if self.ident else [])]
        there = self._by_key(transaction.rows(self.table, asked, *mine))
        wanted = self._by_key(rows)

        def is_it(key: tuple[Any, ...]) -> Sequence[Condition]:
            named = (self.ident,) if self.ident else self.key
            return (*mine, *(is_(name, there[key][name]) for name in named))

        for key in () if self.stays else there.keys() - wanted.keys():
            transaction.delete(self.table, *is_it(key))
        for key in wanted.keys() & there.keys():
            if changed := self._changes(database, there[key], wanted[key]):
                transaction.update(self.table, changed, *is_it(key))
        missing = [row for key, row in wanted.items() if key not in there]
        transaction.insert_all(self.table, (self._made(database, whose, it) for it in missing))

    def _by_key(self, rows: Iterable[Row]) -> dict[tuple[Any, ...], Row]:
        """Return rows by their keys; of those that are alike each has a key of its own."""
        found: dict[tuple[Any, ...], Row] = {}
        for row in rows:
            key: tuple[Any, ...] = tuple(row[name] for name in self.key)
            while key in found:
                key = (*key, None)
            found[key] = row
        return found

    def _changes(self, database: WrittenDatabase, old: Row, new: Row) -> dict[str, Any]:
        changed = {}
        for name, value in new.items():
            said = old[name]
            if isinstance(said, str) and not isinstance(value, str):
                said = _parsed(said)  # JSON, as some drivers give it
            unknown = name in self.times and value is None
            if said != value and name not in self.once and not unknown:
                changed[name] = value
        return changed

    def _made(self, database: WrittenDatabase, whose: Row, row: Row) -> Row:
        made = {**whose, **row}
        made |= {self.ident: self.prefix + uuid.uuid4().hex} if self.ident else {}
        made |= {_WORKSPACE: database.workspace} if database.has(self.table, _WORKSPACE) else {}
        fill_times(database, self.table, made, self.times)
        return made


def _parsed(told: str) -> Any:
    try:
        return json.loads(told)
    except ValueError:
        return told


def fill_times(
    database: WrittenDatabase, table: str, row: dict[str, Any], times: Sequence[str]
) -> None:
    """Say of what is not known when it was made that it is now, where something has to be said.

    ``times`` are columns, each of which says the same as the one before where it is not known.
    """
    known = int(time.time() * 1000)
    for name in (it for it in times if database.has(table, it)):
        if row.get(name) is None and not database.nullable(table, name):
            row[name] = known
        known = row[name] or known


def tag_rows(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the rows of tags, without whose they are."""
    return [{"key": key, "value": value} for key, value in tags.items()]
