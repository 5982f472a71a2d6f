"""The loop: ready -> submit -> wait -> record -> report. One thread owns the truth.

Done-callbacks only enqueue. Each turn takes everything that arrived, turns it into
transitions, writes one transaction, then reports. Owns clock and signals.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import os
import queue
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

from migrate import worker
from migrate.claims import Claiming
from migrate.endpoints.addresses import Address
from migrate.endpoints.answers import Ended, Unreadable
from migrate.errors import EXIT_INTERRUPTED, EndpointError, MigrateError, TargetLags
from migrate.executors.protocol import BatchExecutor, lost
from migrate.graph.progress import Progress
from migrate.kinds import Action, Kind, Ref, Step
from migrate.outcomes import Outcome, Part, TaskStatus
from migrate.plans import Plan, PlannedTask, Report, by_heading
from migrate.spreading import Spreading
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.carriers import carrier_of
from migrate.tasks.outcomes import failed
from migrate.views.progress import View
from state.store import StateStore

ATTEMPTS = 6
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
TICK = 0.25
#: The most tasks in the first batch of a kind.
FIRST_BATCH = 4

#: Why an object that has no error of its own is not there.
_NOT_COPIED = {
    TaskStatus.PENDING: "not copied yet: the migration was interrupted",
    TaskStatus.FAILED: "failed",
    TaskStatus.BLOCKED: "not copied: something that it needs failed",
}


class Scheduler:
    """Carries out a stored plan."""

    def __init__(
        self,
        plan: Plan,
        store: StateStore,
        view: View,
        executor: BatchExecutor,
        *,
        source: Address,
        target: Address,
        policy: Policy,
        claiming: Claiming,
        looks: bool = False,
    ) -> None:
        """``looks``: copies may be on the target that the plan does not know of."""
        self._plan = plan
        self._store = store
        self._view = view
        self._executor = executor
        self._source = source
        self._target = target
        self._policy = policy
        self._claiming = claiming
        self._looks = looks
        self._progress = Progress(plan.tasks)
        #: Those that other tasks wait for.
        self._named = {ref for task in plan.tasks for ref in task.needs + task.after}
        told = [it for it in plan.tasks if it.status is TaskStatus.PENDING or it.ref in self._named]
        self._copies = {task.ref: task.target_id for task in told if task.target_id}
        self._marks = {task.ref: task.mark for task in told if task.mark}
        self._attempts: Counter[Ref] = Counter()
        self._arrived: queue.SimpleQueue[Sequence[Outcome] | None] = queue.SimpleQueue()
        self._later: list[tuple[float, int, Ref]] = []
        self._order = itertools.count()
        self._errors: dict[Ref, str] = {}
        self._in_flight = 0
        #: Kinds of which this run has begun a batch.
        self._begun: set[Kind] = set()
        self._spreading = Spreading()
        self._draining = False
        self._interrupted = False
        self._fatal: Outcome | None = None

    def run(self) -> Report:
        """Work until nothing is left or the user interrupts; return how it ended.

        Raises the error that made going on pointless (a full disk, rejected credentials, another
        migration at the same place), and errors of the state database; everything recorded before
        stays.
        """
        started = time.monotonic()
        self._announce()
        with self._signals():
            while self._progress.unfinished:
                self._dispatch()
                if not self._in_flight and self._draining:
                    break
                if not self._in_flight and not self._later:
                    raise self._stuck()
                self._absorb(self._wait())
        try:
            worker.target_at(self._target).publish(self._how_it_ended())
        finally:
            self._view.stopped()
        if self._claiming.problem is not None:
            raise self._claiming.problem
        if self._fatal is not None:
            raise EndpointError(self._fatal.error, self._fatal.hint)
        return self._store.report(
            self._plan.migration_id,
            seconds=time.monotonic() - started,
            interrupted=self._interrupted,
        )

    def _stuck(self) -> MigrateError:
        """Return the error for tasks that wait for what nobody will end."""
        return MigrateError(
            f"of the plan {self._progress.unfinished} tasks wait for what no other task brings",
            "plan again; if that does not help, please report it with what `migrate plan` prints",
        )

    def _how_it_ended(self) -> Ended:
        """Return how it ended, for what the target says of itself."""
        failed = [
            Unreadable(
                ref=task.ref,
                container=task.container,
                where=task.name,
                reason=self._errors.get(task.ref, _NOT_COPIED[status]),
            )
            for task, status in self._progress.not_done()
            if not task.ref.deletes
        ]
        selected = cache(lambda: {it.ref for it in self._plan.tasks if it.is_work})
        skipped = cache(lambda: {it.ref for it in self._plan.tasks if it.action is Action.SKIP})
        return Ended(
            options=self._plan.options,
            failed=tuple(failed),
            unknown=self._plan.unknown,
            unsupported=self._plan.unsupported,
            selects=lambda ref: ref in selected(),
            skips=lambda ref: ref in skipped(),
        )

    def _announce(self) -> None:
        work = [task for task in self._plan.tasks if task.is_work]
        todo = by_heading(task for task in work if task.status is TaskStatus.PENDING)
        done = by_heading(task for task in work if task.status is not TaskStatus.PENDING)
        self._view.started(todo, done)

    # -- dispatch ---------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Give every free worker a batch."""
        if self._claiming.problem is not None:
            self._drain()
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._progress.put_back(heapq.heappop(self._later)[2])
        # What is ready is shared among the workers, so that none is left with a long tail.
        share = -(-self._progress.ready_count // self._executor.at_once)
        while not self._draining and self._in_flight < self._executor.at_once:
            if part := self._spreading.next():
                self._submit(self._batch([self._progress.task(part.of)], part))
                continue
            following = self._progress.next()
            if following is None:
                return
            refs = self._progress.take(self._most(following, share))
            self._submit(self._batch(self._progress.among(refs)))

    def _most(self, following: Ref, share: int) -> int:
        """Return the most tasks that go to a worker with this one, at least one."""
        carrier = carrier_of(following.kind)
        if carrier is None or following.deletes:
            return 1
        most = carrier.together
        if not (carrier.spreads and self._executor.spreads):
            most = min(most, share)
        if following.kind not in self._begun:
            # The first is small, so that something lasting is done soon: a batch is read whole
            # before anything is written, and whoever is killed before that got nowhere.
            self._begun.add(following.kind)
            most = min(most, FIRST_BATCH)
        return max(1, most)

    def _batch(self, tasks: Sequence[PlannedTask], part: Part | None = None) -> Batch:
        first = tasks[0]
        container = first.ref.kind.container or first.ref.kind
        return Batch(
            kind=first.ref.kind,
            step=first.ref.step,
            container=first.container,
            target_container=self._copies.get(Ref(container, first.container), ""),
            jobs=tuple(self._job(task) for task in tasks),
            source=self._source,
            target=self._target,
            policy=self._policy,
            looks=self._looks or self._executor.looks,
            workers=self._executor.at_once if self._executor.distant else 1,
            part=part,
        )

    def _job(self, task: PlannedTask) -> Job:
        return Job(
            ref=task.ref,
            name=task.name,
            action=task.action,
            target_id=self._copies.get(task.ref, ""),
            mark=self._marks.get(task.ref, ""),
            attempt=self._attempts.get(task.ref, 0) + 1,
            copies={
                need: self._copies[need]
                for need in (*task.needs, *task.after)
                if need in self._copies
            },
            number=task.number,
            first_free=task.first_free,
            losses=task.losses,
        )

    def _submit(self, batch: Batch) -> None:
        if batch.part is None:  # else it belongs to an attempt that has begun
            self._attempts.update(job.ref for job in batch.jobs)
            self._store.mark_started(self._plan.migration_id, [job.ref for job in batch.jobs])
        self._in_flight += 1

        def enqueue(future: Future[list[Outcome]]) -> None:
            problem = CancelledError() if future.cancelled() else future.exception()
            self._arrived.put(future.result() if problem is None else lost(batch, problem))

        try:
            self._say_who_creates(batch)
        except TargetLags:  # the claiming's own problem, which ends it
            self._in_flight -= 1
            self._drain()
            return
        except MigrateError as problem:
            self._arrived.put([failed(job, problem) for job in batch.jobs])
            return
        self._executor.submit(batch).add_done_callback(enqueue)

    def _say_who_creates(self, batch: Batch) -> None:
        """Make the claim before something is created: other processes know of none.

        What is tried again is looked for first, so the target has to show all that was written.
        """
        if batch.part is not None or batch.step is Step.DELETION:
            return
        if any(not job.target_id for job in batch.jobs):
            self._claiming.say()
        if any(job.attempt > 1 for job in batch.jobs):
            self._claiming.catch_up()

    # -- absorb -----------------------------------------------------------------------------

    def _wait(self) -> list[Outcome]:
        """Return everything that has arrived, after a tick at the latest."""
        arrived: list[Outcome] = []
        pause = TICK
        if self._later and not self._in_flight:
            pause = min(TICK, max(0.0, self._later[0][0] - time.monotonic()))
        try:
            outcomes = self._arrived.get(timeout=pause)
            while True:
                if outcomes is not None:
                    self._in_flight -= 1
                    arrived += outcomes
                outcomes = self._arrived.get_nowait()
        except queue.Empty:
            return arrived

    def _absorb(self, outcomes: Sequence[Outcome]) -> None:
        """Turn outcomes into transitions, record them in one transaction, then report."""
        self._view.tick(self._executor.transferred())
        if not outcomes:
            return
        settled: list[Outcome] = []
        blocked: dict[Ref, Ref] = {}
        for outcome in outcomes:
            if outcome.of_part:
                self._absorb_part(outcome)
                continue
            if outcome.target_id:
                self._copies[outcome.ref] = outcome.target_id
            if self._tries_again(outcome):
                settled.append(outcome)
                continue
            final = self._spreading.with_sent(self._with_known_losses(outcome))
            if final.error:
                self._errors[final.ref] = final.error
            settled.append(final)
            self._forget(final.ref)
            blocked |= self._progress.end(final.ref, final.status, refused=final.refused)
            self._stop_for(final)
        self._store.record(self._plan.migration_id, settled, blocked)
        self._view.outcomes(
            [outcome for outcome in settled if not outcome.retryable],
            by_heading(self._progress.among(list(blocked))),
        )

    def _absorb_part(self, outcome: Outcome) -> None:
        """Note files that were sent; after the last of them, their object is tried again."""
        self._stop_for(outcome)
        if self._spreading.ended(outcome):
            self._progress.put_back(outcome.ref)

    def _stop_for(self, outcome: Outcome) -> None:
        """Begin nothing more after what makes all else pointless."""
        if outcome.stops and self._fatal is None:
            self._fatal = outcome
            self._drain()

    def _drain(self) -> None:
        """Begin nothing more, and end what is begun."""
        self._draining = True
        self._executor.drain()

    def _forget(self, ref: Ref) -> None:
        """Keep of a task that has ended only what others ask for: where the copy is."""
        self._attempts.pop(ref, None)
        self._marks.pop(ref, None)
        if ref not in self._named:
            self._copies.pop(ref, None)

    def _tries_again(self, outcome: Outcome) -> bool:
        """Put a task that is worth another try on the list for later."""
        if outcome.parts:
            self._spreading.begin(outcome.parts)
            name = self._progress.task(outcome.ref).name or outcome.ref.id
            self._view.message(f"{outcome.ref.heading} {name!r}: {outcome.error}")
            return True
        if not outcome.retryable or (attempt := self._attempts[outcome.ref]) >= ATTEMPTS:
            return False
        pause = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE) * random.uniform(0.7, 1.3)
        if outcome.retry_after is not None:
            pause = max(pause, outcome.retry_after)
        entry = (time.monotonic() + pause, next(self._order), outcome.ref)
        heapq.heappush(self._later, entry)
        # The earlier mark spoke of a copy that this attempt may have changed.
        self._marks.pop(outcome.ref, None)
        if not self._draining:
            name = self._progress.task(outcome.ref).name
            self._view.retrying(outcome.ref, name, outcome.error, pause, attempt)
        return True

    def _with_known_losses(self, outcome: Outcome) -> Outcome:
        """Return what an attempt ended with, and what its task is known to lose besides."""
        task = self._progress.task(outcome.ref)
        losses = outcome.losses + task.losses
        if losses:
            losses = tuple(dict.fromkeys(losses))
        if (losses, task.count, False) == (outcome.losses, outcome.count, outcome.retryable):
            return outcome
        return dataclasses.replace(outcome, losses=losses, count=task.count, retryable=False)

    # -- signals ----------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """First SIGINT or SIGTERM: begin nothing more and drain. Second: stop now."""
        previous: Mapping[int, Any] = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:
            self._view.stopped()
            # Threads in the middle of a request cannot be asked to stop; the state is safe.
            os._exit(EXIT_INTERRUPTED)
        self._interrupted = True
        self._drain()
        self._view.draining(self._in_flight)
        self._arrived.put(None)
