"""How many tags and params go into one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from migrate.origins import bookkeeping

#: Of params and tags, so that a whole batch stays below 1 MB: MLflow's servers do not insist on
#: it, Databricks does.
BATCH_BYTES = 700_000
MARK_BYTES = 1000


def tags_to_begin_with(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a create carries: those it is found by, and others while there is room.

    A request is cut to the same size whether it makes or fills; the rest is written after it.
    """
    ours = bookkeeping(tags)
    others = {key: value for key, value in tags.items() if key not in ours}
    room = BATCH_BYTES - MARK_BYTES - sum(map(size_of, ours.items()))
    chosen = ours | first_of(others.items(), len(others), room)
    return {key: value for key, value in tags.items() if key in chosen}


def params_to_begin_with(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Return the params for which a create has room beside its ``tags``."""
    room = BATCH_BYTES - MARK_BYTES - sum(map(size_of, tags.items()))
    return first_of(params.items(), len(params), room)


def in_requests(values: Mapping[str, str]) -> Iterator[list[tuple[str, str]]]:
    """Yield tags or params in lists, each of which one request has room for."""
    left = dict(values)
    while left:
        chosen = first_of(left.items(), len(left), BATCH_BYTES)
        yield list(chosen.items())
        for key in chosen:
            del left[key]


def first_of(values: Iterable[tuple[str, str]], most: int, room: int) -> dict[str, str]:
    """Return the first of some params or tags: up to ``most``, and ``room`` bytes of JSON."""
    chosen: dict[str, str] = {}
    for item in values:
        room -= size_of(item)
        if len(chosen) == most or room < 0:
            break
        chosen[item[0]] = item[1]
    return chosen


def size_of(item: tuple[str, str]) -> int:
    """Return about how many bytes of JSON a param or tag takes: an escape is six for a letter.

    Never more than ``BATCH_BYTES``: what is too long for that goes alone, for the server to judge.
    """
    text = "".join(item)
    return min(BATCH_BYTES, 30 + len(text) * (1 if text.isascii() else 6))
