"""Says on the target that a migration creates objects there, so that another one sees it.

Two migrations with a state database each know nothing of one another: what both find missing,
both create. So whoever is about to create says so first, in a tag on the target, renews it, and
takes it back at the end. What a killed process leaves behind is forgotten after a while.

To say it and then to look once more is what makes it safe: of two that begin at the same moment at
least one sees the other. It may be that both do, and both stop.

A server may read from another database than it writes to, one that follows the first
(``MLFLOW_READ_REPLICA_BACKEND_STORE_URI``). A copy that such a server does not show yet would be
made again. What is written in order is shown in order: once it shows a claim, it shows all that
was written before. So the claim is looked for before anything is created, and before what went
wrong is tried again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from migrate.endpoints.protocols import Target
from migrate.errors import MigrateError, NotShown, TargetInUse, TargetLags
from migrate.holder import Holder, moment, this_process
from migrate.outcomes import TaskStatus
from migrate.plans import Plan, PlannedTask

log = logging.getLogger(__name__)

#: Seconds between two renewals, and after which one that is not renewed is forgotten.
RENEWED_EVERY = 60.0
FORGOTTEN_AFTER = 300.0
#: Seconds in which a target has to show a claim, and those between two looks.
SHOWN_WITHIN = 60.0
LOOK_EVERY = 0.25
#: Up to so many containers are told one by one; their tag has to fit into 5000 characters.
TOLD_ONE_BY_ONE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who creates objects on a target, and what they go ``into`` (nothing: all of it).

    Times are epoch seconds. ``machine`` tells machines and containers of one host name apart, and
    is empty where nothing can.
    """

    migration: str
    host: str
    machine: str
    pid: int
    started: float
    renewed: float
    into: tuple[str, ...] = ()

    @classmethod
    def of_this_process(cls, plan: Plan) -> Self:
        """Return what a plan is about to do here."""
        this, now = this_process(), time.time()
        return cls(
            migration=plan.migration_id,
            host=this.host,
            machine=_machine(),
            pid=this.pid,
            started=now,
            renewed=now,
            into=_told(containers_of(plan)),
        )

    @classmethod
    def read(cls, migration: str, text: str) -> Self | None:
        """Return what a tag says; None where it says nothing, or is none of ours."""
        try:
            fields = json.loads(text)
            return cls(
                migration=migration,
                host=str(fields["host"]),
                machine=str(fields["machine"]),
                pid=int(fields["pid"]),
                started=float(fields["started"]),
                renewed=float(fields["renewed"]),
                into=tuple(map(str, fields["into"])),
            )
        except (ValueError, TypeError, KeyError):
            return None

    def text(self) -> str:
        """Return it as the value of a tag."""
        fields = dataclasses.asdict(self)
        del fields["migration"]
        return json.dumps(fields, separators=(",", ":"))

    def holds(self, now: float) -> bool:
        """Say whether the process may still be at it."""
        if now - self.renewed > FORGOTTEN_AFTER:
            return False
        here = self.host == socket.gethostname() and self.machine == _machine()
        return not (here and self.machine) or Path(f"/proc/{self.pid}").exists()

    def meets(self, other: Claim) -> bool:
        """Say whether two create objects in one place."""
        return not self.into or not other.into or not set(self.into).isdisjoint(other.into)

    def holder(self) -> Holder:
        """Return the process that is at it."""
        return Holder(self.pid, self.host, int(self.started * 1000))

    def is_of_same_process(self, other: Claim) -> bool:
        """Say whether two are of one process, once or twice renewed."""
        mine, theirs = ((it.host, it.machine, it.pid, it.started) for it in (self, other))
        return mine == theirs


def creating(plan: Plan) -> list[PlannedTask]:
    """Return the tasks that are about to create something: only these can do it twice."""
    return [
        task
        for task in plan.tasks
        if task.is_work
        and task.status is TaskStatus.PENDING
        and not task.target_id
        and not task.ref.deletes
    ]


