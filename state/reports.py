"""What is read out of the state database for people: reports, the list of migrations, the map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, case, func, or_, select, tuple_

from migrate.kinds import HEADINGS, Action, Heading, Kind, Ref
from migrate.outcomes import Loss, TaskStatus
from migrate.plans import Failure, KindTotals, Report, Side
from migrate.redaction import without_logins
from state.database import damaged
from state.rows import (
    counts_of_kinds,
    losses_of,
    merged,
    migration_row,
    ref_from_stored,
    ref_of,
    sides,
    tasks_of,
    texts_of,
    word_of,
)
from state.schema import attempt, id_map, migration, task


class MigrationStatus(StrEnum):
    """Where a migration stands as a whole."""

    PLANNED = "planned"  #: nothing of its plan was begun
    UNFINISHED = "unfinished"  #: under way, or interrupted
    INCOMPLETE = "incomplete"  #: it ended with failed or blocked tasks
    DONE = "done"  #: every task is done or skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMigration:
    """A line of the list of migrations; ``created`` is epoch milliseconds."""

    id: str
    created: int
    source: Side
    target: Side
    status: MigrationStatus


def migrations(connection: Connection) -> list[StoredMigration]:
    """List the migrations, latest first."""
    latest_first = select(migration).order_by(migration.c.created.desc(), migration.c.number.desc())
    listed = []
    for row in connection.execute(latest_first).all():
        source, target = sides(row)
        status = _status(connection, row)
        listed.append(
            StoredMigration(
                id=row.id, created=row.created, source=source, target=target, status=status
            )
        )
    return listed


def _status(connection: Connection, stored: Row[Any]) -> MigrationStatus:
    found = connection.scalars(select(task.c.status).where(tasks_of(stored)).distinct())
    statuses = set(found)
    if TaskStatus.PENDING.value in statuses:
        # A plan made anew keeps the attempts of the one before it.
        under_this_plan = and_(
            attempt.c.migration == stored.number, attempt.c.started >= stored.created
        )
        begun = connection.scalar(select(attempt.c.id).where(under_this_plan).limit(1))
        return MigrationStatus.PLANNED if begun is None else MigrationStatus.UNFINISHED
    if statuses & {TaskStatus.FAILED.value, TaskStatus.BLOCKED.value}:
        return MigrationStatus.INCOMPLETE
    return MigrationStatus.DONE


def find_migration(connection: Connection, source: str, target: str) -> str | None:
    """Return the id of the latest migration between two identities."""
    found: str | None = connection.scalar(
        select(migration.c.id)
        .where(
            migration.c.source_identity == without_logins(source),
            migration.c.target_identity == without_logins(target),
        )
        .order_by(migration.c.created.desc(), migration.c.number.desc())
        .limit(1)
    )
    return found


def report(
    connection: Connection, migration_id: str, *, seconds: float, interrupted: bool
) -> Report:
    """Sum up how a migration stands. Raises ``StateError`` when it is unknown."""
    stored = migration_row(connection, migration_id)
    source, target = sides(stored)
    tallies = _tallies(connection, stored)
    totals = _totals(tallies)
    losses, warnings = (
        _remarks(connection, stored) if any(it.remarks for it in tallies) else ((), ())
    )
    failed = any(it.status == TaskStatus.FAILED for it in tallies)
    return Report(
        migration_id=migration_id,
        source=source,
        target=target,
        totals=totals,
        failures=_failures(connection, stored) if failed else (),
        losses=losses,
        warnings=warnings,
        unsupported=_unsupported(stored, tallies),
        bytes_sent=sum(of_kind.bytes_sent for of_kind in totals.values()),
        seconds=seconds,
        interrupted=interrupted,
        unknown=texts_of(stored.unknown, "what is unknown"),
    )


#: What is lost or to be warned of: of what is not wanted, nothing can be lost.
_REMARKS = (task.c.planned_losses, task.c.losses, task.c.planned_warnings, task.c.warnings)
_HAS_REMARKS = and_(
    task.c.action != Action.SKIP.value, or_(*(column.is_not(None) for column in _REMARKS))
)


def _tallies(connection: Connection, stored: Row[Any]) -> Sequence[Row[Any]]:
    """Count all tasks of a plan, by kind, status and action: the rows are gone through once."""
    grouped: Select[Any] = (
        select(
            task.c.kind,
            task.c.status,
            task.c.action,
            func.sum(task.c.objects).label("objects"),
            func.sum(case((task.c.wrote, task.c.objects_written), else_=0)).label("wrote"),
            func.sum(task.c.bytes_sent).label("bytes_sent"),
            func.sum(case((_HAS_REMARKS, 1), else_=0)).label("remarks"),
        )
        .where(tasks_of(stored))
        .group_by(task.c.kind, task.c.status, task.c.action)
    )
    return connection.execute(grouped).all()


def _totals(tallies: Sequence[Row[Any]]) -> dict[Heading, KindTotals]:
    by_heading: dict[Heading, list[Row[Any]]] = {}
    for row in tallies:
        by_heading.setdefault(ref_from_stored(row.kind, "a kind").heading, []).append(row)
    totals = {}
    for heading in sorted(by_heading, key=HEADINGS.index):
        rows = by_heading[heading]
        counts: Counter[str] = Counter()
        for row in rows:
            counts[row.status] += int(row.objects)
        totals[heading] = KindTotals(
            found=sum(counts.values()),
            **{status.value: counts.get(status.value, 0) for status in TaskStatus},
            wrote=sum(int(row.wrote) for row in rows),
            bytes_sent=sum(int(row.bytes_sent) for row in rows),
        )
    return totals


def _failures(connection: Connection, stored: Row[Any]) -> tuple[Failure, ...]:
    blocks = _blocks(connection, stored)
    tried = attempt.alias()
    last = (
        select(func.max(tried.c.id))
        .where(
            tried.c.migration == stored.number,
            tried.c.source_id == task.c.source_id,
            tried.c.kind == task.c.kind,
            tried.c.ended.is_not(None),
        )
        .scalar_subquery()
    )
    failed = (
        select(task.c.kind, task.c.source_id, task.c.name, attempt.c.error, attempt.c.hint)
        .select_from(task)
        .outerjoin(attempt, attempt.c.id == last)
        .where(tasks_of(stored), task.c.status == TaskStatus.FAILED.value)
        .order_by(task.c.id)
    )
    return tuple(
        Failure(
            ref=ref_of(row),
            name=row.name,
            error=row.error or "",
            hint=row.hint or "",
            blocks=blocks[ref_of(row)],
        )
        for row in connection.execute(failed)
    )


def _blocks(connection: Connection, stored: Row[Any]) -> Counter[Ref]:
    """Count, for each failed task, those that wait for it, also through other blocked ones."""
    blocked = select(task.c.kind, task.c.source_id, task.c.blocked_by).where(
        tasks_of(stored), task.c.status == TaskStatus.BLOCKED.value
    )
    causes = {
        ref_of(row): ref_from_stored(row.blocked_by, "what holds up a task")
        for row in connection.execute(blocked)
    }
    counts: Counter[Ref] = Counter()
    for cause in causes.values():
        root, seen = cause, {cause}
        while root in causes:
            root = causes[root]
            if root in seen:
                raise damaged(f"tasks that hold up each other, {root} among them")
            seen.add(root)
        counts[root] += 1
    return counts


def _remarks(
    connection: Connection, stored: Row[Any]
) -> tuple[tuple[tuple[Ref, str, Loss], ...], tuple[tuple[Ref, str], ...]]:
    """Collect losses and warnings, planned ones before those met on the way, each once."""
    remarkable = (
        select(task.c.kind, task.c.source_id, task.c.name, *_REMARKS)
        .where(tasks_of(stored), _HAS_REMARKS)
        .order_by(task.c.id)
    )
    losses: list[tuple[Ref, str, Loss]] = []
    warnings: list[tuple[Ref, str]] = []
    for row in connection.execute(remarkable):
        ref = ref_of(row)
        lost = merged(losses_of(row.planned_losses), losses_of(row.losses))
        losses.extend((ref, row.name, loss) for loss in lost)
        said = merged(
            texts_of(row.planned_warnings, "warnings"), texts_of(row.warnings, "warnings")
        )
        warnings.extend((ref, warning) for warning in said)
    return tuple(losses), tuple(warnings)


def _unsupported(stored: Row[Any], tallies: Sequence[Row[Any]]) -> dict[Kind, int]:
    """Return what the plan counted of kinds that are not copied, and single tasks like that."""
    counts = {kind: count for kind, count in counts_of_kinds(stored.unsupported).items() if count}
    tasks: Counter[Kind] = Counter()
    for row in tallies:
        if row.action == Action.UNSUPPORTED.value:
            tasks[word_of(Kind, row.kind, "the kind of an object")] += int(row.objects)
    return counts | {kind: max(count, counts.get(kind, 0)) for kind, count in tasks.items()}


_MAP_PAGE = 5_000


def id_map_page(
    connection: Connection,
    *,
    kind: Kind | None,
    source_id: str | None,
    target_id: str | None,
    after: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Return the next rows of the id map that fit, in its order; none when there are no more."""
    order = (id_map.c.source_id, id_map.c.kind, migration.c.number)
    page = (
        select(
            id_map.c.kind,
            id_map.c.source_id,
            id_map.c.target_id,
            id_map.c.name,
            migration.c.id.label("migration_id"),
            migration.c.source_uri,
            migration.c.target_uri,
            migration.c.number,
        )
        .join(migration, migration.c.number == id_map.c.migration)
        .order_by(*order)
        .limit(_MAP_PAGE)
    )
    if kind is not None:
        page = page.where(id_map.c.kind == kind.value)
    if source_id is not None:
        page = page.where(id_map.c.source_id == source_id)
    if target_id is not None:
        page = page.where(id_map.c.target_id == target_id)
    if after is not None:
        last = (after["source_id"], after["kind"], after["number"])
        page = page.where(tuple_(*order) > tuple_(*last))
    return [dict(row) for row in connection.execute(page).mappings()]
