"""What was tried and how it ended: the rows a migration writes while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    case,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from migrate.errors import StateError
from migrate.kinds import Ref, Step
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.straight import is_note
from state import copies
from state.bulk import chunks, write
from state.rows import (
    KEY,
    OF_KEY,
    key,
    keyed,
    losses_column,
    losses_of,
    merged,
    ref_of,
    tasks_of,
    texts_of,
    word_of,
)
from state.schema import attempt, task

# Built once: SQLAlchemy takes longer to build and key a statement than SQLite to run it.
_LAST_ATTEMPT = select(func.max(attempt.c.id))
_NEW_ATTEMPT = insert(attempt)
_ATTEMPT = (*KEY, "id", "started", "error", "hint", "retryable")
_END_ATTEMPT = update(attempt).where(attempt.c.id == bindparam("of_id"))
_END = ("of_id", "ended", "status", "error", "hint", "retryable")
_STANDINGS = select(
    task.c.id,
    task.c.kind,
    task.c.source_id,
    task.c.status,
    task.c.target_id,
    task.c.mark,
    task.c.wrote,
    task.c.objects_written,
    task.c.bytes_sent,
    task.c.losses,
    task.c.warnings,
).where(
    task.c.migration == bindparam("of_migration"),
    task.c.source_id.in_(bindparam("of_source_ids", expanding=True)),
)
_SETTLE = update(task).where(task.c.id == bindparam("of_id"))
_STANDING = (
    "of_id",
    "status",
    "blocked_by",
    "target_id",
    "mark",
    "wrote",
    "objects_written",
    "bytes_sent",
    "losses",
    "warnings",
)
_REOPENED = ("of_id", "status", "losses")


def _told(name: str) -> Any:
    return bindparam(f"told_{name}", type_=task.c[name].type)


#: Does to a row what ``_Standing.add`` does, where nothing was lost or is to be warned of.
_ADD = (
    update(task)
    .where(keyed(task))
    .values(
        status=_told("status"),
        blocked_by=null(),
        target_id=func.coalesce(_told("target_id"), task.c.target_id),
        mark=func.coalesce(_told("mark"), task.c.mark),
        objects_written=case(
            (task.c.wrote, func.max(task.c.objects_written, _told("objects_written"))),
            else_=_told("objects_written"),
        ),
        wrote=or_(task.c.wrote, _told("wrote")),
        bytes_sent=task.c.bytes_sent + _told("bytes_sent"),
    )
)
_ADDED = (
    *OF_KEY,
    "told_status",
    "told_target_id",
    "told_mark",
    "told_objects_written",
    "told_wrote",
    "told_bytes_sent",
)
_BLOCK = update(task).where(keyed(task))
_BLOCKED = (*OF_KEY, "status", "blocked_by")

_FINAL = (TaskStatus.DONE.value, TaskStatus.SKIPPED.value)


def start(connection: Connection, number: int, refs: Iterable[Ref]) -> dict[Ref, int]:
    """Write that attempts begin now; return the id of each."""
    first = _next_attempt(connection)
    ids = {ref: first + place for place, ref in enumerate(dict.fromkeys(refs))}
    now = _now()
    rows = (_attempt_row(number, ref, row_id, now) for ref, row_id in ids.items())
    write(connection, _NEW_ATTEMPT, _ATTEMPT, rows)
    return ids


def end(
    connection: Connection, number: int, outcomes: Sequence[Outcome], begun: Mapping[Ref, int]
) -> None:
    """Write how attempts ended: those of ``begun`` by their id, others as rows of their own."""
    unheard = [outcome for outcome in outcomes if outcome.ref not in begun]
    ids = dict(begun)
    now = _now()
    if unheard:
        first = _next_attempt(connection)
        ids |= {outcome.ref: first + place for place, outcome in enumerate(unheard)}
        rows = (
            _attempt_row(number, outcome.ref, row_id, now - round(outcome.seconds * 1000))
            for row_id, outcome in enumerate(unheard, first)
        )
        write(connection, _NEW_ATTEMPT, _ATTEMPT, rows)
    ends = (
        (
            ids[outcome.ref],
            now,
            outcome.status.value,
            outcome.error,
            outcome.hint,
            outcome.retryable,
        )
        for outcome in outcomes
    )
    write(connection, _END_ATTEMPT, _END, ends)


def _next_attempt(connection: Connection) -> int:
    return int(connection.scalar(_LAST_ATTEMPT) or 0) + 1


def _attempt_row(number: int, ref: Ref, row_id: int, started: int) -> tuple[Any, ...]:
    return (*key(number, ref), row_id, started, "", "", False)


@dataclass(slots=True)
class _Standing:
    """A task as it stands, to which outcomes are added."""

    row_id: int
    status: TaskStatus
    target_id: str
    mark: str
    wrote: bool
    written: int
    bytes_sent: int
    losses: tuple[Loss, ...]
    warnings: tuple[str, ...]

    def add(self, outcome: Outcome) -> None:
        self.status = TaskStatus.PENDING if outcome.retryable else outcome.status
        self.target_id = outcome.target_id or self.target_id
        self.mark = outcome.mark or self.mark
        if outcome.wrote:
            self.written = max(outcome.written, self.written if self.wrote else 0)
            self.wrote = True
        self.bytes_sent += outcome.bytes_sent
        # A later attempt may not come past what an earlier one had to leave out.
        self.losses = merged(self.losses, outcome.losses)
        # Notes stand among the warnings, where the report finds them; no warning, which may begin
        # with a name of the source, may pose as one.
        warnings = tuple(f" {text}" if is_note(text) else text for text in outcome.warnings)
        self.warnings = merged(self.warnings, warnings + outcome.straight)

    def row(self) -> tuple[Any, ...]:
        return (
            self.row_id,
            self.status.value,
            None,
            self.target_id,
            self.mark,
            self.wrote,
            self.written,
            self.bytes_sent,
            losses_column(self.losses),
            self.warnings or None,
        )


def settle(connection: Connection, number: int, outcomes: Sequence[Outcome]) -> None:
    """Bring tasks to where their outcomes leave them.

    Raises ``StateError`` for an outcome of a task that is not in the plan.
    """
    plain, others = _parted(outcomes) if connection.dialect.name == "sqlite" else ([], outcomes)
    if write(connection, _ADD, _ADDED, (_added_row(number, it) for it in plain)) < len(plain):
        others = outcomes  # one of them is not there, and is looked for by name
    standings: dict[Ref, _Standing] = {}
    for chunk in chunks(others):
        standings |= _standings(connection, number, [outcome.ref for outcome in chunk])
    for outcome in others:
        if outcome.ref not in standings:
            raise StateError(f"{outcome.ref} is not in the plan", "Make the plan anew.")
        standings[outcome.ref].add(outcome)
    write(connection, _SETTLE, _STANDING, (standing.row() for standing in standings.values()))


def _parted(outcomes: Sequence[Outcome]) -> tuple[Sequence[Outcome], Sequence[Outcome]]:
    """Take apart the outcomes of tasks without losses and warnings, whose rows need not be read."""
    remarkable = {it.ref for it in outcomes if it.losses or it.warnings or it.straight}
    if not remarkable:
        return outcomes, []
    plain = [outcome for outcome in outcomes if outcome.ref not in remarkable]
    return plain, [outcome for outcome in outcomes if outcome.ref in remarkable]


def _added_row(number: int, outcome: Outcome) -> tuple[Any, ...]:
    status = TaskStatus.PENDING if outcome.retryable else outcome.status
    return (
        *key(number, outcome.ref),
        status.value,
        outcome.target_id or None,
        outcome.mark or None,
        outcome.written if outcome.wrote else 0,
        outcome.wrote,
        outcome.bytes_sent,
    )


def _standings(connection: Connection, number: int, refs: Sequence[Ref]) -> dict[Ref, _Standing]:
    wanted = {(ref.word, ref.id): ref for ref in refs}
    named = {"of_migration": number, "of_source_ids": [ref.id for ref in refs]}
    return {
        ref: _Standing(
            row_id=row.id,
            status=word_of(TaskStatus, row.status, "the status of a task"),
            target_id=row.target_id,
            mark=row.mark,
            wrote=row.wrote,
            written=row.objects_written,
            bytes_sent=row.bytes_sent,
            losses=losses_of(row.losses),
            warnings=texts_of(row.warnings, "warnings"),
        )
        for row in connection.execute(_STANDINGS, named)
        if (ref := wanted.get((row.kind, row.source_id)))
    }


def block(connection: Connection, number: int, blocked: Mapping[Ref, Ref]) -> None:
    """Set tasks to blocked, each with the task that holds it up."""
    rows = ((*key(number, ref), TaskStatus.BLOCKED.value, by.stored) for ref, by in blocked.items())
    write(connection, _BLOCK, _BLOCKED, rows)


def reopen(connection: Connection, row: Row[Any]) -> None:
    """Make pending again what failed, was blocked, or lost what another attempt may bring.

    What is known of their copies stays.
    """
    ended = (TaskStatus.FAILED.value, TaskStatus.BLOCKED.value)
    connection.execute(
        update(task)
        .where(tasks_of(row), task.c.status.in_(ended))
        .values(status=TaskStatus.PENDING.value, blocked_by=None)
    )
    # What else was lost stays known; what may heal is told anew by the attempt that comes.
    copies.keep(connection, row, task.c.losses.is_not(None))
    write(connection, _SETTLE, _REOPENED, _may_heal(connection, row))


def _may_heal(connection: Connection, row: Row[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the tasks done with a loss that may heal, with their other losses.

    Not those whose copy was deleted afterwards, as its original is: it takes no writes now.
    """
    finished = select(task.c.source_id).where(
        tasks_of(row),
        task.c.kind.startswith(Step.DELETION.value),
        task.c.status == TaskStatus.DONE.value,
    )
    deleted = set(connection.scalars(finished))
    lossy = select(task.c.id, task.c.source_id, task.c.container, task.c.losses).where(
        tasks_of(row),
        task.c.status == TaskStatus.DONE.value,
        task.c.losses.is_not(None),
    )
    for found in connection.execute(lossy).all():
        losses = losses_of(found.losses)
        lasting = tuple(loss for loss in losses if not loss.may_heal)
        if lasting != losses and deleted.isdisjoint((found.source_id, found.container)):
            yield found.id, TaskStatus.PENDING.value, losses_column(lasting)


def tries(connection: Connection, row: Row[Any]) -> dict[Ref, int]:
    """Count the attempts, ended or not, at tasks that are not done; without those never tried."""
    same = and_(
        attempt.c.migration == row.number,
        attempt.c.source_id == task.c.source_id,
        attempt.c.kind == task.c.kind,
    )
    counted = (
        select(task.c.kind, task.c.source_id, func.count().label("tries"))
        .join(attempt, same)
        .where(tasks_of(row), task.c.status.not_in(_FINAL))
        .group_by(task.c.kind, task.c.source_id)
    )
    return {ref_of(found): found.tries for found in connection.execute(counted)}


def _now() -> int:
    return int(time.time() * 1000)
