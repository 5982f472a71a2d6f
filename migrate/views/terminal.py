"""Progress on a terminal: one line per kind that stays at the bottom, messages scroll above."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from migrate.kinds import Heading
from migrate.views.layout import natural_width
from migrate.views.lines import Clock, LineProgress
from migrate.views.tally import KindTally
from migrate.views.words import about, duration, rate, size

_BAR_WIDTH = 20

Cell = Callable[[Heading, KindTally], RenderableType]


class RichProgress(LineProgress):
    """Redraws on ``tick`` only, so it needs no thread of its own; ``stopped`` frees the terminal.

    On a narrow terminal the least important columns are left out.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        super().__init__(console, clock)
        self._began = clock()
        self._live = Live(
            console=console,
            get_renderable=self._render,
            auto_refresh=False,
            redirect_stdout=False,  # stdout carries the result, also while this is shown
        )

    def started(self, totals: Mapping[Heading, int], done: Mapping[Heading, int]) -> None:
        """Show the lines."""
        self.tally.start(totals, done)
        self._began = self.clock()
        self._live.start(refresh=True)

    def tick(self, bytes_sent: int) -> None:
        """Redraw the lines."""
        super().tick(bytes_sent)
        self._live.refresh()

    def stopped(self) -> None:
        """Draw the lines a last time, and leave them there."""
        self._live.stop()

    def _render(self) -> RenderableType:
        columns = list(_COLUMNS)
        table = self._table(columns)
        while len(columns) > 2 and natural_width(table, self.console) > self.console.width:
            columns.remove(max(columns, key=lambda column: column[0]))
            table = self._table(columns)
        parts = [duration(int(self.clock() - self._began))]
        if sent := self.tally.bytes_sent:
            parts.append(f"{size(sent)} sent")
        if speed := self.tally.bytes_pace.per_second():
            parts.append(f"{size(speed)}/s")
        footer = Text(", ".join(parts), style="dim", no_wrap=True, overflow="ellipsis")
        return Group(table, footer)

    def _table(self, columns: list[tuple[int, Cell]]) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for index in range(len(columns)):
            table.add_column(no_wrap=True, justify="right" if index else "left")
        for kind, tally in self.tally.kinds.items():
            table.add_row(*(cell(kind, tally) for _, cell in columns))
        return table


def _bar(kind: Heading, tally: KindTally) -> RenderableType:
    return ProgressBar(total=max(1, tally.total), completed=tally.done, width=_BAR_WIDTH)


def _counts(kind: Heading, tally: KindTally) -> RenderableType:
    return Text(f"{tally.done:,}/{tally.total:,}")


def _trouble(kind: Heading, tally: KindTally) -> RenderableType:
    numbers = ((tally.failed, "failed"), (tally.blocked, "blocked"), (tally.skipped, "skipped"))
    parts = [f"{number:,} {what}" for number, what in numbers if number]
    return Text(", ".join(parts), style="red" if tally.failed or tally.blocked else "")


def _rate(kind: Heading, tally: KindTally) -> RenderableType:
    speed = tally.pace.per_second()
    if not speed:
        return Text("-/s" if tally.left else "")
    return Text(rate(speed))


def _bytes(kind: Heading, tally: KindTally) -> RenderableType:
    return Text(size(tally.bytes_sent) if tally.bytes_sent else "")


def _left(kind: Heading, tally: KindTally) -> RenderableType:
    if not tally.left:
        return Text("")
    seconds = tally.seconds_left()
    return Text("- left" if seconds is None else f"{about(seconds)} left")


#: Columns from left to right; on a narrow terminal the highest number goes first.
_COLUMNS: tuple[tuple[int, Cell], ...] = (
    (0, lambda kind, tally: Text(kind.plural)),
    (6, _bar),
    (1, _counts),
    (2, _trouble),
    (4, _rate),
    (5, _bytes),
    (3, _left),
)
