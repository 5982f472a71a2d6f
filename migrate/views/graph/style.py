"""What picture, page and flowchart have in common: colours, words, and how wide text is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from html import escape

from migrate.graph.drawing import Box
from migrate.kinds import Action, Heading, Kind, Step
from migrate.plans import PlannedTask
from migrate.tasks.carriers import carrier_of
from migrate.views.words import of_kind, printable

#: Of kinds that are counted only, and of deletions.
_OTHER = ("#eef0f3", "#4a5361")
_DELETIONS = ("#e6e8eb", "#5b6673")


def colours_of(heading: Heading) -> tuple[str, str]:
    """Return fill and outline of the boxes under a heading."""
    carrier = carrier_of(heading) if isinstance(heading, Kind) else None
    return carrier.colours if carrier else _DELETIONS if heading is Step.DELETION else _OTHER


#: How the outline of a box tells the action: (words of the legend, attributes).
OUTLINES: Mapping[Action, tuple[str, str]] = {
    Action.CREATE: ("to create", 'stroke-width="1.5"'),
    Action.ADOPT: ("to adopt: there already", 'stroke-width="1.5" stroke-dasharray="7 4"'),
    Action.UPDATE: ("to update: changed since", 'stroke-width="4"'),
    Action.REPAIR: ("to repair: the copy differs", 'stroke-width="4" stroke-dasharray="7 4"'),
    Action.SKIP: ("skipped", 'stroke-width="1.5" stroke-dasharray="1.5 4" fill-opacity="0.35"'),
    Action.UNSUPPORTED: (
        "not supported by the target",
        'stroke="#c3262d" stroke-width="2" stroke-dasharray="1.5 4" fill-opacity="0.35"',
    ),
}

MOST_NAMES = 15
_NARROW = frozenset("iljtfrI.,:;|!'()[]/ -")
_BROAD = frozenset("mwMWGOQ@%&—…")


def markup(text: str) -> str:
    """Return text that others wrote, as text of XML and HTML or as an attribute in quotes."""
    return escape(_not_xml().sub("\ufffd", printable(text)), quote=True)


@cache
def _not_xml() -> re.Pattern[str]:
    # Compiling it takes a twentieth of a second, which only pictures are worth.
    return re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fitted(text: str, width: float, size: float) -> str:
    """Shorten text to about ``width`` pixels at a font size, with an ellipsis; not escaped."""
    text = printable(text)
    if width_of(text, size) <= width:
        return text
    used = _advance("…")
    for end, char in enumerate(text):
        used += _advance(char)
        if size * used / 100 > width:
            return text[:end].rstrip() + "…"
    return text


def width_of(text: str, size: float) -> float:
    """Estimate how wide text is, in pixels, in the widest sans-serif fonts at a font size."""
    return size * sum(map(_advance, text)) / 100


def _advance(char: str) -> int:
    """Estimate in hundredths of the font size: whole numbers, whose sum is exact in any order."""
    if char in _NARROW:
        return 40
    if unicodedata.east_asian_width(char) in "WF":
        return 105
    return 102 if char in _BROAD else 76 if char.isupper() else 64


def caption(box: Box) -> str:
    """Return the second line of a box: ``run, to create`` or ``in fraud``; not escaped."""
    if box.count == 1:
        return box.verb if box.step is Step.DELETION else f"{box.kind}, {box.verb}"
    return "" if box.step is Step.DELETION else where(box)


def where(box: Box) -> str:
    """Say in what the objects of a box are: ``in fraud``, ``in 42 experiments``; not escaped."""
    if len(box.homes) > 1:
        return f"in {of_kind(len(box.homes), box.tasks[0].home.kind)}"
    return f"in {printable(box.homes[0])}" if box.homes else ""


def full_text(box: Box) -> str:
    """Return all that is known of a box, a line each, for the title that shows on hovering."""
    if box.count == 1:
        return "\n".join(_lines(box.tasks[0], box))
    lines = [f"{of_kind(box.count, box.kind)} {box.verb}"]
    lines += [where(box)] if box.homes else []
    lines += [f"- {_named(task)}" for task in box.tasks[:MOST_NAMES]]
    if box.count > MOST_NAMES:
        lines.append(f"and {box.count - MOST_NAMES:,} more")
    return "\n".join(lines)


def _lines(task: PlannedTask, box: Box) -> list[str]:
    lines = [f"{task.ref.heading} {_named(task)}", box.verb]
    lines += [where(box)] if box.homes else []
    if task.reason:
        lines.append(task.reason)
    lines += [f"in the plan as {sentence}" for sentence in task.because]
    lines += [f"loses {loss.what}: {loss.reason}" for loss in task.losses]
    return [printable(line) for line in lines]


def _named(task: PlannedTask) -> str:
    ident = printable(task.ref.id)
    return f"{printable(task.name)} ({ident})" if task.name and task.name != task.ref.id else ident


def title_markup(text: str) -> str:
    """Return lines of text for a ``<title>``, each escaped on its own."""
    return "\n".join(map(markup, text.split("\n")))
