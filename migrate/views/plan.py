"""The plan as text and as JSON: what will be done with every object, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from migrate.kinds import HEADINGS, Action, Heading
from migrate.outcomes import TaskStatus
from migrate.plans import Plan, PlannedTask, Side, by_heading
from migrate.views.json_values import (
    loss_as_json,
    ref_as_json,
    side_as_json,
    unsupported_as_json,
)
from migrate.views.layout import (
    MOST_LINES,
    print_groups,
    print_list,
    print_table,
    result_console,
    say,
)
from migrate.views.words import (
    NOT_COPIED,
    NOT_KNOWN,
    counts_of,
    one_line,
    per_kind,
    printable,
    shorten,
    unknowns,
)

_LONGEST_OPTION = 100


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """Print the plan to stdout; its last line says in one sentence what there is to do."""
    console = console or result_console()
    _print_ends(plan, console)
    _print_counts(plan, console)
    _print_collisions(plan, console)
    print_groups(
        console,
        "Expected losses",
        [
            (task.ref, task.name, f"{loss.what} - {loss.reason}")
            for task in plan.tasks
            for loss in task.losses
        ],
        "bold yellow",
    )
    _print_reasons(plan, console)
    print_list(console, NOT_KNOWN, [one_line(text) for text in plan.unknown], "bold yellow")
    print_groups(
        console,
        "Warnings",
        [(task.ref, task.name, text) for task in plan.tasks for text in task.warnings],
        "bold yellow",
    )
    say(console)
    say(console, summary(plan), "bold")


def summary(plan: Plan) -> str:
    """Say what there is to do: ``Plan: 12 experiments, 1,770 runs to create; ...``."""
    if not any(_is_open(task) for task in plan.tasks):
        return "Plan: nothing to do."
    objects = [task for task in plan.tasks if not task.ref.deletes]
    deleted = Counter(it.ref.kind for it in plan.tasks if it.ref.deletes and _is_open(it))
    unsupported = _count(objects, lambda task: task.action is Action.UNSUPPORTED)
    for kind, count in plan.unsupported.items():
        unsupported[kind] = unsupported[kind] + max(count, 0) or count
    parts = (
        (_open_with(objects, Action.CREATE), "to create"),
        (_open_with(objects, Action.UPDATE), "to update"),
        (_open_with(objects, Action.REPAIR), "to repair"),
        (_open_with(objects, Action.ADOPT), "to adopt"),
        (per_kind(deleted), "to mark as deleted"),
        (per_kind(_count(objects, _is_done)), "already done"),
        (per_kind(_count(objects, lambda task: task.action is Action.SKIP)), "skipped"),
        (per_kind(unsupported), "not supported"),
        (unknowns(plan.unknown), ""),
    )
    return (
        "Plan: " + "; ".join(f"{amount} {verb}".strip() for amount, verb in parts if amount) + "."
    )


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Return the whole plan as JSON values.

    ``created`` is epoch milliseconds. ``counts`` is kind -> action -> number of tasks, and
    ``unsupported`` kind -> number of objects (null: not counted). A task's ``needs`` and ``after``
    name other tasks as ``kind:id``; ``number`` and ``first_free`` are null but for versions.
    """
    return {
        "migration_id": plan.migration_id,
        "created": plan.created,
        "source": side_as_json(plan.source),
        "target": side_as_json(plan.target),
        "options": {k: v for k, v in plan.options.items() if not k.startswith("_")},
        "notes": list(plan.notes),
        "collisions": list(plan.collisions),
        "unknown": list(plan.unknown),
        "known": dict(plan.known),
        "unsupported": unsupported_as_json(plan.unsupported),
        "counts": {
            str(kind): {str(action): number for action, number in actions.items()}
            for kind, actions in plan.counts().items()
        },
        "summary": summary(plan),
        "tasks": [_task_as_json(task) for task in plan.tasks],
    }


def _task_as_json(task: PlannedTask) -> dict[str, Any]:
    return {
        **ref_as_json(task.ref),
        "name": task.name,
        "action": str(task.action),
        "status": str(task.status),
        "reason": task.reason,
        "container": task.container,
        "count": task.count,
        "target_id": task.target_id,
        "mark": task.mark,
        "needs": [str(ref) for ref in task.needs],
        "after": [str(ref) for ref in task.after],
        "because": list(map(str, task.because)),
        "number": task.number or None,
        "first_free": task.first_free or None,
        "losses": [loss_as_json(loss) for loss in task.losses],
        "warnings": list(task.warnings),
    }


def _is_done(task: PlannedTask) -> bool:
    return task.is_work and task.status is TaskStatus.DONE


def _is_open(task: PlannedTask) -> bool:
    return task.is_work and not _is_done(task)


def _count(tasks: list[PlannedTask], wanted: Callable[[PlannedTask], bool]) -> Counter[Heading]:
    return by_heading(filter(wanted, tasks))


def _open_with(tasks: list[PlannedTask], action: Action) -> str:
    return per_kind(_count(tasks, lambda task: task.action is action and _is_open(task)))


def _print_ends(plan: Plan, console: Console) -> None:
    say(console, f"Migration {printable(plan.migration_id)}", "bold")
    _print_side("from", plan.source, console)
    _print_side("to", plan.target, console)
    for note in plan.notes:
        say(console, f"  - {one_line(note)}")
    for line in _options(plan.options):
        say(console, f"  with {line}")


def _print_side(heading: str, side: Side, console: Console) -> None:
    description = f"  {one_line(side.description)}" if side.description else ""
    say(console, f"  {heading:<5} {printable(side.uri)}{description}")


def _options(options: Mapping[str, object]) -> list[str]:
    """Show the options that say something, which neither False nor an empty list does."""
    shown = []
    for name, value in options.items():
        if not name.startswith("_") and value not in (None, False, "", [], {}, ()):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            shown.append(f"{printable(name)}: {printable(shorten(text, _LONGEST_OPTION))}")
    return shown


def _print_counts(plan: Plan, console: Console) -> None:
    counts = plan.counts()
    used = [action for action in Action if any(row[action] for row in counts.values())]
    if used:
        say(console)
        print_table(
            console,
            ["", *(str(action) for action in used)],
            [
                [kind.plural, *(f"{counts[kind][action]:,}" for action in used)]
                for kind in HEADINGS
                if kind in counts
            ],
        )
    if plan.known:
        amounts = (f"{number:,} {printable(what)}" for what, number in plan.known.items())
        say(console)
        say(console, "Known so far: " + ", ".join(amounts))


def _print_collisions(plan: Plan, console: Console) -> None:
    lines = [one_line(text) for text in plan.collisions[:MOST_LINES]]
    hidden = len(plan.collisions) - len(lines)
    if hidden:
        lines.append(f"and {hidden:,} more; --json lists all")
    title = f"Names already taken on the target ({len(plan.collisions):,}):"
    print_list(console, title, lines, "bold yellow")


def _print_reasons(plan: Plan, console: Console) -> None:
    for action, title in (
        (Action.REPAIR, "To repair"),
        (Action.SKIP, "Skipped"),
        (Action.UNSUPPORTED, "Not possible on this target"),
    ):
        entries = [
            (task.ref, task.name, task.reason or "no reason given")
            for task in plan.tasks
            if task.action is action
        ]
        print_groups(console, title, entries)
    print_list(console, NOT_COPIED, counts_of(plan.unsupported), "bold yellow")
