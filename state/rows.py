"""How objects, migrations and losses appear in rows; shared by all that reads or writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, bindparam, select

from migrate.errors import StateError
from migrate.objects import Kind, Ref
from migrate.outcomes import Loss
from migrate.plans import Side
from state.schema import migration, task

T = TypeVar("T")

_CHUNK = 5_000  #: rows a statement: many enough to be fast, few enough to be no memory


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Cut anything iterable into lists for one statement each."""
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def streamed(connection: Connection, query: Select[*tuple[Any, ...]]) -> Iterator[Row[Any]]:
    """Run a query whose result is too large to be fetched at once."""
    yield from connection.execute(query, execution_options={"yield_per": _CHUNK})


def migration_row(connection: Connection, migration_id: str) -> Row[Any]:
    """Return the row of a migration. Raises ``StateError`` when there is none."""
    row = connection.execute(select(migration).where(migration.c.id == migration_id)).one_or_none()
    if row is None:
        raise StateError(
            f"the state database knows no migration {migration_id!r}",
            "`migrate status` names those it knows.",
        )
    return row


def tasks_of(row: Row[Any]) -> ColumnElement[bool]:
    """Return the condition that picks the tasks of a migration's row."""
    return task.c.id.between(row.first_task, row.last_task)


def key(number: int, ref: Ref) -> dict[str, Any]:
    """Return the columns that name an object of a migration."""
    return {"migration": number, "source_id": ref.id, "kind": ref.kind.value}


def keyed(table: Table) -> ColumnElement[bool]:
    """Return the condition that picks one object's rows, for the parameters of ``of_key``."""
    return and_(
        table.c.migration == bindparam("of_migration"),
        table.c.source_id == bindparam("of_source_id"),
        table.c.kind == bindparam("of_kind"),
    )


def of_key(number: int, ref: Ref) -> dict[str, Any]:
    """Return the parameters of ``keyed``, whose names may not be those of columns."""
    return {f"of_{column}": value for column, value in key(number, ref).items()}


def ref_of(row: Row[*tuple[Any, ...]]) -> Ref:
    """Return the object a row is about."""
    return Ref(Kind(row.kind), row.source_id)


def sides(row: Row[Any]) -> tuple[Side, Side]:
    """Return the source and the target of a migration's row."""
    return (
        Side(uri=row.source_uri, identity=row.source_identity, description=row.source_description),
        Side(uri=row.target_uri, identity=row.target_identity, description=row.target_description),
    )


def losses_of(stored: Sequence[Sequence[str]] | None) -> tuple[Loss, ...]:
    """Read back a column of losses."""
    return tuple(Loss(what, reason) for what, reason in stored or ())


def merged(*parts: Iterable[T]) -> tuple[T, ...]:
    """Join sequences in order, each value once."""
    return tuple(dict.fromkeys(value for part in parts for value in part))
