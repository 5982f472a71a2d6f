"""How copies are searched for by their origins, and told by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from migrate.endpoints.answers import Copy
from migrate.origins import ORIGIN

#: Of so many origins each is searched for; of more, all copies are.
FEW = 3

Copies = dict[str, list[Copy]]


def few_of(origins: Collection[str] | None) -> Collection[str] | None:
    """Return origins where they are few; None, which stands for all, otherwise."""
    return origins if origins is not None and len(origins) <= FEW else None


def conditions_for(origins: Collection[str] | None) -> Sequence[str]:
    """Return the conditions by which copies are searched for: those of a few origins, or all."""
    if origins is None:
        return [f"tags.`{ORIGIN}` LIKE '%'"]
    return [f"tags.`{ORIGIN}` = '{origin}'" for origin in origins]


def by_origin(copies: Iterable[Copy]) -> Copies:
    """Return copies by their origins, the one to adopt first."""
    found: Copies = {}
    for copy in copies:
        found.setdefault(copy.origin, []).append(copy)
    for alike in found.values():
        alike.sort(key=lambda copy: copy.rank)
    return found