def containers_of(plan: Plan) -> set[str]:
    """Return what a plan creates objects in: names on the target, with their kinds."""
    refs = {task.home for task in creating(plan)}
    names = {task.ref: task.name for task in plan.tasks if task.ref in refs}
    return {f"{ref.kind} {names.get(ref, ref.id)}" for ref in refs}


class Claiming:
    """Holds the claim of a plan on its target while the block lasts; made at the first create.

    ``problem`` is why nothing more may be created here, found out by the thread ``renewing``.
    """

    def __init__(
        self, plan: Plan, target: Target, *, take_over: bool = False, matched: bool = True
    ) -> None:
        """``matched``: by what the target showed before the claim, so it has to show all of it."""
        self._plan = plan
        self._matched = matched
        self._target = target
        self._take_over = take_over
        self._claim = Claim.of_this_process(plan)
        #: The experiments that are there: least is asked of an account where it writes anyway.
        self._near = [
            task.target_id for task in plan.containers() if task.is_work and task.target_id
        ]
        self._said = False
        self._saying = threading.Lock()
        #: What the target showed last.
        self._writers: Mapping[str, str] = {}
        self._ended = threading.Event()
        self.renewing = threading.Thread(target=self._renew, name="claim", daemon=True)
        self.problem: TargetInUse | TargetLags | None = None

    def __enter__(self) -> Self:
        """Raise ``TargetInUse`` where another migration is at it; else wait for a create."""
        if creating(self._plan):
            self._give_way(self._others())
            self._target.before_creating(self.say)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._target.before_creating(None)
        self._ended.set()
        if not self._said:
            return
        if self._sure:
            self.renewing.join()
        self._take_back()

    @property
    def _sure(self) -> bool:
        """True once the target has shown the claim, and nobody else's beside it: it is renewed."""
        return self.renewing.ident is not None

    def say(self) -> None:
        """Make the claim, once, and look who else has made one meanwhile.

        Raises ``TargetInUse`` where somebody has, now or since, ``TargetLags`` where the plan was
        matched by what a target showed that lags, and ``NotShown`` where it shows no claim.
        """
        with self._saying:
            if self.problem is not None:
                raise self.problem
            if self._sure or not self._tell():
                return
            self._said = True
            try:
                at_once = self._see()
                self._give_way(self._others_among(self._writers))
                if self._matched and not at_once:
                    raise _lags(self._plan)
            except (TargetInUse, TargetLags) as problem:
                self.problem = problem
                raise
            self.renewing.start()

    def catch_up(self) -> None:
        """Wait until the target shows all that was written to it, if the claim was made.

        Raises ``NotShown`` where it does not, and ``Unavailable``.
        """
        with self._saying:
            if not self._sure or self.problem is not None or not self._tell():
                return
            try:
                self._see()
            except NotShown as problem:
                self.problem = problem
                raise

    def _see(self) -> bool:
        """Wait until the target shows the claim as it was told last; say whether it did at once.

        One answer without it may be an odd one: it is told and looked for once more.
        """
        if self._shows() or (self._tell() and self._shows()):
            return True
        log.debug("the target does not show what was written to it yet")
        end = time.monotonic() + SHOWN_WITHIN
        while time.monotonic() < end:
            time.sleep(LOOK_EVERY)
            if self._shows():
                return False
        raise _not_shown(self._plan)

    def _shows(self) -> bool:
        self._writers = self._target.writers.read()
        there = Claim.read(self._claim.migration, self._writers.get(self._claim.migration, ""))
        # The thread that renews it may have told it once more.
        told = self._claim
        return (
            there is not None and there.is_of_same_process(told) and there.renewed >= told.renewed
        )

    def _tell(self) -> bool:
        self._claim = dataclasses.replace(self._claim, renewed=time.time())
        return self._target.writers.write(self._claim.migration, self._claim.text(), self._near)

    def _others(self) -> list[Claim]:
        """Return the other migrations that are creating objects where this one does."""
        return self._others_among(self._target.writers.read())

    def _others_among(self, writers: Mapping[str, str]) -> list[Claim]:
        now = time.time()
        found = (Claim.read(*said) for said in writers.items())
        return [
            claim
            for claim in found
            if claim is not None
            and claim.migration != self._claim.migration
            and claim.holds(now)
            and claim.meets(self._claim)
        ]

    def _give_way(self, others: Iterable[Claim]) -> None:
        """Raise ``TargetInUse`` where there is another; one to be taken over loses its tag."""
        for other in others:
            if not self._take_over or other.started > self._claim.started:
                raise _in_use(other, self._plan)
            self._target.writers.remove(other.migration)

    def _renew(self) -> None:
        """Renew the claim now and then; find out when another migration has taken over."""
        while not self._ended.wait(RENEWED_EVERY):
            try:
                writers = self._target.writers.read()
                there = Claim.read(self._claim.migration, writers.get(self._claim.migration, ""))
                # Who began later knew of this one: the tag alone could be written again by
                # chance, between a look and a renewal.
                later = [
                    other
                    for other in self._others_among(writers)
                    if other.started > self._claim.started
                ]
                if later or there is None or not there.is_of_same_process(self._claim):
                    self.problem = _taken_over(next(iter(later), there), self._plan)
                    return
                self._tell()
            except MigrateError as problem:  # the next time may do; it is not forgotten at once
                log.debug("the claim on the target was not renewed: %s", problem)

    def _take_back(self) -> None:
        """Take the claim back, unless it is another's by now.

        It was made, so the first answer that lacks it, or is none, is not believed.
        """
        migration = self._claim.migration
        for _ in range(2):
            try:
                there = Claim.read(migration, self._target.writers.read().get(migration, ""))
                if there is not None and not there.is_of_same_process(self._claim):
                    return
                if there is not None and self._target.writers.remove(migration):
                    return
            except MigrateError as problem:
                log.debug("the claim on the target was not taken back: %s", problem)


