"""The log and tracebacks on stderr: what others wrote in them is made harmless."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

from migrate.views.words import lines


class HarmlessFormatter(logging.Formatter):
    """Formats a record without secrets and control characters.

    Lines after the first are indented, so that none of them can pose as a record.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter.format``."""
        return lines(super().format(record)).replace("\n", "\n    ")


def log_to_stderr(*, debug: bool) -> None:
    """Log warnings to stderr, and with ``debug`` every retry."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HarmlessFormatter("%(asctime)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler])


def show_defect(
    kind: type[BaseException], problem: BaseException, trace: TracebackType | None
) -> None:
    """Write the traceback of an exception that nobody caught; takes the place of Python's own."""
    sys.stderr.write(lines("".join(traceback.format_exception(kind, problem, trace))) + "\n")
