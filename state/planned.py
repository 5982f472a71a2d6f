"""Plans as rows: how one is written whole, and read back with what has become of its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from migrate.kinds import Action, Ref
from migrate.outcomes import TaskStatus
from migrate.plans import Because, Plan, PlannedTask, because_from_stored, because_to_stored
from state.database import damaged
from state.rows import (
    chunks,
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


def save(connection: Connection, plan: Plan) -> None:
    """Write a plan, in place of an earlier one of the same migration id.

    Attempts and the id map stay; tasks already done with a copy are added to the map. Raises
    ``ValueError`` when two tasks have one ref, or a task needs what is not in the plan.
    """
    first = next_id(connection, task.c.id)
    ids = {planned.ref: first + place for place, planned in enumerate(plan.tasks)}
    if len(ids) != len(plan.tasks):
        raise ValueError("a plan names every object once")
    number = _save_migration(connection, plan, first)
    for tasks in chunks(plan.tasks):
        rows = [_task_row(number, ids[planned.ref], planned) for planned in tasks]
        connection.execute(insert(task), rows)
    for edges in chunks(_edge_rows(plan.tasks, ids)):
        connection.execute(insert(edge), edges)
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
        "because": list(map(because_to_stored, planned.because)) or None,
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


def _edge_rows(tasks: Iterable[PlannedTask], ids: Mapping[Ref, int]) -> Iterator[dict[str, Any]]:
    for planned in tasks:
        waits = (*((ref, False) for ref in planned.needs), *((ref, True) for ref in planned.after))
        for position, (ref, soft) in enumerate(waits):
            if ref not in ids:
                word = "comes after" if soft else "needs"
                raise ValueError(f"{planned.ref} {word} {ref}, which is not in the plan")
            yield {
                "task": ids[planned.ref],
                "position": position,
                "needs": ids[ref],
                "soft": soft,
            }


_UNMAP = delete(id_map).where(keyed(id_map))
_MAP = insert(id_map)


def map_copies(connection: Connection, number: int, copies: Iterable[tuple[Ref, str, str]]) -> None:
    """Enter where finished copies are (ref, target id, name), in place of what the map had."""
    for chunk in chunks(copy for copy in copies if copy[1] and not copy[0].deletes):
        connection.execute(_UNMAP, [of_key(number, ref) for ref, _, _ in chunk])
        connection.execute(
            _MAP,
            [
                {**key(number, ref), "target_id": target_id, "name": name}
                for ref, target_id, name in chunk
            ],
        )


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
        tasks=_load_tasks(connection, row),
        notes=texts_of(row.notes, "notes"),
        collisions=texts_of(row.collisions, "collisions"),
        unsupported=counts_of_kinds(row.unsupported),
        known=mapping_of(row.known, "sizes"),
        unknown=texts_of(row.unknown, "what is unknown"),
    )


def _load_tasks(connection: Connection, row: Row[Any]) -> tuple[PlannedTask, ...]:
    named = select(task.c.id, task.c.kind, task.c.source_id).where(tasks_of(row))
    refs = {found.id: ref_of(found) for found in streamed(connection, named)}
    needs: dict[int, list[Ref]] = {}
    after: dict[int, list[Ref]] = {}
    edges = select(edge).where(edge.c.task.between(row.first_task, row.last_task))
    for found in streamed(connection, edges.order_by(edge.c.task, edge.c.position)):
        kept = after if found.soft else needs
        if found.needs not in refs:
            raise damaged(f"{found.needs!r} as what a task needs")
        kept.setdefault(found.task, []).append(refs[found.needs])
    columns = [column for column in task.c if column.name not in _OUTCOME_COLUMNS]
    tasks = select(*columns).where(tasks_of(row)).order_by(task.c.id)
    return tuple(
        _planned(found, refs[found.id], needs.get(found.id, ()), after.get(found.id, ()))
        for found in streamed(connection, tasks)
    )


_OUTCOME_COLUMNS = frozenset(
    {"losses", "warnings", "wrote", "objects_written", "bytes_sent", "blocked_by"}
)


def _because_of(stored: object) -> tuple[Because, ...]:
    try:
        return tuple(map(because_from_stored, listed(stored, "reasons")))
    except ValueError:
        raise damaged("reasons of an unknown form") from None


def _planned(row: Row[Any], ref: Ref, needs: Sequence[Ref], after: Sequence[Ref]) -> PlannedTask:
    return PlannedTask(
        ref=ref,
        name=row.name,
        action=word_of(Action, row.action, "what is done with an object"),
        container=row.container,
        reason=row.reason,
        target_id=row.target_id,
        mark=row.mark,
        needs=tuple(needs),
        after=tuple(after),
        because=_because_of(row.because),
        number=row.number,
        first_free=row.first_free,
        count=row.objects,
        losses=losses_of(row.planned_losses),
        warnings=texts_of(row.planned_warnings, "warnings"),
        status=word_of(TaskStatus, row.status, "the status of a task"),
    )
