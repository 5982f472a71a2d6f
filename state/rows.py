"""How objects, migrations and losses appear in rows; shared by all that reads or writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, bindparam, select

from migrate.errors import StateError
from migrate.kinds import Kind, Ref, parse_ref, ref_of_word
from migrate.outcomes import Loss, loss_from_stored, loss_to_stored
from migrate.plans import Side
from state.database import damaged
from state.schema import migration, task

T = TypeVar("T")
W = TypeVar("W", bound=StrEnum)


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


#: The columns that name an object of a migration, and the parameters of ``keyed``, which may not
#: have the names of columns: each for the values of ``key``.
KEY = ("migration", "source_id", "kind")
OF_KEY = ("of_migration", "of_source_id", "of_kind")


def key(number: int, ref: Ref) -> tuple[int, str, str]:
    """Return what names an object of a migration."""
    return number, ref.id, ref.word


def keyed(table: Table) -> ColumnElement[bool]:
    """Return the condition that picks one object's rows, for the parameters ``OF_KEY``."""
    return and_(
        table.c.migration == bindparam("of_migration"),
        table.c.source_id == bindparam("of_source_id"),
        table.c.kind == bindparam("of_kind"),
    )


@lru_cache(512)
def word_of(words: type[W], value: str, what: str) -> W:
    """Return a word that a column holds. Raises ``StateError`` for one that is not known."""
    try:
        return words(value)
    except ValueError:
        raise damaged(f"{str(value)[:100]!r} as {what}") from None


def ref_of(row: Row[*tuple[Any, ...]]) -> Ref:
    """Return the object a row is about. Raises ``StateError``."""
    return ref_named(row.kind, row.source_id)


def ref_named(kind: str, source_id: str) -> Ref:
    """Return the object that two columns name. Raises ``StateError``."""
    try:
        return ref_of_word(kind, source_id)
    except ValueError:
        raise damaged(f"{kind[:100]!r} as the kind of an object") from None


def ref_from_stored(stored: object, what: str) -> Ref:
    """Read back what ``Ref.stored`` gave. Raises ``StateError``."""
    try:
        return parse_ref(str(stored))
    except ValueError:
        raise damaged(f"{str(stored)[:100]!r} as {what}") from None


def sides(row: Row[Any]) -> tuple[Side, Side]:
    """Return the source and the target of a migration's row."""
    return (
        Side(uri=row.source_uri, identity=row.source_identity, description=row.source_description),
        Side(uri=row.target_uri, identity=row.target_identity, description=row.target_description),
    )


def losses_of(stored: object) -> tuple[Loss, ...]:
    """Read back a column of losses."""
    try:
        return tuple(map(loss_from_stored, listed(stored, "losses")))
    except ValueError:
        raise damaged("losses of an unknown form") from None


def losses_column(losses: Sequence[Loss]) -> list[list[str]] | None:
    """Return losses as a column has them, nothing where there are none."""
    return list(map(loss_to_stored, losses)) if losses else None


def listed(stored: object, what: str) -> Sequence[Any]:
    """Return a column that holds a list, or nothing. Raises ``StateError``."""
    if stored is None or isinstance(stored, list):
        return stored or ()
    raise damaged(f"{str(stored)[:100]!r} as {what}")


def texts_of(stored: object, what: str) -> tuple[str, ...]:
    """Return a column that holds a list of texts, or nothing. Raises ``StateError``."""
    return tuple(map(str, listed(stored, what)))


def mapping_of(stored: object, what: str) -> dict[str, Any]:
    """Return a column that holds an object. Raises ``StateError``."""
    if isinstance(stored, dict):
        return stored
    raise damaged(f"{str(stored)[:100]!r} as {what}")


def counts_of_kinds(stored: object) -> dict[Kind, int]:
    """Return a column of numbers by kind. Raises ``StateError``."""
    counts = mapping_of(stored, "what is not copied")
    for count in counts.values():
        if not isinstance(count, int):
            raise damaged(f"{str(count)[:100]!r} as a number of objects")
    return {word_of(Kind, kind, "a kind"): count for kind, count in counts.items()}


def merged(*parts: Iterable[T]) -> tuple[T, ...]:
    """Join sequences in order, each value once."""
    return tuple(dict.fromkeys(value for part in parts for value in part))
