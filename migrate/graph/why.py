"""Why an object is in the plan: what led to it, up to what the user selected."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from migrate.errors import UsageError
from migrate.graph.selection import ALL
from migrate.kinds import Ref
from migrate.plans import Because, Plan, PlannedTask

MOST_CANDIDATES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One object of a plan, and all that the plan says about its place in it.

    ``chain`` begins with the object; each sentence in it tells what led there, the last one what
    the user selected. ``needed_by`` and ``before`` are the other ends of needs and ``after``.
    """

    task: PlannedTask
    because: tuple[str, ...]
    chain: tuple[tuple[PlannedTask, str], ...]
    needs: tuple[PlannedTask, ...]
    after: tuple[PlannedTask, ...]
    needed_by: tuple[PlannedTask, ...]
    before: tuple[PlannedTask, ...]


def explain(plan: Plan, text: str) -> Why:
    """Look up an object by what the user wrote. Raises ``UsageError``, see ``find_task``."""
    task = find_task(plan.tasks, text)
    tasks = {other.ref: other for other in plan.tasks}
    return Why(
        task=task,
        because=tuple(map(str, _because(plan, task))),
        chain=_chain(plan, tasks, task),
        needs=tuple(tasks[ref] for ref in task.needs if ref in tasks),
        after=tuple(tasks[ref] for ref in task.after if ref in tasks),
        needed_by=tuple(other for other in plan.tasks if task.ref in other.needs),
        before=tuple(other for other in plan.tasks if task.ref in other.after),
    )


def find_task(tasks: Sequence[PlannedTask], text: str) -> PlannedTask:
    """Return the task that ``kind:id``, an id or a name means.

    Raises ``UsageError`` with the candidates when there are several, and with what comes close
    when there is none. A ref wins over an id or name that reads like it.
    """
    found = [task for task in tasks if text == str(task.ref)]
    found = found or [task for task in tasks if text in (task.ref.id, task.name)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = [_described(task) for task in found[:MOST_CANDIDATES]]
        hidden = len(found) - len(shown)
        raise UsageError(
            f"--why {text!r} may mean {len(found):,} objects: {', '.join(shown)}"
            + (f" and {hidden:,} more" if hidden else ""),
            "write it as KIND:ID",
        )
    words = {word: task for task in tasks for word in _words(task)}
    close = [words[word] for word in get_close_matches(text, words, n=5)]
    nearest = dict.fromkeys(map(_described, close))
    raise UsageError(
        f"--why {text!r} is not in the plan",
        f"did you mean {' or '.join(list(nearest)[:3])}?"
        if nearest
        else "write it as KIND:ID, such as run:8f2c; --json lists the whole plan",
    )


def _words(task: PlannedTask) -> tuple[str, ...]:
    return tuple(filter(None, (str(task.ref), task.ref.id, task.name)))


def _described(task: PlannedTask) -> str:
    named = f" ({task.name})" if task.name and task.name != task.ref.id else ""
    return f"{task.ref}{named}"


def _because(plan: Plan, task: PlannedTask) -> tuple[Because, ...]:
    """Return the reasons the planner gave, or else what follows from the selection."""
    if task.because or not task.is_work:
        return task.because
    if task.ref.deletes:
        return (Because("the last step of", task.ref.object),)
    if task.home != task.ref:
        return (Because("in", task.home),)
    tokens = plan.options.get("experiments")
    if isinstance(tokens, list) and tokens and ALL not in tokens:
        return (Because("selected by --experiments"),)
    return (Because("the whole server is selected"),)


def _chain(
    plan: Plan, tasks: dict[Ref, PlannedTask], start: PlannedTask
) -> tuple[tuple[PlannedTask, str], ...]:
    """Return the shortest way from an object to a reason that names no other object."""
    came: dict[Ref, tuple[PlannedTask, str] | None] = {start.ref: None}
    queue = deque([start])
    while queue:
        task = queue.popleft()
        for because in _because(plan, task):
            if because.ref not in tasks:
                return _way(came, task, str(because))
            if because.ref not in came:
                came[because.ref] = (task, str(because))
                queue.append(tasks[because.ref])
    return ()


def _way(
    came: dict[Ref, tuple[PlannedTask, str] | None], task: PlannedTask, sentence: str
) -> tuple[tuple[PlannedTask, str], ...]:
    way = [(task, sentence)]
    step = came[task.ref]
    while step is not None:
        way.append(step)
        step = came[step[0].ref]
    return tuple(reversed(way))
