"""Finds out which of several things sent together a server refuses, so that the others arrive.

MLflow refuses a whole request for one member of it, and does not always say for which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from migrate.errors import MigrateError, Refused, ServerFault
from migrate.outcomes import Loss

#: How often a request is sent that a server fails at (500), with pauses: for many members, where
#: halves of them are tried next, and for one.
FAULT_TRIES = 2
FAULT_TRIES_ALONE = 4
#: After so many names were refused, and nothing taken, it is not the members that are at fault.
NOTHING_TAKEN = 20
#: After so many members of a name were refused, and none taken, others of it are not sent.
MOST_OF_A_NAME = 10

Member = TypeVar("Member")


def deliver(
    send: Callable[[Sequence[Member], int], object],
    members: Sequence[Member],
    name: Callable[[Member], str],
) -> list[tuple[str, MigrateError]]:
    """Send members together, and where that is refused in halves; return what was refused.

    That is the ``name`` of each and the server's words; all others have arrived. ``send`` gets
    some members and how often to try where the server answers 500; it must be harmless to repeat,
    and to call with no members, which tells a server that is out of order. Raises what ``send``
    raises otherwise, and the refusal where a server takes nothing.
    """
    refused: dict[str, list[MigrateError]] = {}
    taken: set[str] = set()
    parts = [members] if members else []
    while parts:
        part = parts.pop()
        hopeless = {of for of, all_of in refused.items() if len(all_of) >= MOST_OF_A_NAME} - taken
        for member in part if hopeless else ():
            if name(member) in hopeless:
                refused[name(member)].append(refused[name(member)][-1])
        part = [member for member in part if name(member) not in hopeless] if hopeless else part
        if not part:
            continue
        try:
            send(part, FAULT_TRIES if len(part) > 1 else FAULT_TRIES_ALONE)
            taken.update(map(name, part))
            continue
        except (Refused, ServerFault) as problem:
            if isinstance(problem, ServerFault):
                send((), FAULT_TRIES)
            if len(part) == 1:
                refused.setdefault(name(part[0]), []).append(problem)
                if not taken and len(refused) == NOTHING_TAKEN:
                    raise
                continue
        half = len(part) // 2
        parts += [part[half:], part[:half]]
    return [(of, problem) for of, problems in refused.items() for problem in problems]


def deliver_singly(
    send: Callable[[Member, int], object],
    ask: Callable[[], object],
    members: Sequence[Member],
    name: Callable[[Member], str],
) -> tuple[Loss, ...]:
    """Send members that each have a request of their own; return those refused, as losses.

    ``send`` is as in ``deliver``, ``ask`` is a request by which a server that is out of order shows
    itself.
    """

    def send_all(some: Sequence[Member], fault_tries: int) -> None:
        for member in some:
            send(member, fault_tries)
        if not some:
            ask()

    return refusals(deliver(send_all, members, name))


def refusals(refused: Iterable[tuple[str, MigrateError]]) -> tuple[Loss, ...]:
    """Return what was refused as losses by name, with the server's words for the first of each."""
    words: dict[str, list[MigrateError]] = {}
    for name, problem in refused:
        words.setdefault(name, []).append(problem)
    return tuple(
        Loss(
            name,
            (f"{len(problems)} times " if len(problems) > 1 else "")
            + f"refused by the target: {problems[0]}",
        )
        for name, problems in words.items()
    )
