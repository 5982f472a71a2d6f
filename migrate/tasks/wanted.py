"""What a copy should be, and what that depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.stores import R, Store
from migrate.kinds import Ref
from migrate.outcomes import Loss
from migrate.tasks.batches import Policy
from migrate.tasks.fingerprint import FORMAT, digest_of


class Need(NamedTuple):
    """Another object that one names: an edge of the plan, taken along, rewritten in the copy.

    ``why`` says what the other is to it, in words before its ref. A ``soft`` one only has to have
    ended before. One that is not ``along`` stays out of the plan where it is not selected.
    """

    ref: Ref
    why: str
    soft: bool = False
    along: bool = True


class Wanted(NamedTuple, Generic[R]):
    """What a copy should be, and what of its original cannot be in it."""

    record: R
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a copy is made, and what decides how: the target's store, and the user's choices.

    ``copies`` are the ids of the copies of what its original names, as far as they have any.
    """

    store: Store[Any]
    target: Capabilities
    policy: Policy
    copies: Mapping[Ref, str]


def mark_of(digest: str, needs: Iterable[Need], has_copy: Callable[[Ref], bool]) -> str:
    """Return the mark of a complete copy: of what its original holds, and which needs are missing.

    They count, so that a copy is completed when what it names arrives later.
    """
    missing = {str(need.ref) for need in needs if not need.soft and not has_copy(need.ref)}
    return FORMAT + digest_of([digest, sorted(missing)])
