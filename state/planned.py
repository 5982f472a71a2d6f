"""Plans as rows: how one is written whole, and read back with what has become of its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from migrate.collecting import making_what_stays
from migrate.kinds import Action, Ref
from migrate.outcomes import TaskStatus
from migrate.plans import Because, Plan, PlannedTask, because_from_stored, because_to_stored
from state import copies
from state.bulk import chunks, read, write
from state.database import damaged
from state.rows import (
    KEY,
    counts_of_kinds,
    key,
    listed,
    losses_column,
    losses_of,
    mapping_of,
    ref_named,
    sides,
    tasks_of,
    texts_of,
    word_of,
)
from state.schema import edge, migration, next_id, task

_NEW_TASK = insert(task)
_TASK = (
    "id",
    *KEY,
    "name",
    "action",
    "container",
    "reason",
    "target_id",
    "mark",
    "because",
    "number",
    "first_free",
    "objects",
    "planned_losses",
    "planned_warnings",
    "status",
    "wrote",
    "objects_written",
    "bytes_sent",
)
#: To ask a member for its value takes several times as long.
_STORED: Mapping[str, str] = {it: it.value for words in (Action, TaskStatus) for it in words}
_NEW_EDGE = insert(edge)
_EDGE = ("task", "position", "needs", "soft")


def save(connection: Connection, plan: Plan) -> None:
    """Write a plan, in place of an earlier one of the same migration id.

    Attempts stay, and where copies are that the earlier plan made. Raises ``ValueError`` when two
    tasks have one ref, or a task needs what is not in the plan.
    """
    first = next_id(connection, task.c.id)
    number = _save_migration(connection, plan, first)
    rows = (_task_row(number, ident, planned) for ident, planned in enumerate(plan.tasks, first))
    try:
        write(connection, _NEW_TASK, _TASK, rows)
    except IntegrityError:
        raise ValueError("a plan names every object once") from None
    write(connection, _NEW_EDGE, _EDGE, _edge_rows(plan.tasks, first))


def _save_migration(connection: Connection, plan: Plan, first: int) -> int:
    """Write the plan's own row, clear away the tasks it had, and return the row's number."""
    values = {
        **_migration_row(plan),
        "first_task": first,
        "last_task": first + len(plan.tasks) - 1,
    }
    this = migration.c.id == plan.migration_id
    known = connection.execute(select(migration).where(this)).one_or_none()
    if known is None:
        number = next_id(connection, migration.c.number)
        connection.execute(insert(migration).values(number=number, **values))
        return number
    copies.keep(connection, known, true())
    edges = edge.c.task.between(known.first_task, known.last_task)
    connection.execute(delete(edge).where(edges))
    connection.execute(delete(task).where(tasks_of(known)))
    connection.execute(update(migration).where(this).values(**values))
    return int(known.number)


def _migration_row(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.migration_id,
        "created": plan.created,
        "source_uri": plan.source.uri,
        "source_identity": plan.source.identity,
        "source_description": plan.source.description,
        "target_uri": plan.target.uri,
        "target_identity": plan.target.identity,
        "target_description": plan.target.description,
        "options": dict(plan.options),
        "notes": plan.notes,
        "collisions": plan.collisions,
        "unsupported": dict(plan.unsupported),
        "known": dict(plan.known),
        "unknown": plan.unknown or None,
    }


def set_options(connection: Connection, number: int, options: Mapping[str, object]) -> None:
    """Replace the options of a stored plan."""
    connection.execute(
        update(migration).where(migration.c.number == number).values(options=dict(options))
    )


@lru_cache(1024)
def _because_column(because: tuple[Because, ...]) -> tuple[str | tuple[str, str], ...] | None:
    return tuple(map(because_to_stored, because)) or None


def _task_row(number: int, row_id: int, planned: PlannedTask) -> tuple[Any, ...]:
    return (
        row_id,
        *key(number, planned.ref),
        planned.name,
        _STORED[planned.action],
        planned.container,
        planned.reason,
        planned.target_id,
        planned.mark,
        _because_column(planned.because),
        planned.number,
        planned.first_free,
        planned.count,
        losses_column(planned.losses),
        planned.warnings or None,
        _STORED[planned.status],
        False,
        0,
        0,
    )


def _edge_rows(tasks: Sequence[PlannedTask], first: int) -> Iterator[tuple[Any, ...]]:
    # Those alone that others wait for: they are few.
    named = {ref for planned in tasks for ref in planned.needs + planned.after}
    ids = {it.ref: ident for ident, it in enumerate(tasks, first) if it.ref in named}
    for row_id, planned in enumerate(tasks, first):
        for position, ref in enumerate(planned.needs + planned.after):
            soft = position >= len(planned.needs)
            if ref not in ids:
                word = "comes after" if soft else "needs"
                raise ValueError(f"{planned.ref} {word} {ref}, which is not in the plan")
            yield row_id, position, ids[ref], soft


def load(connection: Connection, migration_id: str | None) -> Plan | None:
    """Read a plan (None: the latest) with the status, mark and target id its tasks have now."""
    wanted = select(migration).order_by(migration.c.created.desc(), migration.c.number.desc())
    if migration_id is not None:
        wanted = wanted.where(migration.c.id == migration_id)
    row = connection.execute(wanted.limit(1)).one_or_none()
    if row is None:
        return None
    source, target = sides(row)
    return Plan(
        migration_id=row.id,
        created=row.created,
        source=source,
        target=target,
        options=mapping_of(row.options, "options"),
        tasks=_loaded(connection, row),
        notes=texts_of(row.notes, "notes"),
        collisions=texts_of(row.collisions, "collisions"),
        unsupported=counts_of_kinds(row.unsupported),
        known=mapping_of(row.known, "sizes"),
        unknown=texts_of(row.unknown, "what is unknown"),
    )


def _loaded(connection: Connection, row: Row[Any]) -> tuple[PlannedTask, ...]:
    with making_what_stays():
        return _load_tasks(connection, row)


def _load_tasks(connection: Connection, row: Row[Any]) -> tuple[PlannedTask, ...]:
    """Read the tasks of a plan, a stretch of rows at a time; what they share they have once."""
    refs = _load_refs(connection, row)
    containers: dict[str, str] = {}
    tasks: list[PlannedTask] = []
    # Of the ids that are there: how far they go is what a damaged row may say.
    for stretch in chunks(sorted(refs)):
        of_stretch = {"first": stretch[0], "last": stretch[-1]}
        needs, after = _load_edges(connection, of_stretch, refs)
        for ident, container, *values in read(connection, _TASKS, of_stretch):
            tasks.append(
                _planned(
                    refs[ident],
                    containers.setdefault(container, container),
                    needs.get(ident, ()),
                    after.get(ident, ()),
                    *values,
                )
            )
    return tuple(tasks)


def _load_refs(connection: Connection, row: Row[Any]) -> dict[int, Ref]:
    ids = {"first": row.first_task, "last": row.last_task}
    return {
        ident: ref_named(kind, source_id) for ident, kind, source_id in read(connection, _REFS, ids)
    }


Waits = Mapping[int, tuple[Ref, ...]]


def _load_edges(
    connection: Connection, of_stretch: Mapping[str, int], refs: Mapping[int, Ref]
) -> tuple[Waits, Waits]:
    """Return what the tasks of a stretch need, and what they only come after."""
    needs: dict[int, list[Ref]] = {}
    after: dict[int, list[Ref]] = {}
    for ident, needed, soft in read(connection, _EDGES, of_stretch):
        kept = after if soft else needs
        if needed not in refs:
            raise damaged(f"{needed!r} as what a task needs")
        kept.setdefault(ident, []).append(refs[needed])
    alike: dict[tuple[Ref, ...], tuple[Ref, ...]] = {}
    return _shared(needs, alike), _shared(after, alike)


def _shared(kept: Mapping[int, list[Ref]], alike: dict[tuple[Ref, ...], tuple[Ref, ...]]) -> Waits:
    """Give tasks that wait for the same one value together: most wait for their container alone."""
    waits = ((ident, tuple(found)) for ident, found in kept.items())
    return {ident: alike.setdefault(found, found) for ident, found in waits}


def _in_stretch(column: Column[Any]) -> ColumnElement[bool]:
    return column.between(bindparam("first"), bindparam("last"))


_REFS = select(task.c.id, task.c.kind, task.c.source_id).where(_in_stretch(task.c.id))
_EDGES = (
    select(edge.c.task, edge.c.needs, edge.c.soft)
    .where(_in_stretch(edge.c.task))
    .order_by(edge.c.task, edge.c.position)
)
#: In the order of what ``_planned`` takes.
_TASKS = (
    select(
        task.c.id,
        task.c.container,
        task.c.name,
        task.c.action,
        task.c.reason,
        task.c.target_id,
        task.c.mark,
        task.c.because,
        task.c.number,
        task.c.first_free,
        task.c.objects,
        task.c.planned_losses,
        task.c.planned_warnings,
        task.c.status,
    )
    .where(_in_stretch(task.c.id))
    .order_by(task.c.id)
)


def _because_of(stored: object) -> tuple[Because, ...]:
    given = listed(stored, "reasons")
    try:
        return _because(tuple(tuple(it) if isinstance(it, list) else it for it in given))
    except (ValueError, TypeError):  # the latter for what is no text, within
        raise damaged("reasons of an unknown form") from None


@lru_cache(1024)
def _because(stored: tuple[object, ...]) -> tuple[Because, ...]:
    return tuple(map(because_from_stored, stored))


def _planned(
    ref: Ref,
    container: str,
    needs: tuple[Ref, ...],
    after: tuple[Ref, ...],
    name: str,
    action: str,
    reason: str,
    target_id: str,
    mark: str,
    because: object,
    number: int,
    first_free: int,
    objects: int,
    losses: object,
    warnings: object,
    status: str,
) -> PlannedTask:
    return PlannedTask(
        ref=ref,
        name=name,
        action=word_of(Action, action, "what is done with an object"),
        container=container,
        reason=reason,
        target_id=target_id,
        mark=mark,
        needs=needs,
        after=after,
        because=_because_of(because),
        number=number,
        first_free=first_free,
        count=objects,
        losses=losses_of(losses) if losses else (),
        warnings=texts_of(warnings, "warnings") if warnings else (),
        status=word_of(TaskStatus, status, "the status of a task"),
    )
