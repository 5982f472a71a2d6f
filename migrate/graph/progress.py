"""The state machine of a running migration: pure, no clock, no I/O.

It keeps counters and never rescans the graph. Each task moves once to a final status; a
failed one takes everything that needs it along as blocked. What only comes after it goes on when it
was refused for good; otherwise it is blocked as well, because a later try may still succeed, and
its turn would be lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from migrate.kinds import Kind, Ref, Step
from migrate.outcomes import TaskStatus
from migrate.plans import PlannedTask

Group = tuple[Kind, Step, str]

#: What is not carried out, or is done already.
_NOTHING_TO_WAIT_FOR = frozenset({None, TaskStatus.DONE})


class Progress:
    """What is ready, what waits for what, and what has ended."""

    def __init__(self, tasks: Iterable[PlannedTask]) -> None:
        work = [task for task in tasks if task.is_work]
        self._tasks = {task.ref: task for task in work}
        self.status = {task.ref: task.status for task in work}
        #: How many of the things it needs are not done yet, for every pending task.
        self._waits: dict[Ref, int] = {}
        self._dependants: dict[Ref, list[Ref]] = {}
        self._followers: dict[Ref, list[Ref]] = {}
        #: Ready tasks by kind, step and container, in the order in which groups became ready.
        self._ready: dict[Group, deque[Ref]] = {}
        self._taken: set[Ref] = set()
        self.ready_count = 0
        self.unfinished = 0
        for task in work:
            if task.status is not TaskStatus.PENDING:
                continue
            self.unfinished += 1
            needs = self._not_done(task.needs)
            after = self._not_done(task.after) if task.after else []
            after = [ref for ref in after if ref not in needs]
            self._waits[task.ref] = len(needs) + len(after)
            for need in needs:
                self._dependants.setdefault(need, []).append(task.ref)
            for earlier in after:
                self._followers.setdefault(earlier, []).append(task.ref)
            if not self._waits[task.ref]:
                self._make_ready(task.ref)

    def _not_done(self, refs: Iterable[Ref]) -> list[Ref]:
        return [ref for ref in refs if self.status.get(ref) not in _NOTHING_TO_WAIT_FOR]

    def take(self, limit: int) -> list[Ref]:
        """Take up to ``limit`` ready tasks of one kind, step and container, none where none is.

        Groups take turns, so that no experiment waits for the end of another.
        """
        if not self._ready:
            return []
        group = next(iter(self._ready))
        queue = self._ready.pop(group)
        taken = [queue.popleft() for _ in range(min(limit, len(queue)))]
        if queue:
            self._ready[group] = queue
        self.ready_count -= len(taken)
        self._taken.update(taken)
        return taken

    def next(self) -> Ref | None:
        """Return the first that ``take`` would return."""
        return next(iter(self._ready.values()))[0] if self._ready else None

    def put_back(self, ref: Ref) -> None:
        """Make a taken task ready again, for another attempt."""
        self._taken.remove(ref)
        self._make_ready(ref)

    def end(self, ref: Ref, status: TaskStatus, *, refused: bool = False) -> dict[Ref, Ref]:
        """End a taken task as done or failed; return what that blocks, and by what.

        One that failed because it was ``refused`` blocks what needs it, not what comes after it.
        Raises ``ValueError`` for a task that was not taken or a status that is not final.
        """
        if ref not in self._taken or status not in (TaskStatus.DONE, TaskStatus.FAILED):
            raise ValueError(f"{ref} cannot become {status} now")
        self._taken.remove(ref)
        self._settle(ref, status)
        if status is TaskStatus.DONE:
            self._release(self._dependants.pop(ref, ()))
            self._release(self._followers.pop(ref, ()))
            return {}
        blocked: dict[Ref, Ref] = {}
        # What is blocked may be made by a later run, so what follows it keeps its place.
        causes = [(ref, not refused)]
        while causes:
            cause, holds = causes.pop()
            waiting = self._dependants.pop(cause, [])
            waiting += self._followers.pop(cause, []) if holds else []
            for dependant in waiting:
                if self.status[dependant] is TaskStatus.PENDING:
                    blocked[dependant] = ref
                    self._settle(dependant, TaskStatus.BLOCKED)
                    causes.append((dependant, True))
        if refused:
            self._release(self._followers.pop(ref, ()))
        return blocked

    def _release(self, refs: Iterable[Ref]) -> None:
        """Take one thing to wait for off each of these."""
        for ref in refs:
            if ref in self._waits:
                self._waits[ref] -= 1
                if not self._waits[ref]:
                    self._make_ready(ref)

    def _settle(self, ref: Ref, status: TaskStatus) -> None:
        self.status[ref] = status
        self._waits.pop(ref, None)
        self.unfinished -= 1

    def _make_ready(self, ref: Ref) -> None:
        group = (ref.kind, ref.step, self._tasks[ref].container)
        self._ready.setdefault(group, deque()).append(ref)
        self.ready_count += 1

    def task(self, ref: Ref) -> PlannedTask:
        """Return the planned task of a ref."""
        return self._tasks[ref]

    def among(self, refs: Sequence[Ref]) -> list[PlannedTask]:
        """Return the planned tasks of several refs."""
        return [self._tasks[ref] for ref in refs]
