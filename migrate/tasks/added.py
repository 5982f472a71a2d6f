"""What was added to copies on their target, where it stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from migrate.objects import Loss
from migrate.records.mcp_servers import MCPServerVersion
from migrate.records.skills import SkillVersion

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V", SkillVersion, MCPServerVersion)


def joined(wanted: Mapping[K, T], copy: Mapping[K, T]) -> dict[K, T]:
    """Return what is wanted by its keys, with what only the copy has."""
    return {**copy, **wanted}


def joined_versions(
    wanted: Mapping[K, V], copy: Mapping[K, V], made_of: Callable[[V], object]
) -> tuple[dict[K, V], tuple[Loss, ...]]:
    """Return versions that are wanted by their numbers, with those that only the copy has.

    One of the copy that is made of something else stays in the other's place, which is a loss.
    Those that both have keep tags that were added.
    """
    found = joined(wanted, copy)
    losses = []
    for number in wanted.keys() & copy.keys():
        there, version = copy[number], wanted[number]
        if made_of(there) == made_of(version):
            found[number] = version._replace(tags=joined(version.tags, there.tags))
        else:
            found[number] = there
            losses.append(taken(number))
    return found, tuple(sorted(losses))


def taken(number: object, hint: str = "no version is ever made anew") -> Loss:
    """Return the loss of a version whose number another one of its copy has, or has had."""
    reason = f"its number is another one's on the copy, which stays as it is ({hint})"
    return Loss(f"version {number}", reason)
