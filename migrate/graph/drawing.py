"""A plan as a drawing of boxes and lines, few enough for people to read.

A small plan has a box for every object. In a larger one, tasks of one kind, place and action share
a box; the place is their experiment or registered model. Where that is still too much, the places
with the most to do keep boxes of their own, and all others are folded together. What is left out
shares boxes whatever its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from migrate.graph.layout import Place, lay_out, without_implied
from migrate.kinds import Action, Heading, Kind, Ref, Step
from migrate.outcomes import TaskStatus
from migrate.plans import Plan, PlannedTask

MOST_BOXES = 80  #: of a plan that is drawn as it is
FOLDED_BOXES = 48  #: of a larger one: about what a screen and a half shows

_VERBS = {
    Action.CREATE: "to create",
    Action.ADOPT: "to adopt",
    Action.UPDATE: "to update",
    Action.REPAIR: "to repair",
    Action.SKIP: "skipped",
    Action.UNSUPPORTED: "not supported",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One object, or several that are alike in kind, action and whether they are ``done``.

    ``label`` is the name as the server gave it, or ``1,234 runs to create``. ``homes`` are the
    names of the experiments or models they are in, other than themselves.
    """

    label: str
    kind: Kind
    step: Step
    action: Action
    done: bool
    homes: tuple[str, ...]
    tasks: tuple[PlannedTask, ...]
    place: Place

    @property
    def heading(self) -> Heading:
        """Under which word they stand in the legend."""
        return self.tasks[0].ref.heading

    @property
    def count(self) -> int:
        """How many objects these are."""
        return len(self.tasks)

    @property
    def verb(self) -> str:
        """What becomes of them: ``to create``, ``skipped`` or ``already done``."""
        return _verb(self.step, self.action, self.done)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What ``end`` waits for, as indexes of boxes; ``count`` sums up the needs between them.

    ``soft``: ``start`` has to have ended, and may have failed.
    """

    start: int
    end: int
    count: int
    soft: bool
    bends: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Boxes, lines, and their size; boxes without lines stand from row ``apart`` on."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    columns: int
    rows: float
    apart: float | None


class _Group(NamedTuple):
    """What the tasks of one box have in common; ``home`` is the place, or a ref of its own."""

    kind: Kind
    step: Step
    action: Action
    done: bool
    home: Ref | None


def draw(plan: Plan) -> Drawing:
    """Fold a plan where it has too many tasks, and lay it out.

    Every task is in exactly one box. Needs that follow from others are not drawn.
    """
    groups = _fold(plan.tasks)
    box_of = {task.ref: n for n, tasks in enumerate(groups.values()) for task in tasks}
    hard = _lines(plan.tasks, box_of, soft=False)
    soft = _lines(plan.tasks, box_of, soft=True)
    shown = without_implied(list(hard))
    layout = lay_out(len(groups), shown, soft)
    names = {task.ref: task.name for task in plan.tasks}
    boxes = tuple(
        Box(
            label=_label(group, tasks, names),
            kind=group.kind,
            step=group.step,
            action=group.action,
            done=group.done,
            homes=_home_names(tasks, names),
            tasks=tuple(tasks),
            place=layout.boxes[number],
        )
        for number, (group, tasks) in enumerate(groups.items())
    )
    lines = tuple(
        Line(
            start=edge[0],
            end=edge[1],
            count=counts[edge],
            soft=counts is soft,
            bends=layout.bends.get(edge, ()),
        )
        for counts, edges in ((hard, shown), (soft, soft.keys()))
        for edge in sorted(edges)
    )
    return Drawing(
        boxes=boxes, lines=lines, columns=layout.columns, rows=layout.rows, apart=layout.apart
    )


def _fold(tasks: Sequence[PlannedTask]) -> dict[_Group, list[PlannedTask]]:
    groups: dict[_Group, list[PlannedTask]] = {}
    if len(tasks) <= MOST_BOXES:
        for task in tasks:
            groups[_group(task, task.ref)] = [task]
        return groups
    kept = _kept_homes(tasks)
    for task in tasks:
        home = task.home
        apart = home in kept and task.is_work
        groups.setdefault(_group(task, home if apart else None), []).append(task)
    return groups


def _group(task: PlannedTask, home: Ref | None) -> _Group:
    return _Group(task.ref.kind, task.ref.step, task.action, _is_done(task), home)


def _is_done(task: PlannedTask) -> bool:
    return task.is_work and task.status is TaskStatus.DONE


def _kept_homes(tasks: Sequence[PlannedTask]) -> set[Ref]:
    """Return as many places as have room in boxes of their own, those with the most to do first."""
    groups: dict[Ref, set[_Group]] = {}
    sizes: Counter[Ref] = Counter()
    open_sizes: Counter[Ref] = Counter()
    for task in tasks:
        if task.is_work:
            home = task.home
            groups.setdefault(home, set()).add(_group(task, None))
            sizes[home] += task.count
            open_sizes[home] += 0 if _is_done(task) else task.count
    left_out = {_group(task, None) for task in tasks if not task.is_work}
    ranked = sorted(groups, key=lambda home: (-open_sizes[home], -sizes[home]))
    number = min(len(ranked), FOLDED_BOXES)
    while number and len(left_out) + _boxes(groups, ranked, number) > FOLDED_BOXES:
        number -= 1
    return set(ranked[:number])


def _boxes(groups: dict[Ref, set[_Group]], ranked: Sequence[Ref], kept: int) -> int:
    folded: set[_Group] = set().union(*(groups[home] for home in ranked[kept:]))
    return sum(len(groups[home]) for home in ranked[:kept]) + len(folded)


def _lines(
    tasks: Iterable[PlannedTask], box_of: dict[Ref, int], *, soft: bool
) -> Counter[tuple[int, int]]:
    return Counter(
        (box_of[ref], box_of[task.ref])
        for task in tasks
        for ref in (task.after if soft else task.needs)
        if ref in box_of and box_of[ref] != box_of[task.ref]
    )


def _label(group: _Group, tasks: Sequence[PlannedTask], names: dict[Ref, str]) -> str:
    if len(tasks) == 1:
        (task,) = tasks
        return task.name or names.get(task.ref.object) or task.ref.id
    number = sum(task.count for task in tasks)
    return f"{number:,} {group.kind.plural} {_verb(group.step, group.action, group.done)}"


def _verb(step: Step, action: Action, done: bool) -> str:
    if done:
        return "already done"
    if step is Step.DELETION and action not in (Action.SKIP, Action.UNSUPPORTED):
        return "to mark as deleted"
    return _VERBS[action]


def _home_names(tasks: Sequence[PlannedTask], names: dict[Ref, str]) -> tuple[str, ...]:
    homes = dict.fromkeys(home for task in tasks if (home := task.home) != task.ref)
    return tuple(names.get(home) or home.id for home in homes)
