"""The map of copies: where the finished copy of an object is.

Tasks tell it of what the plan has. What is told by ``id_map`` is of the plans before, and of what
is to be done once more: an entry for each copy that is made would take longer than all else that
is written of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
    tuple_,
)

from migrate.kinds import Kind, Step
from migrate.outcomes import TaskStatus
from state.rows import KEY, tasks_of
from state.schema import id_map, migration, task

_PAGE = 2_000
_COLUMNS = ("kind", "source_id", "target_id", "name")

_IS_COPY = and_(
    task.c.status == TaskStatus.DONE.value,
    task.c.target_id != "",
    ~task.c.kind.startswith(Step.DELETION.value),
)
_SAME_OBJECT = and_(*(id_map.c[name] == task.c[name] for name in KEY))


def keep(connection: Connection, row: Row[Any], which: ColumnElement[bool]) -> None:
    """Enter the copies of a migration's tasks that are about to go, or to be done once more.

    ``row`` is that of the migration; ``which`` of its tasks.
    """
    # Only those that say whose they are: nothing is told of another in a database that was edited.
    kept = and_(tasks_of(row), task.c.migration == row.number, _IS_COPY, which)
    connection.execute(delete(id_map).where(exists().where(_SAME_OBJECT, kept)))
    columns = [*KEY, "target_id", "name"]
    # In the order of the map, so that it grows at one place after the other.
    copies = select(*(task.c[name] for name in columns)).where(kept)
    in_order = copies.order_by(task.c.source_id, task.c.kind)
    connection.execute(insert(id_map).from_select(columns, in_order))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries: of these kinds, with one of these ids on either side; empty: any."""

    kinds: Collection[Kind] = ()
    ids: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """The entries of a migration that its tasks tell, or those kept of plans before."""

    migration: Row[Any]
    of_tasks: bool

    def page(
        self, connection: Connection, wanted: Wanted, after: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        """Return the next entries that are wanted, by source id; none where there are no more."""
        query = self._told_by_tasks(wanted) if self.of_tasks else self._kept()
        columns = query.selected_columns
        if wanted.kinds:
            query = query.where(columns.kind.in_([kind.value for kind in wanted.kinds]))
        if wanted.ids:
            either = (columns.source_id.in_(wanted.ids), columns.target_id.in_(wanted.ids))
            query = query.where(or_(*either))
        order = (columns.source_id, columns.kind)
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(after["source_id"], after["kind"]))
        found = connection.execute(query.order_by(*order).limit(_PAGE)).mappings()
        ends = {
            "migration_id": self.migration.id,
            "source_uri": self.migration.source_uri,
            "target_uri": self.migration.target_uri,
        }
        return [{**row, **ends} for row in found]

    def _told_by_tasks(self, wanted: Wanted) -> Select[Any]:
        told = select(*(task.c[name] for name in _COLUMNS)).where(_IS_COPY)
        if wanted.kinds or wanted.ids:
            # No index has all of these: the rows are gone through as they lie.
            return told.where(tasks_of(self.migration))
        return told.where(task.c.migration == self.migration.number)

    def _kept(self) -> Select[Any]:
        """Return what is kept, but for what a task tells: earlier versions stored both."""
        return select(*(id_map.c[name] for name in _COLUMNS)).where(
            id_map.c.migration == self.migration.number,
            ~exists().where(_SAME_OBJECT, _IS_COPY),
        )


def parts(connection: Connection) -> Iterator[Part]:
    """Return of what the map is put together."""
    for row in connection.execute(select(migration).order_by(migration.c.number)).all():
        yield Part(row, of_tasks=True)
        yield Part(row, of_tasks=False)


def is_last(page: Collection[object]) -> bool:
    """Say whether no other page follows."""
    return len(page) < _PAGE
