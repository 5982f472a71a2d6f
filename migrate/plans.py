"""The plan as a value: what a migration will do with every object, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from migrate.kinds import Action, Heading, Kind, Ref, parse_ref
from migrate.outcomes import Loss, TaskStatus
from migrate.straight import Files
from migrate.values import value


class Because(NamedTuple):
    """Why an object is in the plan: a sentence, which the ``ref`` of what led to it ends."""

    text: str
    ref: Ref | None = None

    def __str__(self) -> str:
        return self.text if self.ref is None else f"{self.text} {self.ref}"


_A_REF = re.compile(rf"(.+?) ({'|'.join(sorted(Kind, key=len, reverse=True))}):(.+)", re.S)


def because_to_stored(because: Because) -> str | tuple[str, str]:
    """Return a reason as the state database keeps it."""
    return because.text if because.ref is None else (because.text, because.ref.stored)


def because_from_stored(stored: object) -> Because:
    """Read back what ``because_to_stored`` wrote. Raises ``ValueError`` for anything else.

    Older versions stored the sentence only: the ref that ends it is found in it.
    """
    if isinstance(stored, list | tuple) and len(stored) == 2:
        text, ref = map(str, stored)
        return Because(text, parse_ref(ref))
    if not isinstance(stored, str):
        raise ValueError(f"{str(stored)[:100]!r} is no reason")
    if ending := _A_REF.fullmatch(stored):
        return Because(ending[1], Ref(Kind(ending[2]), ending[3]))
    return Because(stored)


_WORK = frozenset({Action.CREATE, Action.ADOPT, Action.UPDATE, Action.REPAIR})


@value
class PlannedTask:
    """One object of the source and what is to be done with it.

    ``container`` is the source id of the experiment it lives in (empty for experiments);
    tasks of one kind and container go to a worker together. ``needs`` names what must be
    done first, ``after`` what must have ended, done or refused for good. ``losses`` are those
    known before anything is copied. ``because`` says why the object is in the plan. A version is
    to get ``number`` on the target (0: any), where ``first_free`` is the first number not taken
    before it (0: not known), and so is an experiment where it may keep its own. What comes by
    the million is planned in slices: one task stands for ``count`` objects, whose copies keep their
    ids.
    """

    ref: Ref
    name: str
    action: Action
    container: str = ""
    count: int = 1
    reason: str = ""
    target_id: str = ""
    mark: str = ""
    needs: tuple[Ref, ...] = ()
    after: tuple[Ref, ...] = ()
    because: tuple[Because, ...] = ()
    number: int = 0
    first_free: int = 0
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()
    status: TaskStatus = TaskStatus.PENDING

    @property
    def home(self) -> Ref:
        """What holds the object; the object itself where nothing does."""
        kind = self.ref.kind.container
        return Ref(kind, self.container or self.ref.id) if kind else self.ref.object

    @property
    def is_work(self) -> bool:
        """True when the scheduler has to carry this task out."""
        return self.action in _WORK


def by_heading(tasks: Iterable[PlannedTask]) -> Counter[Heading]:
    """Count the objects that tasks stand for, those to be deleted apart."""
    counts: Counter[Heading] = Counter()
    for task in tasks:
        counts[task.ref.heading] += task.count
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What a comparison found of one copy: in words what can be mended, and what no one can."""

    mendable: tuple[str, ...] = ()
    lasting: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end of a migration as the state database remembers it: never with credentials.

    ``uri`` is redacted; ``identity`` tells whether the same server or directory is there.
    """

    uri: str
    identity: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one migration will do. ``created`` is epoch milliseconds.

    ``options`` are the selection and policies it was made with, as JSON values.
    ``unsupported`` counts objects of kinds that are not copied (-1: present, not counted).
    ``notes`` are facts about the two ends; ``collisions`` names of the target already taken.
    ``unknown`` is what could not be learned of them: the migration is incomplete by it.
    ``known`` counts what is known of the size: params, tags, metric keys, dataset inputs.
    """

    migration_id: str
    created: int
    source: Side
    target: Side
    options: Mapping[str, object]
    tasks: tuple[PlannedTask, ...]
    notes: tuple[str, ...] = ()
    collisions: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unsupported: Mapping[Kind, int] = field(default_factory=dict)
    known: Mapping[str, int] = field(default_factory=dict)

    def of_kind(self, kind: Kind) -> list[PlannedTask]:
        """Return the tasks that copy objects of a kind."""
        return [it for it in self.tasks if it.ref.kind is kind and not it.ref.deletes]

    def containers(self) -> list[PlannedTask]:
        """Return the tasks of experiments, which hold what was tracked."""
        return self.of_kind(Kind.EXPERIMENT)

    def counts(self) -> dict[Heading, Counter[Action]]:
        """Count the objects per heading and action."""
        table: dict[Heading, Counter[Action]] = {}
        for task in self.tasks:
            table.setdefault(task.ref.heading, Counter())[task.action] += task.count
        return table


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTotals:
    """How the objects of one kind stand; ``found`` is the sum of the others and of ``pending``."""

    found: int
    done: int
    failed: int
    blocked: int
    skipped: int
    pending: int
    wrote: int = 0
    bytes_sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A task that failed: its error and what to do; ``blocks`` counts tasks it holds up."""

    ref: Ref
    name: str
    error: str
    hint: str = ""
    blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a migration stands or ended: the source of the final table, ``status`` and JSON.

    ``losses`` pairs a ref with a loss. ``blocked`` names for each task that is held up the failed
    one that does it. ``unknown`` is what could not be learned of the two ends.
    ``straight`` has for each side the files that went past its server, straight from or to its
    storage. ``complete`` is False when anything failed, is blocked, is pending, was lost, is not
    known, or is of a kind that is not copied; the exit code follows from it.
    """

    migration_id: str
    source: Side
    target: Side
    totals: Mapping[Heading, KindTotals]
    failures: tuple[Failure, ...]
    losses: tuple[tuple[Ref, str, Loss], ...]
    warnings: tuple[tuple[Ref, str], ...]
    unsupported: Mapping[Kind, int]
    bytes_sent: int
    seconds: float
    interrupted: bool = False
    unknown: tuple[str, ...] = ()
    blocked: Mapping[Ref, Ref] = field(default_factory=dict)
    straight: Mapping[str, Files] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True when every object found arrived whole, or was left out by the user."""
        unfinished = any(t.failed or t.blocked or t.pending for t in self.totals.values())
        return not (
            unfinished or self.losses or self.interrupted or self.unsupported or self.unknown
        )
