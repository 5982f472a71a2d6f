"""Tries at several objects of a batch, side by side where the batch may use more than its thread.

A batch reads in bulk, so it should be large; what it writes goes object by object, and may be
spread over threads that all batches of this process share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Lock
from typing import NamedTuple, TypeVar

from migrate.errors import Unavailable

#: Seconds that a batch waits at most while another reads: over a long way reads may take longer.
PATIENCE = 1.0

T = TypeVar("T")
R = TypeVar("R")


class NotBegun(Unavailable):
    """What is left of a batch is not begun any more."""


class _Threads(NamedTuple):
    pool: Executor
    number: int
    draining: Event
    reading: Lock


_threads: ContextVar[_Threads | None] = ContextVar("threads", default=None)


@contextmanager
def spread_over(pool: Executor, number: int, draining: Event, reading: Lock) -> Iterator[None]:
    """Have what this thread does side by side done by the ``number`` threads of ``pool``.

    Once ``draining`` is set, no more is begun. Elsewhere, one thing is done after the other.
    Batches that share ``reading`` read in turn, see ``reading_in_turn``.
    """
    token = _threads.set(_Threads(pool, number, draining, reading))
    try:
        yield
    finally:
        _threads.reset(token)


def side_by_side(tries: Iterable[T], carry_out: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Yield each of ``tries`` with what came of it, in the order in which they end.

    No more are taken than there are threads, so the next are read while these are written. When
    ``tries`` or one of them raises, that is raised when those under way have been yielded; so is
    ``NotBegun`` for those that are left when nothing more is to be begun.
    """
    threads = _threads.get()
    if threads is None:
        for one in tries:
            yield one, carry_out(one)
        return
    under_way: dict[Future[R], T] = {}
    problems: list[BaseException] = []

    def begun(one: T) -> R:
        if threads.draining.is_set():
            raise NotBegun("not begun: the migration was interrupted")
        return carry_out(one)

    def ended(at_most: int) -> Iterator[tuple[T, R]]:
        while len(under_way) > at_most:
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                one, problem = under_way.pop(future), future.exception()
                if problem is None:
                    yield one, future.result()
                else:
                    problems.append(problem)

    try:
        try:
            for one in tries:
                under_way[threads.pool.submit(begun, one)] = one
                yield from ended(threads.number - 1)
                if problems:
                    break
        except Exception as problem:
            problems.append(problem)
        yield from ended(0)
    finally:
        wait(under_way)
    if problems:
        raise problems[0]


@contextmanager
def reading_in_turn() -> Iterator[None]:
    """Read in the block while no other batch of this process does, or after ``PATIENCE``.

    So what one has read is written while the next reads. All at once would keep a server busy with
    reads, and nothing would be there to write.
    """
    threads = _threads.get()
    if threads is None or not threads.reading.acquire(timeout=PATIENCE):
        yield
        return
    try:
        yield
    finally:
        threads.reading.release()
