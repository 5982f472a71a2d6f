"""The graph of a plan as SVG: boxes in columns, lines between them, a legend above."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migrate.graph.drawing import Box, Drawing, Line, draw
from migrate.graph.layout import BEND, Place
from migrate.kinds import HEADINGS, Action, Heading
from migrate.plans import Plan
from migrate.views.graph.style import (
    OUTLINES,
    caption,
    colours_of,
    fitted,
    full_text,
    markup,
    title_markup,
    width_of,
)
from migrate.views.plan import summary

# All in pixels.
BOX_WIDTH, BOX_HEIGHT = 248, 42
GAP_WIDTH, GAP_HEIGHT = 80, 14
MARGIN = 24
_LEAST_WIDTH = 900
_SAMPLE = 26

_COLUMN, _ROW = BOX_WIDTH + GAP_WIDTH, BOX_HEIGHT + GAP_HEIGHT
_PADDING = 12

STYLE = """
text { font-family: system-ui, "Segoe UI", "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  fill: #1b2430; }
.heading { font-size: 17px; font-weight: 600; }
.note { font-size: 12px; fill: #4a5664; }
.label { font-size: 12px; font-weight: 600; }
.caption { font-size: 11px; fill: #4a5664; }
.line { fill: none; stroke: #7c8896; stroke-width: 1.3; }
.soft { stroke-dasharray: 5 4; }
.count, .halo { font-size: 10.5px; fill: #4a5664; text-anchor: middle; }
.halo { stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round; }
"""


def plan_as_picture(plan: Plan) -> str:
    """Return an SVG document with a heading and a legend."""
    drawing = draw(plan)
    width, height = size_of(drawing)
    width = max(width, _LEAST_WIDTH)
    headline = _wrapped(summary(plan), width - 2 * MARGIN)
    y = 34.0
    parts = []
    for line in headline:
        parts.append(f'<text class="heading" x="{MARGIN}" y="{y:.0f}">{markup(line)}</text>')
        y += 23
    parts.append(f'<text class="note" x="{MARGIN}" y="{y:.0f}">{markup(ends_line(plan))}</text>')
    legend, legend_height = _legend(drawing, width - 2 * MARGIN)
    parts.append(f'<g transform="translate({MARGIN} {y + 14:.0f})">{legend}</g>')
    top = round(y + 14 + legend_height)
    parts.append(f'<g transform="translate(0 {top})">\n{content(drawing)}\n</g>')
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + opening(width, height + top)
        + f"<title>{markup(summary(plan))}</title>\n<style>{STYLE}</style>\n"
        + f'<rect width="{width}" height="{height + top}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _wrapped(sentence: str, width: float) -> list[str]:
    """Break a sentence after its semicolons and commas into lines of this width."""
    lines = [""]
    for part in re.split(r"(?<=[;,]) ", sentence):
        longer = f"{lines[-1]} {part}".strip()
        if lines[-1] and width_of(longer, 17) > width:
            lines.append(part)
        else:
            lines[-1] = longer
    return lines


def ends_line(plan: Plan) -> str:
    """Say which migration this is, and between what; not escaped."""
    return f"Migration {plan.migration_id}: {plan.source.uri} to {plan.target.uri}"


def opening(width: float, height: float) -> str:
    """Return the opening tag of a drawing of this size."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n'
    )


def size_of(drawing: Drawing) -> tuple[int, int]:
    """Return width and height of the boxes and lines."""
    return (
        2 * MARGIN + max(drawing.columns, 1) * _COLUMN - GAP_WIDTH,
        round(2 * MARGIN + drawing.rows * _ROW),
    )


def content(drawing: Drawing) -> str:
    """Return lines and boxes as SVG elements, from the point 0, 0 on."""
    parts = [_ARROW]
    parts += [_line(drawing, line) for line in drawing.lines]
    parts += [_box(box) for box in drawing.boxes]
    if drawing.apart:
        y = MARGIN + (drawing.apart - 0.25) * _ROW
        parts.append(
            f'<text class="note" x="{MARGIN}" y="{y:.1f}">Without needs, and nothing needs them:'
            "</text>"
        )
    return "\n".join(parts)


_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="#7c8896"/></marker></defs>'
)


def _corner(place: Place) -> tuple[float, float]:
    """Return the left end of a place, in the middle of its height."""
    return MARGIN + place.column * _COLUMN, MARGIN + place.row * _ROW


def _line(drawing: Drawing, line: Line) -> str:
    start, end = drawing.boxes[line.start].place, drawing.boxes[line.end].place
    x, y = _corner(start)
    x += BOX_WIDTH
    path = [f"M{x:.0f},{y:.1f}"]
    to_x, to_y = _corner(end)
    if end.column > start.column:
        for bend in line.bends:
            bend_x, bend_y = _corner(bend)
            path.append(_curve(x, y, bend_x, bend_y))
            x, y = bend_x + BOX_WIDTH, bend_y
            path.append(f"H{x:.0f}")
        path.append(_curve(x, y, to_x, to_y))
        count_x = (x + to_x) / 2
    elif end.column == start.column and 0 < end.row - start.row < 1 + BEND:
        count_x = to_x + BOX_WIDTH / 2
        path = [f"M{count_x:.0f},{y + BOX_HEIGHT / 2:.1f} V{to_y - BOX_HEIGHT / 2:.1f}"]
    else:
        # The line leaves and arrives at the right, the further around the more is between.
        to_x += BOX_WIDTH
        count_x = max(x, to_x) + GAP_WIDTH * min(0.4 + 0.05 * abs(end.row - start.row), 0.9)
        path.append(f"C{count_x:.0f},{y:.1f} {count_x:.0f},{to_y:.1f} {to_x:.0f},{to_y:.1f}")
    kind = "line soft" if line.soft else "line"
    drawn = f'<path class="{kind}" marker-end="url(#arrow)" d="{" ".join(path)}"/>'
    if line.count > 1:
        count_y = (y + to_y) / 2 + 4
        # The white around the number is a text of its own: few renderers know paint-order.
        drawn += "".join(
            f'<text class="{part}" x="{count_x:.0f}" y="{count_y:.1f}">{line.count:,}</text>'
            for part in ("halo", "count")
        )
    return drawn


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f"C{middle:.0f},{y:.1f} {middle:.0f},{to_y:.1f} {to_x:.0f},{to_y:.1f}"


def _box(box: Box) -> str:
    x, y = _corner(box.place)
    room = BOX_WIDTH - 2 * _PADDING
    below = markup(fitted(caption(box), room, 11))
    return (
        f'<g transform="translate({x:.0f} {y - BOX_HEIGHT / 2:.1f})">'
        f"<title>{title_markup(full_text(box))}</title>{_shape(box)}"
        f'<text class="label" x="{_PADDING}" y="{18 if below else 25}">'
        f"{markup(fitted(box.label, room, 12))}</text>"
        f'<text class="caption" x="{_PADDING}" y="33">{below}</text></g>'
    )


def _shape(box: Box) -> str:
    """Return the outline of a box; one that stands for several is a pile."""
    sheet = rectangle(box.heading, box.action, BOX_WIDTH, BOX_HEIGHT)
    if box.count == 1:
        return sheet
    below = rectangle(box.heading, box.action, BOX_WIDTH, BOX_HEIGHT)
    return f'<g transform="translate(4 4)">{below}</g>{sheet}'


def rectangle(heading: Heading, action: Action, width: float, height: float) -> str:
    """Return a box as it is drawn under a heading and with an action."""
    fill, stroke = colours_of(heading)
    outline = OUTLINES[action][1]
    colour = "" if 'stroke="' in outline else f' stroke="{stroke}"'
    paper = ""
    if "fill-opacity" in outline:
        paper = f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>'
    return (
        f'{paper}<rect width="{width}" height="{height}" rx="6" fill="{fill}"{colour} {outline}/>'
    )


def _legend(drawing: Drawing, width: float) -> tuple[str, float]:
    """Return the legend in rows of this width, and its height."""
    parts, x, y = [], 0.0, 0
    for sample, words in legend_of(drawing):
        room = _SAMPLE + 24 + width_of(words, 12)
        if x and x + room > width:
            x, y = 0.0, y + 24
        parts.append(
            f'<g transform="translate({x:.0f} {y})">{sample}'
            f'<text class="note" x="{_SAMPLE + 6}" y="12">{words}</text></g>'
        )
        x += room
    return "".join(parts), y + 24


def legend_of(drawing: Drawing) -> Iterator[tuple[str, str]]:
    """Yield samples of 26 by 16 pixels, and what they mean, of all that the drawing uses."""
    for heading in HEADINGS:
        if any(box.heading is heading for box in drawing.boxes):
            fill, stroke = colours_of(heading)
            yield (
                f'<rect x="1" y="1" width="24" height="14" rx="4" fill="{fill}" '
                f'stroke="{stroke}" stroke-width="1.5"/>',
                heading.plural,
            )
    for action, (words, outline) in OUTLINES.items():
        if any(box.action is action for box in drawing.boxes):
            colour = "" if 'stroke="' in outline else ' stroke="#4a5664"'
            yield (
                f'<rect x="2" y="2" width="22" height="12" rx="4" fill="#ffffff"{colour} '
                f"{outline}/>",
                words,
            )
    for soft, words in ((False, "is needed by"), (True, "has to end before")):
        if any(line.soft is soft for line in drawing.lines):
            kind_of_line = "line soft" if soft else "line"
            yield (
                f'<path class="{kind_of_line}" d="M1,8 H18"/>'
                '<path d="M18,4.5 L26,8 L18,11.5 z" fill="#7c8896"/>',
                words,
            )


assert BEND * _ROW >= GAP_HEIGHT  # a bend fits between two boxes
