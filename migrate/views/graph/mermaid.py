"""The graph of a plan as a Mermaid flowchart, for documents and merge requests."""

from __future__ import annotations

from migrate.graph.drawing import Box, draw
from migrate.kinds import HEADINGS
from migrate.plans import Plan
from migrate.views.graph.style import caption, colours_of
from migrate.views.words import printable, shorten

_LONGEST = 60
_PLAIN = frozenset(" .,-_/+=")


def plan_as_mermaid(plan: Plan) -> str:
    """Return a flowchart; large plans are folded as in the picture."""
    drawing = draw(plan)
    lines = ["flowchart LR"]
    lines += [f"  n{number}{_shape(box)}" for number, box in enumerate(drawing.boxes)]
    for line in drawing.lines:
        arrow = "-.->" if line.soft else "-->"
        count = f"|{line.count}|" if line.count > 1 else ""
        lines.append(f"  n{line.start} {arrow}{count} n{line.end}")
    for heading in HEADINGS:
        numbers = [f"n{n}" for n, box in enumerate(drawing.boxes) if box.heading is heading]
        if numbers:
            fill, stroke = colours_of(heading)
            name = heading.replace(" ", "")
            lines.append(f"  classDef {name} fill:{fill},stroke:{stroke},color:#1b2430")
            lines.append(f"  class {','.join(numbers)} {name}")
    return "\n".join(lines) + "\n"


def _shape(box: Box) -> str:
    text = f"{escaped(shorten(printable(box.label), _LONGEST))}<br/>"
    text += escaped(shorten(caption(box), _LONGEST))
    return f'[["{text}"]]' if box.count > 1 else f'["{text}"]'


def escaped(text: str) -> str:
    """Write all but letters, digits and harmless signs as Mermaid's ``#35;``.

    Quotes and brackets would end a label, backticks begin Markdown, percent signs a directive.
    """
    return "".join(char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" for char in text)
