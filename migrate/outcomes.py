"""What is said of tasks and objects in plain values: what came of them, was lost, or left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple

from migrate.kinds import Ref
from migrate.objects import Artifact, ArtifactRoot, Loss, LossCode
from migrate.values import value

__all__ = [
    "Difference",
    "LeftOut",
    "LeftOutCode",
    "Loss",
    "LossCode",
    "Outcome",
    "Part",
    "TaskStatus",
    "loss_from_stored",
    "loss_of",
    "loss_to_stored",
]

#: How the reasons begin of losses from which something follows.
_BEGINNINGS = {
    LossCode.NOT_DELIVERED: "not delivered by the source",
    LossCode.NOT_LISTED: "not listed by the source",
    LossCode.NOT_WHOLE: "its history could not be read whole",
    LossCode.LASTING: "differs on the target, which lets nobody undo it",
}


def loss_of(code: LossCode, what: str, detail: object) -> Loss:
    """Return a loss with the words that its code stands for, and the ``detail`` behind them."""
    return Loss(what, f"{_BEGINNINGS[code]}: {detail}", code)


def loss_to_stored(loss: Loss) -> list[str]:
    """Return a loss as state databases, tags of copies and exports keep it."""
    return [loss.what, loss.reason, *([loss.code.value] if loss.code else [])]


def loss_from_stored(stored: object) -> Loss:
    """Read back what ``loss_to_stored`` wrote. Raises ``ValueError`` for anything else.

    Losses that were stored before they had codes tell theirs by how the reason begins.
    """
    if not isinstance(stored, list) or len(stored) not in (2, 3):
        raise ValueError(f"{str(stored)[:100]!r} is no loss")
    what, reason, *code = map(str, stored)
    if code:
        return Loss(what, reason, LossCode(code[0]))
    known = (it for it, beginning in _BEGINNINGS.items() if reason.startswith(beginning))
    return Loss(what, reason, next(known, LossCode.OTHER))


class LeftOutCode(Enum):
    """What leaves an object out of a plan."""

    NOT_SELECTED = "not selected"  #: no choice names it: what is selected may still need it
    DELETED = "deleted"  #: deleted ones are not taken along
    FILTERED = "filtered"  #: its time, stage or number
    CONTAINER = "container"  #: what holds it is left out
    KIND = "kind"  #: of this kind, such ones are not copied
    NOT_LISTED = "not listed"  #: the source names it and does not list it


class LeftOut(NamedTuple):
    """Why an object is left out of a plan, for the code and for people."""

    code: LeftOutCode
    text: str


class TaskStatus(StrEnum):
    """Where a task stands. The last four are final for one ``migrate run``."""

    PENDING = "pending"  #: not started, or to be tried again
    DONE = "done"  #: the target holds the object, complete
    FAILED = "failed"  #: it ended in an error; ``--resume`` tries it again
    BLOCKED = "blocked"  #: something it needs has failed
    SKIPPED = "skipped"  #: the plan leaves it out, with a reason


class Difference(NamedTuple):
    """What differs between an object, ``ref``, and its copy, and in which way.

    ``lasting``: a client of the target cannot undo it. Not ``of_copy`` is what is missing, double
    or a fault of the source. ``written_with`` is the object whose task writes it, where that is
    another one.
    """

    ref: Ref
    what: str
    detail: str
    lasting: bool = False
    of_copy: bool = True
    written_with: Ref | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some ``files`` of the object ``of``, which is begun, and where they are and go."""

    of: Ref
    source_root: ArtifactRoot
    target_root: ArtifactRoot
    files: tuple[Artifact, ...]


@value
class Outcome:
    """The end of one attempt at one task.

    ``target_id`` is set as soon as the copy's id is known, also when the attempt failed.
    ``mark`` is the fingerprint of what was copied. ``bytes_sent`` counts artifact bytes;
    ``wrote`` is False when the copy was complete already. ``error`` is empty on success;
    with ``retryable`` the scheduler tries again, no sooner than ``retry_after`` seconds; with
    ``stops`` no other task can do better, so nothing new is begun; with ``refused`` no other
    attempt can, so what only waited for its turn goes on. A task may stand for ``count`` objects;
    where it ``wrote``, so many were ``written``.

    Where an attempt ended to have the files sent in ``parts``, another follows when all of them
    have ended, each with an outcome ``of_part``. ``straight`` says which files of its batch went
    past a server, see ``migrate.straight``.
    """

    ref: Ref
    status: TaskStatus
    target_id: str = ""
    mark: str = ""
    wrote: bool = False
    bytes_sent: int = 0
    files_sent: int = 0
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    hint: str = ""
    retryable: bool = False
    stops: bool = False
    refused: bool = False
    retry_after: float | None = None
    seconds: float = 0.0
    count: int = 1
    written: int = 1
    parts: tuple[Part, ...] = ()
    of_part: bool = False
    straight: tuple[str, ...] = ()
