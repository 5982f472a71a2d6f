"""Why an object is in the plan, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from migrate.graph.why import Why
from migrate.plans import PlannedTask, by_heading
from migrate.views.json_values import ref_as_json
from migrate.views.layout import MOST_LINES, print_list, result_console, say
from migrate.views.words import label, one_line, per_kind, printable


def print_why(why: Why, console: Console | None = None) -> None:
    """Print what happens to an object and why, what it needs and what needs it, to stdout."""
    console = console or result_console()
    task = why.task
    say(console, label(task.ref, task.name), "bold")
    reason = f": {one_line(task.reason)}" if task.reason else ""
    say(console, f"  {task.action} ({task.status}){reason}")
    if task.number:
        say(console, f"  becomes version {task.number} at the target")
    if task.target_id:
        say(console, f"  is {printable(task.target_id)} at the target")
    print_list(console, "Why it is in the plan:", [one_line(text) for text in why.because])
    if len(why.chain) > 1:
        steps = [
            f"{label(step.ref, step.name)}: {one_line(sentence)}" for step, sentence in why.chain
        ]
        print_list(console, "The way to what was selected:", steps)
    _print_tasks("Needs", why.needs, console)
    _print_tasks("Comes after the end of", why.after, console)
    _print_tasks("Is needed by", why.needed_by, console)
    _print_tasks("Has to end before", why.before, console)


def why_as_json(why: Why) -> dict[str, Any]:
    """Return the same as JSON values: other objects as ``kind:id``, and all of them.

    ``chain`` is a list of ``ref`` and ``because``, from the object to what was selected.
    """
    task = why.task
    return {
        **ref_as_json(task.ref),
        "name": task.name,
        "action": str(task.action),
        "status": str(task.status),
        "reason": task.reason,
        "target_id": task.target_id,
        "number": task.number or None,
        "because": list(why.because),
        "chain": [{"ref": str(step.ref), "because": text} for step, text in why.chain],
        "needs": _refs(why.needs),
        "after": _refs(why.after),
        "needed_by": _refs(why.needed_by),
        "before": _refs(why.before),
    }


def _refs(tasks: Sequence[PlannedTask]) -> list[str]:
    return [str(task.ref) for task in tasks]


def _print_tasks(title: str, tasks: Sequence[PlannedTask], console: Console) -> None:
    """Print objects, a line each; many of them only as counts."""
    if len(tasks) > MOST_LINES:
        say(console)
        counts = per_kind(by_heading(tasks))
        say(console, f"{title}: {counts} (--json lists all)", "bold")
        return
    lines = [f"{label(task.ref, task.name)}, {task.action}" for task in tasks]
    print_list(console, f"{title} ({len(tasks)}):", lines)
