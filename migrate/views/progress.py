"""What the scheduler tells of a running migration, and the views that show it on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from migrate.kinds import Heading, Ref
from migrate.outcomes import Outcome
from migrate.views.json_lines import JsonProgress
from migrate.views.layout import log_console
from migrate.views.lines import PlainProgress
from migrate.views.terminal import RichProgress


class View(Protocol):
    """Called by the scheduler, always from its one thread.

    ``started`` comes first. ``stopped`` comes last, also after an error: call it in a
    ``finally``, because it gives the terminal back.
    """

    def started(self, totals: Mapping[Heading, int], done: Mapping[Heading, int]) -> None:
        """``totals``: tasks this run has to carry out; ``done``: those done before, not in it."""

    def outcomes(self, outcomes: Sequence[Outcome], blocked: Mapping[Heading, int]) -> None:
        """Tasks that ended, each told once, and how many tasks were blocked by them just now.

        An attempt that will be followed by another is not told here but with ``retrying``.
        """

    def retrying(self, ref: Ref, name: str, error: str, in_seconds: float, attempt: int) -> None:
        """A task will be tried again, as attempt number ``attempt``, in ``in_seconds``."""

    def tick(self, bytes_sent: int) -> None:
        """Time passes, about four times a second; artifact bytes sent in this run so far."""

    def message(self, text: str) -> None:
        """Something the user should know now."""

    def draining(self, running: int) -> None:
        """The user pressed Ctrl-C: ``running`` tasks are waited for, no more are started."""

    def stopped(self) -> None:
        """The run is over."""


class QuietProgress:
    """Shows nothing; the report at the end says all."""

    def started(self, totals: Mapping[Heading, int], done: Mapping[Heading, int]) -> None:
        """Show nothing."""

    def outcomes(self, outcomes: Sequence[Outcome], blocked: Mapping[Heading, int]) -> None:
        """Show nothing."""

    def retrying(self, ref: Ref, name: str, error: str, in_seconds: float, attempt: int) -> None:
        """Show nothing."""

    def tick(self, bytes_sent: int) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""

    def draining(self, running: int) -> None:
        """Show nothing."""

    def stopped(self) -> None:
        """Show nothing."""


def choose_view(*, json: bool, quiet: bool, stderr_is_terminal: bool) -> View:
    """Return the view that fits the options and the terminal; ``quiet`` wins over ``json``."""
    if quiet:
        return QuietProgress()
    if json:
        return JsonProgress(sys.stderr)
    console = log_console()
    if stderr_is_terminal and not console.is_dumb_terminal:
        return RichProgress(console)
    return PlainProgress(console)
