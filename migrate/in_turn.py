"""Makes calls by several threads, a few ahead of whoever takes what they return."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from migrate.shares import SharingThreads

#: Calls under way or done and not yet taken, for each thread: more would fill the memory.
AHEAD = 3

T = TypeVar("T")


def in_turn(
    workers: int, calls: Iterable[Callable[[], T]], *, ahead: int | None = None
) -> Iterator[T]:
    """Yield what the calls return, in their order; raise what one of them raises in its turn.

    At most ``ahead`` calls are begun beyond the one that is waited for: ``AHEAD`` for each of the
    ``workers``, where nothing is said. What has begun ends before
    this does, and once something was raised no more begins.
    """
    workers = max(1, workers)
    ahead = workers * AHEAD if ahead is None else ahead
    under_way: deque[Future[T]] = deque()
    with SharingThreads(workers) as pool:
        try:
            for call in calls:
                under_way.append(pool.submit(call))
                if len(under_way) > ahead:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
