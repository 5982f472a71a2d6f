"""What the process writes: logs and tracebacks made harmless, and no secret in any of it."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any, TextIO, cast

from migrate.redaction import redacted
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
    # boto3 at debug level logs request headers, and with them signatures.
    for name in ("urllib3", "filelock", "botocore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def show_defect(
    kind: type[BaseException], problem: BaseException, trace: TracebackType | None
) -> None:
    """Write the traceback of an exception that nobody caught; takes the place of Python's own."""
    sys.stderr.write(lines("".join(traceback.format_exception(kind, problem, trace))) + "\n")


class Guarded:
    """A text stream that takes secrets out of whatever is written to it: the last line of defence.

    Also what libraries write passes here, such as usage errors that quote the command line.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text``, redacted; return how long it was."""
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        """Write each of ``texts``."""
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_output() -> None:
    """Have all that this process prints pass through ``Guarded``, tracebacks too."""
    sys.stdout, sys.stderr = cast(TextIO, Guarded(sys.stdout)), cast(TextIO, Guarded(sys.stderr))
    sys.excepthook = show_defect


def prepare_process(*, debug: bool) -> None:
    """Have a process that this one started log and print as this one does."""
    log_to_stderr(debug=debug)
    guard_output()
