"""How an error that ends the command is shown."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from migrate.errors import MigrateError
from migrate.views.layout import log_console
from migrate.views.words import printable


def print_error(error: MigrateError, console: Console | None = None) -> None:
    """Write ``Error:`` and, where there is one, ``Hint:`` to stderr; never a traceback."""
    console = console or log_console()
    console.print(_paragraph("Error: ", "bold red", error.message), soft_wrap=True)
    if error.hint:
        console.print(_paragraph("Hint: ", "bold", error.hint), soft_wrap=True)


def _paragraph(heading: str, style: str, text: str) -> Text:
    """Keep the lines of ``text`` apart, indented so that none of them can pose as another."""
    lines = text.strip().splitlines() or ["unknown"]
    body = ("\n" + " " * len(heading)).join(printable(line) for line in lines)
    return Text.assemble((heading, style), body)
