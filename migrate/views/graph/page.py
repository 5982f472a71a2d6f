"""The graph of a plan as a page of its own: the picture, to be moved and zoomed, and a legend."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from migrate.graph.drawing import draw
from migrate.plans import Plan
from migrate.views.graph.picture import STYLE, content, ends_line, legend_of, opening, size_of
from migrate.views.graph.style import markup
from migrate.views.plan import summary

_PAGE_STYLE = """
html, body { margin: 0; height: 100%; background: #ffffff; color: #1b2430;
  font: 14px system-ui, "Segoe UI", "Helvetica Neue", "Noto Sans", Arial, sans-serif; }
body { display: flex; flex-direction: column; }
header { padding: 12px 20px; border-bottom: 1px solid #d5dae0; }
h1 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 8px; color: #4a5664; overflow-wrap: anywhere; }
ul { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0; padding: 0; list-style: none; }
li { display: flex; align-items: center; gap: 6px; font-size: 13px; }
main { flex: 1; min-height: 0; }
main svg { width: 100%; height: 100%; display: block; cursor: grab; touch-action: none; }
"""

_SCRIPT = """
const svg = document.querySelector("main svg");
const view = svg.viewBox.baseVal;
const whole = [view.x, view.y, view.width, view.height];
const scale = () => Math.max(view.width / svg.clientWidth, view.height / svg.clientHeight);
const zoom = (factor, x, y) => {
  const mark = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse());
  view.x = mark.x - (mark.x - view.x) * factor;
  view.y = mark.y - (mark.y - view.y) * factor;
  view.width *= factor;
  view.height *= factor;
};
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(event.deltaY * 0.0015), event.clientX, event.clientY);
}, { passive: false });
svg.addEventListener("pointerdown", (event) => svg.setPointerCapture(event.pointerId));
svg.addEventListener("pointermove", (event) => {
  if (!(event.buttons & 1)) return;
  view.x -= event.movementX * scale();
  view.y -= event.movementY * scale();
});
svg.addEventListener("dblclick", () => {
  [view.x, view.y, view.width, view.height] = whole;
});
if (scale() > 1.25) {
  const factor = 1 / scale();
  view.width *= factor;
  view.height *= factor;
}
"""


def plan_as_page(plan: Plan) -> str:
    """Return an HTML document that needs nothing from the network, and runs one script only."""
    drawing = draw(plan)
    legend = "".join(
        f'<li><svg width="26" height="16" aria-hidden="true">{sample}</svg>{words}</li>'
        for sample, words in legend_of(drawing)
    )
    allowed = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{markup(ends_line(plan))}</title>\n"
        f"<style>{_PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<header>\n"
        f"<h1>{markup(summary(plan))}</h1>\n<p>{markup(ends_line(plan))}. "
        "Drag to move, turn the wheel to zoom, double-click to see all; hover over a box to read "
        f"more.</p>\n<ul>{legend}</ul>\n</header>\n<main>\n"
        + opening(*size_of(drawing))
        + content(drawing)
        + f"\n</svg>\n</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )
