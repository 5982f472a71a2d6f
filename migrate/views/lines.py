"""Progress as lines of text: what goes wrong at once, and how far each kind is now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from migrate.kinds import Heading, Ref
from migrate.outcomes import Outcome, TaskStatus
from migrate.views.layout import say
from migrate.views.tally import KindTally, Tally
from migrate.views.words import about, counted, label, one_line, per_kind, rate, size

Clock = Callable[[], float]

EVERY = 10.0  #: seconds between two progress lines of a kind
RETRIES_EVERY = 5.0  #: seconds between two lines about tasks that are tried again
MOST_WARNINGS = 20


class LineProgress:
    """Says failures, warnings and retries as lines; what shows the counts builds on it.

    Every failure is said. Warnings are, up to ``MOST_WARNINGS``, since the report has them all.
    When a server is away, hundreds of tasks are put off together: one line speaks for them.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self.console = console
        self.clock = clock
        self.tally = Tally()
        self._warnings = 0
        self._retries_unsaid = 0
        self._retry_said = float("-inf")

    def started(self, totals: Mapping[Heading, int], done: Mapping[Heading, int]) -> None:
        """Say what is to be done, and what was done before."""
        self.tally.start(totals, done)
        before = per_kind(done)
        say(
            self.console,
            f"To carry out: {per_kind(totals) or 'nothing'}"
            + (f"; done before: {before}" if before else ""),
        )

    def outcomes(self, outcomes: Sequence[Outcome], blocked: Mapping[Heading, int]) -> None:
        """Count the outcomes; say failures and warnings."""
        self.tally.count(outcomes, blocked)
        for outcome in outcomes:
            if outcome.status is TaskStatus.FAILED:
                error = one_line(outcome.error) or "unknown error"
                if outcome.hint:
                    error = f"{error.rstrip('.')}. Hint: {one_line(outcome.hint)}"
                say(self.console, f"{label(outcome.ref)} failed: {error}", "red")
            for warning in outcome.warnings:
                self._warn(outcome.ref, warning)

    def retrying(self, ref: Ref, name: str, error: str, in_seconds: float, attempt: int) -> None:
        """Say that a task is put off, unless that was said of another a moment ago."""
        now = self.clock()
        if now - self._retry_said < RETRIES_EVERY:
            self._retries_unsaid += 1
            return
        others = f" (and {self._retries_unsaid:,} others before)" if self._retries_unsaid else ""
        say(
            self.console,
            f"{label(ref, name)}: {one_line(error)}; attempt {attempt} in "
            f"{max(0.0, in_seconds):.1f} s{others}",
            "yellow",
        )
        self._retry_said, self._retries_unsaid = now, 0

    def tick(self, bytes_sent: int) -> None:
        """Take samples for the rates."""
        self.tally.sample(self.clock(), bytes_sent)

    def message(self, text: str) -> None:
        """Say ``text``."""
        say(self.console, one_line(text))

    def draining(self, running: int) -> None:
        """Say what the first Ctrl-C does, and what a second would."""
        tasks = counted(running, "running task")
        say(self.console, f"draining {tasks} ... press Ctrl-C again to stop now", "bold yellow")

    def stopped(self) -> None:
        """Nothing more follows."""

    def _warn(self, ref: Ref, warning: str) -> None:
        self._warnings += 1
        if self._warnings <= MOST_WARNINGS:
            say(self.console, f"{label(ref)}: {one_line(warning)}", "yellow")
        elif self._warnings == MOST_WARNINGS + 1:
            say(self.console, "further warnings are in the report at the end", "yellow")


class PlainProgress(LineProgress):
    """For logs and pipes: at most one line per kind every ``EVERY`` seconds, and only on change."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        super().__init__(console, clock)
        self._said: dict[Heading, tuple[int, ...]] = {}
        self._said_bytes = 0
        self._due = float("inf")

    def started(self, totals: Mapping[Heading, int], done: Mapping[Heading, int]) -> None:
        """Say what is to be done; the first counts follow after ``EVERY`` seconds."""
        super().started(totals, done)
        self._said = {kind: _standing(tally) for kind, tally in self.tally.kinds.items()}
        self._due = self.clock() + EVERY

    def tick(self, bytes_sent: int) -> None:
        """Take samples, and say the counts when it is time."""
        super().tick(bytes_sent)
        if self.clock() >= self._due:
            self._due = self.clock() + EVERY
            self._say_changes()

    def stopped(self) -> None:
        """Say the counts that have not been said yet."""
        self._say_changes()

    def _say_changes(self) -> None:
        changed = False
        for kind, tally in self.tally.kinds.items():
            standing = _standing(tally)
            if self._said.get(kind) != standing:
                self._said[kind] = standing
                changed = True
                say(self.console, progress_line(kind, tally))
        # A large file can take many lines' time: its bytes show that the run is alive.
        sent = self.tally.bytes_sent
        if sent != self._said_bytes and not changed:
            speed = self.tally.bytes_pace.per_second()
            say(self.console, f"{size(sent)} sent" + (f", {size(speed)}/s" if speed else ""))
        self._said_bytes = sent


def progress_line(kind: Heading, tally: KindTally) -> str:
    """Return ``runs 340/1,770 done, 2 failed, 5.1/s, 1.2 GB sent, about 4 min left``."""
    parts = [f"{kind.plural} {tally.done:,}/{tally.total:,} done"]
    for number, what in (
        (tally.failed, "failed"),
        (tally.blocked, "blocked"),
        (tally.skipped, "skipped"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    if speed := tally.pace.per_second():
        parts.append(rate(speed))
    if tally.bytes_sent:
        parts.append(f"{size(tally.bytes_sent)} sent")
    if tally.left:
        seconds = tally.seconds_left()
        parts.append("time left -" if seconds is None else f"about {about(seconds)} left")
    return ", ".join(parts)


def _standing(tally: KindTally) -> tuple[int, ...]:
    return (tally.done, tally.failed, tally.blocked, tally.skipped)
