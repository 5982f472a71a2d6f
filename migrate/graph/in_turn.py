"""Makes calls by several threads, a few ahead of whoever takes what they return."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

#: Calls under way or done and not yet taken, for each thread: more would fill the memory.
AHEAD = 3

T = TypeVar("T")


def in_turn(workers: int, calls: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield what the calls return, in their order; only so many are under way at a time."""
    workers = max(1, workers)
    under_way: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for call in calls:
            under_way.append(pool.submit(call))
            if len(under_way) > workers * AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
