"""Plans as rows: how one is written whole, and read back with what has become of its tasks."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from migrate.kinds import Action, Ref
from migrate.outcomes import TaskStatus
from migrate.plans import Because, Plan, PlannedTask, because_from_stored, because_to_stored
from state.bulk import chunks, write
from state.database import damaged
from state.rows import (
    counts_of_kinds,
    key,
    keyed,
    listed,
    losses_column,
    losses_of,
    mapping_of,
    of_key,
    ref_of,
    sides,
    streamed,
    tasks_of,
    texts_of,
    word_of,
)
from state.schema import edge, id_map, migration, next_id, task

_NEW_TASK = insert(task)
_NEW_EDGE = insert(edge)


def save(connection: Connection, plan: Plan) -> None:
    """Write a plan, in place of an earlier one of the same migration id.

    Attempts and the id map stay; tasks already done with a copy are added to the map. Raises
    ``ValueError`` when two tasks have one ref, or a task needs what is not in the plan.
    """
    first = next_id(connection, task.c.id)
    number = _save_migration(connection, plan, first)
    rows = (_task_row(number, ident, planned) for ident, planned in enumerate(plan.tasks, first))
    try:
        write(connection, _NEW_TASK, rows)
    except IntegrityError:
        raise ValueError("a plan names every object once") from None
    write(connection, _NEW_EDGE, _edge_rows(plan.tasks, first))
    done = (planned for planned in plan.tasks if planned.status is TaskStatus.DONE)
    map_copies(connection, number, ((p.ref, p.target_id, p.name) for p in done))


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


def _task_row(number: int, row_id: int, planned: PlannedTask) -> dict[str, Any]:
    return {
        "id": row_id,
        **key(number, planned.ref),
        "name": planned.name,
        "action": planned.action.value,
        "container": planned.container,
        "reason": planned.reason,
        "target_id": planned.target_id,
        "mark": planned.mark,
        "because": _because_column(planned.because),
        "number": planned.number,
        "first_free": planned.first_free,
        "objects": planned.count,
        "planned_losses": losses_column(planned.losses),
        "planned_warnings": planned.warnings or None,
        "status": planned.status.value,
        "wrote": False,
        "objects_written": 0,
        "bytes_sent": 0,
    }


def _edge_rows(tasks: Sequence[PlannedTask], first: int) -> Iterator[dict[str, Any]]:
    # Those alone that others wait for: they are few.
    named = {ref for planned in tasks for ref in (*planned.needs, *planned.after)}
    ids = {it.ref: ident for ident, it in enumerate(tasks, first) if it.ref in named}
    for row_id, planned in enumerate(tasks, first):
        waits = (*((ref, False) for ref in planned.needs), *((ref, True) for ref in planned.after))
        for position, (ref, soft) in enumerate(waits):
            if ref not in ids:
                word = "comes after" if soft else "needs"
                raise ValueError(f"{planned.ref} {word} {ref}, which is not in the plan")
            yield {
                "task": row_id,
                "position": position,
                "needs": ids[ref],
                "soft": soft,
            }


_UNMAP = delete(id_map).where(keyed(id_map))
_MAP = insert(id_map)
#: One step of SQLite takes the place of both.
_MAP_ANEW = insert(id_map).prefix_with("OR REPLACE")


def map_copies(connection: Connection, number: int, copies: Iterable[tuple[Ref, str, str]]) -> None:
    """Enter where finished copies are (ref, target id, name), in place of what the map had."""
    replaces = connection.dialect.name == "sqlite"
    for chunk in chunks(copy for copy in copies if copy[1] and not copy[0].deletes):
        if not replaces:
            write(connection, _UNMAP, (of_key(number, ref) for ref, _, _ in chunk))
        rows = (
            {**key(number, ref), "target_id": target_id, "name": name}
            for ref, target_id, name in chunk
        )
        write(connection, _MAP_ANEW if replaces else _MAP, rows)


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
    # Many objects that stay bring on collection after collection, which find nothing.
    gc.disable()
    try:
        return _load_tasks(connection, row)
    finally:
        gc.enable()


def _load_tasks(connection: Connection, row: Row[Any]) -> tuple[PlannedTask, ...]:
    """Read the tasks of a plan, a stretch of rows at a time; what they share they have once."""
    refs = _load_refs(connection, row)
    containers: dict[str, str] = {}
    tasks: list[PlannedTask] = []
    # Of the ids that are there: how far they go is what a damaged row may say.
    for stretch in chunks(sorted(refs)):
        first, last = stretch[0], stretch[-1]
        needs, after = _load_edges(connection, first, last, refs)
        of_stretch = _TASKS.where(task.c.id.between(first, last)).order_by(task.c.id)
        tasks += (
            _planned(
                found,
                refs[found.id],
                containers.setdefault(found.container, found.container),
                needs.get(found.id, ()),
                after.get(found.id, ()),
            )
            for found in connection.execute(of_stretch)
        )
    return tuple(tasks)


def _load_refs(connection: Connection, row: Row[Any]) -> dict[int, Ref]:
    named = select(task.c.id, task.c.kind, task.c.source_id).where(tasks_of(row))
    return {found.id: ref_of(found) for found in streamed(connection, named)}


Waits = Mapping[int, tuple[Ref, ...]]


def _load_edges(
    connection: Connection, first: int, last: int, refs: Mapping[int, Ref]
) -> tuple[Waits, Waits]:
    """Return what the tasks with ids from first to last need, and what they only come after."""
    needs: dict[int, list[Ref]] = {}
    after: dict[int, list[Ref]] = {}
    edges = select(edge).where(edge.c.task.between(first, last))
    for found in streamed(connection, edges.order_by(edge.c.task, edge.c.position)):
        kept = after if found.soft else needs
        if found.needs not in refs:
            raise damaged(f"{found.needs!r} as what a task needs")
        kept.setdefault(found.task, []).append(refs[found.needs])
    alike: dict[tuple[Ref, ...], tuple[Ref, ...]] = {}
    return _shared(needs, alike), _shared(after, alike)


def _shared(kept: Mapping[int, list[Ref]], alike: dict[tuple[Ref, ...], tuple[Ref, ...]]) -> Waits:
    """Give tasks that wait for the same one value together: most wait for their container alone."""
    waits = ((ident, tuple(found)) for ident, found in kept.items())
    return {ident: alike.setdefault(found, found) for ident, found in waits}


#: What outcomes add, and what is read before.
_NOT_OF_PLANS = frozenset(
    {"losses", "warnings", "wrote", "objects_written", "bytes_sent", "blocked_by"}
    | {"migration", "kind", "source_id"}
)
_TASKS = select(*(column for column in task.c if column.name not in _NOT_OF_PLANS))


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
    row: Row[Any], ref: Ref, container: str, needs: tuple[Ref, ...], after: tuple[Ref, ...]
) -> PlannedTask:
    return PlannedTask(
        ref=ref,
        name=row.name,
        action=word_of(Action, row.action, "what is done with an object"),
        container=container,
        reason=row.reason,
        target_id=row.target_id,
        mark=row.mark,
        needs=needs,
        after=after,
        because=_because_of(row.because),
        number=row.number,
        first_free=row.first_free,
        count=row.objects,
        losses=losses_of(row.planned_losses),
        warnings=texts_of(row.planned_warnings, "warnings"),
        status=word_of(TaskStatus, row.status, "the status of a task"),
    )
