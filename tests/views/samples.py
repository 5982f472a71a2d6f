"""Consoles that write to a string, a clock that stands still, and small plans and reports."""

from __future__ import annotations

import io
import re

from rich.console import Console

from migrate.kinds import Action, Kind, Ref, Step
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.plans import (
    Failure,
    KindTotals,
    Plan,
    PlannedTask,
    Report,
    Side,
    because_from_stored,
)

SOURCE = Side(uri="http://old:5000", identity="a1", description="MLflow 2.9.2")
TARGET = Side(uri="http://new:5000", identity="b2", description="MLflow 3.17.2")

HOSTILE = "[bold]x[/bold] \x1b[2J\x1b]0;title\x07 \x9b31m \r\n\u202egnp\u2028 \ud800 :smile: é 名"
"""Markup, escape sequences, C1 controls, a line break, a direction override, a lone surrogate."""


class HandClock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


def text_console(width: int = 100, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        legacy_windows=False,
        _environ={"TERM": "xterm"},
        markup=False,
        emoji=False,
        highlight=False,
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def without_ansi(text: str) -> str:
    """Remove what rich itself writes to steer the terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def last_frame(console: Console) -> list[str]:
    """The lines that stay at the bottom, as last drawn: rich erases the old ones line by line."""
    frame = written(console).split("\x1b[2K")[-1]
    return without_ansi(frame).replace("\r", "").splitlines()


def assert_harmless(text: str) -> None:
    """No character can steer a terminal, apart from the line feeds that end our own lines."""
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\ud800-\udfff]", text)


def task(
    kind: Kind,
    ident: str,
    action: Action = Action.CREATE,
    *,
    step: Step = Step.COPY,
    name: str = "",
    reason: str = "",
    losses: tuple[Loss, ...] = (),
    warnings: tuple[str, ...] = (),
    status: TaskStatus = TaskStatus.PENDING,
    needs: tuple[Ref, ...] = (),
    after: tuple[Ref, ...] = (),
    because: tuple[str, ...] = (),
    number: int = 0,
    container: str = "",
) -> PlannedTask:
    return PlannedTask(
        ref=Ref(kind, ident, step),
        name=name,
        action=action,
        reason=reason,
        losses=losses,
        warnings=warnings,
        status=status,
        needs=needs,
        after=after,
        because=tuple(map(because_from_stored, because)),
        number=number,
        container=container,
    )


def tasks(kind: Kind, number: int, action: Action, reason: str = "") -> list[PlannedTask]:
    return [task(kind, f"{action}-{index}", action, reason=reason) for index in range(number)]


def plan(
    *planned: PlannedTask,
    notes: tuple[str, ...] = (),
    collisions: tuple[str, ...] = (),
    unsupported: dict[Kind, int] | None = None,
    known: dict[str, int] | None = None,
    options: dict[str, object] | None = None,
) -> Plan:
    return Plan(
        migration_id="3f2a",
        created=1_700_000_000_000,
        source=SOURCE,
        target=TARGET,
        options=options or {},
        tasks=planned,
        notes=notes,
        collisions=collisions,
        unsupported=unsupported or {},
        known=known or {},
    )


def totals(
    done: int,
    *,
    failed: int = 0,
    blocked: int = 0,
    skipped: int = 0,
    pending: int = 0,
    wrote: int = 0,
) -> KindTotals:
    return KindTotals(
        found=done + failed + blocked + skipped + pending,
        done=done,
        failed=failed,
        blocked=blocked,
        skipped=skipped,
        pending=pending,
        wrote=wrote,
        bytes_sent=wrote * 1_000_000,
    )


def report(
    counts: dict[Kind, KindTotals],
    *,
    failures: tuple[Failure, ...] = (),
    losses: tuple[tuple[Ref, str, Loss], ...] = (),
    warnings: tuple[tuple[Ref, str], ...] = (),
    unsupported: dict[Kind, int] | None = None,
    interrupted: bool = False,
) -> Report:
    return Report(
        migration_id="3f2a",
        source=SOURCE,
        target=TARGET,
        totals=counts,
        failures=failures,
        losses=losses,
        warnings=warnings,
        unsupported=unsupported or {},
        bytes_sent=sum(total.bytes_sent for total in counts.values()),
        seconds=250.0,
        interrupted=interrupted,
    )


def done(ident: str, kind: Kind = Kind.RUN, bytes_sent: int = 0, *warnings: str) -> Outcome:
    return Outcome(
        ref=Ref(kind, ident), status=TaskStatus.DONE, bytes_sent=bytes_sent, warnings=warnings
    )


def failed(ident: str, error: str = "HTTP 400", hint: str = "", kind: Kind = Kind.RUN) -> Outcome:
    return Outcome(ref=Ref(kind, ident), status=TaskStatus.FAILED, error=error, hint=hint)
