"""Tries at several objects of a batch, side by side where the batch may use more than its thread.

A batch reads in bulk, so it should be large; what it writes goes object by object, and may be
spread over threads that all batches of this process share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Threads(NamedTuple):
    pool: Executor
    number: int


_threads: ContextVar[_Threads | None] = ContextVar("threads", default=None)


@contextmanager
def spread_over(pool: Executor, number: int) -> Iterator[None]:
    """Have what this thread does side by side done by the ``number`` threads of ``pool``.

    Elsewhere, one thing is done after the other.
    """
    token = _threads.set(_Threads(pool, number))
    try:
        yield
    finally:
        _threads.reset(token)


def side_by_side(tries: Iterable[T], carry_out: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Yield each of ``tries`` with what came of it, in the order in which they end.

    No more are taken than there are threads, so the next are read while these are written. When
    ``tries`` or one of them raises, that is raised when those under way have been yielded.
    """
    threads = _threads.get()
    if threads is None:
        for one in tries:
            yield one, carry_out(one)
        return
    under_way: dict[Future[R], T] = {}

    def ended(at_most: int) -> Iterator[tuple[T, R]]:
        while len(under_way) > at_most:
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                yield under_way.pop(future), future.result()

    try:
        try:
            for one in tries:
                under_way[threads.pool.submit(carry_out, one)] = one
                yield from ended(threads.number - 1)
        except Exception:
            yield from ended(0)
            raise
        yield from ended(0)
    finally:
        wait(under_way)