def _in_use(other: Claim, plan: Plan) -> TargetInUse:
    last = moment(int(other.renewed * 1000))
    return TargetInUse(
        f"another migration ({other.migration}) is writing to the same place of the target "
        f"{plan.target.uri}: {other.holder()}, last seen {last}",
        "wait until it has ended, or stop it; one that died is forgotten "
        f"{FORGOTTEN_AFTER / 60:.0f} minutes after it was last seen. If you know that it has "
        "stopped, go on at once with --take-over",
    )


def _taken_over(there: Claim | None, plan: Plan) -> TargetInUse:
    who = f": process {there.pid} on {there.host}" if there else ""
    return TargetInUse(
        f"another migration has taken over the target {plan.target.uri}{who}",
        "let it end; then run this again, which finds what it has copied",
    )


def _lags(plan: Plan) -> TargetLags:
    return TargetLags(
        f"the target {plan.target.uri} does not show at once what is written to it",
        "run this again: what is there is looked for once more",
    )


def _not_shown(plan: Plan) -> NotShown:
    return NotShown(
        f"the target {plan.target.uri} does not show what was written to it {SHOWN_WITHIN:.0f} "
        "seconds ago, so nobody can tell what is there already",
        "does it read from a replica of its database? Start it without "
        "MLFLOW_READ_REPLICA_BACKEND_STORE_URI for the migration, or name a server that reads "
        "what it writes",
    )


def _told(containers: Iterable[str]) -> tuple[str, ...]:
    found = sorted(
        hashlib.sha256(it.encode("utf-8", "replace")).hexdigest()[:8] for it in containers
    )
    return tuple(found) if len(found) <= TOLD_ONE_BY_ONE else ()


def _machine() -> str:
    """Return what tells this machine, and on it this container, from any other; else nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
