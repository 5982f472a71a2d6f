"""What is read out of the state database for people: reports, and the list of migrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, bindparam, case, func, select

from migrate.kinds import HEADINGS, Action, Heading, Kind, Ref
from migrate.outcomes import Loss, TaskStatus
from migrate.plans import Failure, KindTotals, Report, Side
from migrate.redaction import without_logins
from migrate.straight import is_note, summed
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
from state.schema import attempt, migration, task


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


def overview(connection: Connection) -> Iterator[tuple[StoredMigration, Callable[[], Report]]]:
    """Yield the migrations, latest first, each with what sums it up; tasks are counted once."""
    latest_first = select(migration).order_by(migration.c.created.desc(), migration.c.number.desc())
    for row in connection.execute(latest_first).all():
        source, target = sides(row)
        tallies = _tallies(connection, row)
        listed = StoredMigration(
            id=row.id,
            created=row.created,
            source=source,
            target=target,
            status=_status(connection, row, tallies),
        )
        yield listed, partial(_report, connection, row, tallies)


def _status(connection: Connection, stored: Row[Any], tallies: Sequence[Tally]) -> MigrationStatus:
    statuses = {tally.status for tally in tallies}
    if TaskStatus.PENDING.value in statuses:
        # A plan made anew keeps the attempts of the one before it.
        of_this = select(attempt.c.started).where(attempt.c.migration == stored.number)
        last = connection.scalar(of_this.order_by(attempt.c.id.desc()).limit(1))
        begun = last is not None and last >= stored.created
        return MigrationStatus.UNFINISHED if begun else MigrationStatus.PLANNED
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
    tallies = _tallies(connection, stored)
    summed_up = _report(connection, stored, tallies)
    return replace(summed_up, seconds=seconds, interrupted=interrupted)


def _report(connection: Connection, stored: Row[Any], tallies: Sequence[Tally]) -> Report:
    source, target = sides(stored)
    totals = _totals(tallies)
    losses, warnings, notes = (
        _remarks(connection, stored) if any(it.remarks for it in tallies) else ((), (), ())
    )
    failed = any(it.status == TaskStatus.FAILED for it in tallies)
    blocked = _blocked(connection, stored) if failed else {}
    return Report(
        migration_id=stored.id,
        source=source,
        target=target,
        totals=totals,
        failures=_failures(connection, stored, Counter(blocked.values())) if failed else (),
        losses=losses,
        warnings=warnings,
        straight=summed(notes),
        unsupported=_unsupported(stored, tallies),
        bytes_sent=sum(of_kind.bytes_sent for of_kind in totals.values()),
        seconds=0.0,
        unknown=texts_of(stored.unknown, "what is unknown"),
        blocked=blocked,
    )


#: What is lost or to be warned of: of what is not wanted, nothing can be lost.
_REMARKS = (task.c.planned_losses, task.c.losses, task.c.planned_warnings, task.c.warnings)
_HAS_REMARKS = and_(task.c.action != Action.SKIP.value, func.coalesce(*_REMARKS).is_not(None))


class Tally(NamedTuple):
    """What is counted of tasks that are alike: of one kind, with one status and action."""

    kind: str
    status: str
    action: str
    objects: int
    wrote: int
    bytes_sent: int
    remarks: int


_GROUPS = (task.c.kind, task.c.status, task.c.action)
_COUNTED = (
    func.sum(task.c.objects),
    func.sum(case((task.c.wrote, task.c.objects_written), else_=0)),
    func.sum(task.c.bytes_sent),
    func.sum(case((_HAS_REMARKS, 1), else_=0)),
)
_GROUPED: Select[*tuple[Any, ...]] = select(*_GROUPS, *_COUNTED).group_by(*_GROUPS)
_BETWEEN = task.c.id.between(bindparam("first"), bindparam("last"))
_NEXT: Select[*tuple[Any, ...]] = (
    select(task.c.id, *_GROUPS).where(_BETWEEN).order_by(task.c.id).limit(1)
)
_ALIKE: Select[*tuple[Any, ...]] = select(
    func.count(),
    func.sum(case((and_(*(it == bindparam(f"of_{it.name}") for it in _GROUPS)), 1), else_=0)),
    *_COUNTED,
).where(_BETWEEN)
#: Tasks that are looked at together.
_STRETCH = 5_000


def _tallies(connection: Connection, stored: Row[Any]) -> Sequence[Tally]:
    """Count all tasks of a plan, by kind, status and action: the rows are gone through once."""
    if connection.dialect.name != "sqlite":
        return [Tally(*row) for row in connection.execute(_GROUPED.where(tasks_of(stored)))]
    found: dict[tuple[str, str, str], list[Tally]] = {}
    first = stored.first_task
    # SQLite sorts to group, which takes longer than to read. Most stretches are of one group.
    while (start := _next_task(connection, first, stored)) is not None:
        first, last = start.id, min(start.id + _STRETCH - 1, stored.last_task)
        for tally in _tallies_between(
            connection, first, last, (start.kind, start.status, start.action)
        ):
            found.setdefault(tally[:3], []).append(tally)
        first = last + 1
    return [
        Tally(*group, *(sum(counts) for counts in zip(*(it[3:] for it in tallies), strict=True)))
        for group, tallies in found.items()
    ]


def _next_task(
    connection: Connection, first: int, stored: Row[Any]
) -> Row[*tuple[Any, ...]] | None:
    """Return the next task with its group: how far ids go is what a damaged row may say."""
    ids = {"first": first, "last": stored.last_task}
    return connection.execute(_NEXT, ids).one_or_none()


def _tallies_between(
    connection: Connection, first: int, last: int, group: tuple[str, str, str]
) -> Iterator[Tally]:
    """Count the tasks of a stretch, of which the first is in ``group``."""
    ids = {"first": first, "last": last}
    named = {f"of_{column.name}": value for column, value in zip(_GROUPS, group, strict=True)}
    count, alike, *counts = connection.execute(_ALIKE, {**ids, **named}).one()
    if count == alike:
        yield Tally(*group, *counts)
    else:
        yield from (Tally(*row) for row in connection.execute(_GROUPED.where(_BETWEEN), ids))


def _totals(tallies: Sequence[Tally]) -> dict[Heading, KindTotals]:
    by_heading: dict[Heading, list[Tally]] = {}
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


def _failures(
    connection: Connection, stored: Row[Any], blocks: Counter[Ref]
) -> tuple[Failure, ...]:
    """Return the failed tasks, each with how many others it ``blocks``."""
    last = (
        select(attempt.c.source_id, attempt.c.kind, func.max(attempt.c.id).label("id"))
        .where(attempt.c.migration == stored.number, attempt.c.status == TaskStatus.FAILED.value)
        .group_by(attempt.c.source_id, attempt.c.kind)
        .subquery()
    )
    same = and_(last.c.source_id == task.c.source_id, last.c.kind == task.c.kind)
    failed = (
        select(task.c.kind, task.c.source_id, task.c.name, attempt.c.error, attempt.c.hint)
        .select_from(task)
        .outerjoin(last, same)
        .outerjoin(attempt, attempt.c.id == last.c.id)
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


def _blocked(connection: Connection, stored: Row[Any]) -> dict[Ref, Ref]:
    """Name for each blocked task the failed one it waits for, also through other blocked ones."""
    blocked = select(task.c.kind, task.c.source_id, task.c.blocked_by).where(
        tasks_of(stored), task.c.status == TaskStatus.BLOCKED.value
    )
    causes = {
        ref_of(row): ref_from_stored(row.blocked_by, "what holds up a task")
        for row in connection.execute(blocked)
    }
    roots: dict[Ref, Ref] = {}
    for ref, cause in causes.items():
        root, seen = cause, {cause}
        while root in causes:
            root = causes[root]
            if root in seen:
                raise damaged(f"tasks that hold up each other, {root} among them")
            seen.add(root)
        roots[ref] = root
    return roots


def _remarks(
    connection: Connection, stored: Row[Any]
) -> tuple[tuple[tuple[Ref, str, Loss], ...], tuple[tuple[Ref, str], ...], tuple[str, ...]]:
    """Collect losses and warnings, planned ones before those met on the way, each once; and notes.

    The notes are those of ``migrate.straight``.
    """
    remarkable = (
        select(task.c.kind, task.c.source_id, task.c.name, *_REMARKS)
        .where(tasks_of(stored), _HAS_REMARKS)
        .order_by(task.c.id)
    )
    losses: list[tuple[Ref, str, Loss]] = []
    warnings: list[tuple[Ref, str]] = []
    notes: list[str] = []
    for row in connection.execute(remarkable):
        ref = ref_of(row)
        lost = merged(losses_of(row.planned_losses), losses_of(row.losses))
        losses.extend((ref, row.name, loss) for loss in lost)
        met = texts_of(row.warnings, "warnings")
        notes.extend(filter(is_note, met))
        of_it = tuple(text for text in met if not is_note(text))
        said = merged(texts_of(row.planned_warnings, "warnings"), of_it)
        warnings.extend((ref, warning) for warning in said)
    return tuple(losses), tuple(warnings), tuple(notes)


def _unsupported(stored: Row[Any], tallies: Sequence[Tally]) -> dict[Kind, int]:
    """Return what the plan counted of kinds that are not copied, and single tasks like that."""
    counts = {kind: count for kind, count in counts_of_kinds(stored.unsupported).items() if count}
    tasks: Counter[Kind] = Counter()
    for row in tallies:
        if row.action == Action.UNSUPPORTED.value:
            tasks[word_of(Kind, row.kind, "the kind of an object")] += int(row.objects)
    return counts | {kind: max(count, counts.get(kind, 0)) for kind, count in tasks.items()}
