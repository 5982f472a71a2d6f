"""Amounts and names as people read them, safe to write to any terminal.

Names, tags and error texts come from servers and can hold anything. Whatever is printed passes
through ``printable`` or ``one_line``, so that it cannot move the cursor, recolour or rewrite what
stands on the screen. Rich markup is never interpreted: views print ``Text``, not markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypeVar

from migrate.kinds import HEADINGS, Heading, Ref
from migrate.redaction import redacted

H = TypeVar("H", bound=Heading)

LONGEST_NAME = 80
LONGEST_LINE = 1_000

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # Persian words and emoji families need them


def printable(text: str) -> str:
    """Return ``text`` with control, direction and line characters as ``\\x1b``, ``\\u202e`` ...

    Secrets are taken out as well, so that no text of others brings one back.
    """
    text = redacted(text)
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _HARMFUL and char not in _JOINERS
        else char
        for char in text
    )


def lines(text: str) -> str:
    """Return text of several lines, such as a traceback, with each line made printable."""
    return "\n".join(printable(line) for line in text.splitlines())


def cell(text: str) -> str:
    """Return a cell of a CSV file: printable, and no formula to a spreadsheet.

    Spreadsheets calculate what begins with ``=``, ``+``, ``-`` or ``@``; an apostrophe before it
    makes it text.
    """
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(("=", "+", "-", "@")) else shown


def shorten(text: str, longest: int) -> str:
    """Cut ``text`` to ``longest`` characters; the last one is then an ellipsis."""
    text = redacted(text)  # before it is cut: half a secret is not known any more
    return text if len(text) <= longest else text[: longest - 1] + "…"


def one_line(text: str) -> str:
    """Return a message as one safe line: white space runs become one space, the end is cut."""
    return printable(shorten(" ".join(text.split()), LONGEST_LINE))


def label(ref: Ref, name: str = "") -> str:
    """Name an object: ``run "train" (8f2c...)``, or ``run 8f2c...`` when it has no name."""
    ident = printable(shorten(ref.id, LONGEST_NAME))
    if not name:
        return f"{ref.heading} {ident}"
    return f'{ref.heading} "{printable(shorten(name, LONGEST_NAME))}" ({ident})'


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 run`` or ``1,770 runs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def of_kind(number: int, kind: Heading) -> str:
    """Return ``1 run`` or ``1,770 runs``; just ``runs`` for -1, which means not counted."""
    return kind.plural if number < 0 else counted(number, str(kind), kind.plural)


def per_kind(counts: Mapping[H, int]) -> str:
    """Return ``12 experiments, 1,770 runs`` in the order of tables; what is zero is left out."""
    shown = sorted((it for it, count in counts.items() if count), key=HEADINGS.index)
    return ", ".join(of_kind(counts[it], it) for it in shown)


def counts_of(counts: Mapping[H, int]) -> list[str]:
    """Return a line for each kind, ``1,770 runs``, as they are counted."""
    return [of_kind(count, kind) for kind, count in counts.items()]


def size(number: float) -> str:
    """Return bytes in decimal units: ``512 B``, ``1.5 kB``, ``1.2 GB``."""
    if number < 1_000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1_000
        if round(number, 1) < 1_000:
            return f"{number:.1f} {unit}"
    return f"{number / 1_000:,.1f} PB"


def duration(seconds: float) -> str:
    """Return a time in its two largest units: ``45 s``, ``4 min 10 s``, ``3 d 4 h``."""
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days:,} d {hour} h"
    if hours:
        return f"{hours} h {minute} min"
    return f"{minutes} min {second} s" if minutes else f"{second} s"


def about(seconds: float) -> str:
    """Return an estimated time in one unit: ``40 s``, ``4 min``, ``5 h``, ``3 d``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 180 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 86400):,} d"


def rate(per_second: float) -> str:
    """Return ``1,200/s``, ``5.1/s`` or, below one in ten seconds, ``3.0/min``."""
    if per_second < 0.1:
        return f"{per_second * 60:.1f}/min"
    return f"{per_second:.1f}/s" if per_second < 100 else f"{per_second:,.0f}/s"


#: Headings of what stays at the source, and of what could not be learned of the two ends.
NOT_COPIED = "Not copied by this version:"
NOT_KNOWN = "Not known, so something may be missing:"


def unknowns(unknown: Sequence[str]) -> str:
    """Say how many things are not known, ``2 things not known``; empty for none."""
    return f"{counted(len(unknown), 'thing')} not known" if unknown else ""
