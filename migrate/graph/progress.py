"""The state machine of a running migration: pure, no clock, no I/O.

It keeps counters and never rescans the graph. Each task moves once to a final status; a
failed one takes everything that needs it along as blocked. What only comes after it goes on when it
was refused for good; otherwise it is blocked as well, because a later try may still succeed, and
its turn would be lost. What is done is forgotten, and most wait for one thing, which is not
written down: a million tasks are in one table, and not in several.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from migrate.kinds import Kind, Ref, Step
from migrate.outcomes import TaskStatus
from migrate.plans import PlannedTask

Group = tuple[Kind, Step, str]


class Progress:
    """What is ready, what waits for what, and what has ended."""

    def __init__(self, tasks: Iterable[PlannedTask]) -> None:
        #: Those that are not done.
        self._tasks = {
            task.ref: task for task in tasks if task.is_work and task.status is not TaskStatus.DONE
        }
        #: How those of them have ended that are not pending.
        self._ended: dict[Ref, TaskStatus] = {}
        #: How many things a pending task waits for, where these are more than one.
        self._waits: dict[Ref, int] = {}
        self._dependants: dict[Ref, list[Ref]] = {}
        self._followers: dict[Ref, list[Ref]] = {}
        #: Ready tasks by kind, step and container, in the order in which groups became ready.
        self._ready: dict[Group, deque[Ref]] = {}
        self._taken: set[Ref] = set()
        self.ready_count = 0
        self.unfinished = 0
        for ref, task in self._tasks.items():
            if task.status is not TaskStatus.PENDING:
                self._ended[ref] = task.status
                continue
            self.unfinished += 1
            needs = [it for it in task.needs if it in self._tasks]
            after = [it for it in task.after if it in self._tasks and it not in needs]
            for need in needs:
                self._dependants.setdefault(need, []).append(ref)
            for earlier in after:
                self._followers.setdefault(earlier, []).append(ref)
            waits = len(needs) + len(after)
            if not waits:
                self._make_ready(ref)
            elif waits > 1:
                self._waits[ref] = waits

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
            for waiting_for_it in (self._dependants, self._followers):
                if ref in waiting_for_it:
                    self._release(waiting_for_it.pop(ref))
            return {}
        blocked: dict[Ref, Ref] = {}
        # What is blocked may be made by a later run, so what follows it keeps its place.
        causes = [(ref, not refused)]
        while causes:
            cause, holds = causes.pop()
            waiting = self._dependants.pop(cause, [])
            waiting += self._followers.pop(cause, []) if holds else []
            for dependant in waiting:
                if dependant not in self._ended:
                    blocked[dependant] = ref
                    self._settle(dependant, TaskStatus.BLOCKED)
                    causes.append((dependant, True))
        if refused:
            self._release(self._followers.pop(ref, ()))
        return blocked

    def _release(self, refs: Iterable[Ref]) -> None:
        """Take one thing to wait for off each of these."""
        for ref in refs:
            if ref in self._ended:
                continue
            left = self._waits.pop(ref, 1) - 1
            if not left:
                self._make_ready(ref)
            elif left > 1:
                self._waits[ref] = left

    def _settle(self, ref: Ref, status: TaskStatus) -> None:
        if status is TaskStatus.DONE:
            del self._tasks[ref]
        else:
            self._ended[ref] = status
        self.unfinished -= 1

    def _make_ready(self, ref: Ref) -> None:
        group = (ref.kind, ref.step, self._tasks[ref].container)
        self._ready.setdefault(group, deque()).append(ref)
        self.ready_count += 1

    def task(self, ref: Ref) -> PlannedTask:
        """Return the planned task of a ref that is not done."""
        return self._tasks[ref]

    def among(self, refs: Sequence[Ref]) -> list[PlannedTask]:
        """Return the planned tasks of several refs that are not done."""
        return [self._tasks[ref] for ref in refs]

    def not_done(self) -> Iterator[tuple[PlannedTask, TaskStatus]]:
        """Yield the tasks that are not done, each with where it stands."""
        for ref, task in self._tasks.items():
            yield task, self._ended.get(ref, TaskStatus.PENDING)
