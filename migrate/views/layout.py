"""Consoles, and the few shapes that plans and reports are made of: table, list, grouped lines."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from migrate.kinds import Heading, Ref
from migrate.views.words import label, of_kind, one_line

MOST_LINES = 20
_WIDTH_OF_FILES = 200
_UNLIMITED = 10_000


def result_console() -> Console:
    """Return a console on stdout, where results go."""
    return console_on(sys.stdout)


def log_console() -> Console:
    """Return a console on stderr, where progress, log and errors go."""
    return console_on(sys.stderr)


def console_on(stream: TextIO) -> Console:
    """Return a console on ``stream`` that takes text literally and never breaks or cuts lines.

    A stream that cannot write Unicode (``PYTHONIOENCODING=ascii``) gets escapes, not an error.
    """
    if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
        stream.reconfigure(errors="backslashreplace")
    return Console(
        file=stream,
        width=None if stream.isatty() else _WIDTH_OF_FILES,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )


def say(console: Console, text: str = "", style: str = "") -> None:
    """Print ``text`` literally, for the terminal to wrap; escapes must have been taken care of.

    Where there is no terminal there are no styles, and of a list of 100,000 lines laying them out
    would take most of the time.
    """
    if console.is_terminal:
        console.print(Text(text, style=style), soft_wrap=True)
    else:
        console.file.write(f"{text}\n")
        console.file.flush()


def print_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: headings on the left, numbers on the right.

    Where the console is too narrow, each row becomes a line such as ``runs: found 3, done 2``;
    a number is never cut.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if natural_width(table, console) <= console.width:
        console.print(table)
        return
    for heading, *cells in rows:
        pairs = zip(columns[1:], cells, strict=True)
        say(console, f"{heading}: " + ", ".join(f"{column} {cell}" for column, cell in pairs))


def natural_width(table: Table, console: Console) -> int:
    """Return how many columns ``table`` takes when nothing of it is cut."""
    unlimited = console.options.update(max_width=_UNLIMITED)
    return Measurement.get(console, unlimited, table).maximum


def print_list(console: Console, title: str, lines: Sequence[str], style: str = "") -> None:
    """Print ``title`` and all the lines under it; print nothing when there are none."""
    if not lines:
        return
    say(console)
    say(console, title, style or "bold")
    say(console, "\n".join(f"  {line}" for line in lines))


def print_groups(
    console: Console, title: str, entries: Iterable[tuple[Ref, str, str]], style: str = ""
) -> None:
    """Print (ref, name, text) entries, equal texts of one kind as one line with their count.

    The most frequent come first; after ``MOST_LINES`` lines the rest is only counted.
    """
    counts: Counter[tuple[Heading, str]] = Counter()
    first: dict[tuple[Heading, str], tuple[Ref, str]] = {}
    for ref, name, text in entries:
        counts[ref.heading, text] += 1
        first.setdefault((ref.heading, text), (ref, name))
    groups = counts.most_common()
    lines = [
        f"{of_kind(count, key[0]) if count > 1 else label(*first[key])}: {one_line(key[1])}"
        for key, count in groups[:MOST_LINES]
    ]
    hidden = sum(count for _, count in groups[MOST_LINES:])
    if hidden:
        lines.append(f"and {hidden:,} more; --json lists all")
    print_list(console, f"{title} ({counts.total():,}):", lines, style)
