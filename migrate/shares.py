"""What one batch may use of the requests that the user allows, where several processes work.

In one process all requests pass one limit. Processes on one or several machines cannot ask each
other before every request, so what is allowed is divided beforehand: the clock is cut into slots,
one request each, and of eight shares each owns every eighth. Who has the share of a batch is the
only one, so the sum is what the user allows, and a process that dies takes nothing along.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


#: After so many turns of all batches there is one slot for whoever does not work for one.
TURNS = 10
#: Requests a second that a batch can make use of: with less, fewer batches go at a time.
USEFUL = 10.0


class Share(NamedTuple):
    """Part ``number``, from 0, of ``of`` equal parts; part ``of`` is the small one besides."""

    number: int
    of: int

    def next_slot(self, now: float, interval: float, last: int) -> int:
        """Return the first slot of its own that is not over, after slot ``last``.

        Slots begin every ``interval`` seconds of the epoch; ``now`` is in seconds of it.
        """
        first = max(math.ceil(now / interval), last + 1)
        return next(slot for slot in itertools.count(first) if self._owns(slot))

    def _owns(self, slot: int) -> bool:
        turns = self.of * TURNS
        place = slot % (turns + 1)
        return (self.of if place == turns else place % self.of) == self.number


def useful_shares(most: int, per_second: float | None) -> int:
    """Return into how many shares, ``most`` at most, so many requests a second are divided."""
    return most if per_second is None else max(1, min(most, math.ceil(per_second / USEFUL)))


#: The share of the batch that a thread carries out.
_held: ContextVar[Share | None] = ContextVar("share", default=None)
#: That of all else this process asks for, while other processes carry out its batches.
_own: Share | None = None


def share_here() -> Share | None:
    """Return the share that requests of this thread use; None for all that is allowed."""
    return _held.get() or _own


@contextmanager
def holding(share: Share | None) -> Iterator[None]:
    """Have requests of this thread use ``share`` while the block lasts."""
    token = _held.set(share)
    try:
        yield
    finally:
        _held.reset(token)


def keep_to(share: Share | None) -> None:
    """Have all other requests of this process use ``share`` from now on."""
    global _own  # noqa: PLW0603  (one process, one share)
    _own = share


class SharingThreads(ThreadPoolExecutor):
    """Threads that work for a batch use its share."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See ``concurrent.futures.Executor.submit``."""
        return super().submit(copy_context().run, fn, *args, **kwargs)


class RateLimit:
    """Spaces the calls of all threads so that at most ``per_second`` start in a second."""

    def __init__(self, per_second: float | None) -> None:
        self._interval = 1.0 / per_second if per_second else 0.0
        self._next = 0.0
        self._slots: dict[Share, int] = {}
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Sleep until this call may start."""
        if not self._interval:
            return
        share = share_here()
        if share is None:
            with self._lock:
                start = max(time.monotonic(), self._next)
                self._next = start + self._interval
            time.sleep(max(0.0, start - time.monotonic()))
            return
        with self._lock:
            slot = share.next_slot(time.time(), self._interval, self._slots.get(share, -1))
            self._slots[share] = slot
        time.sleep(max(0.0, slot * self._interval - time.time()))


class Place:
    """One request of a side, which is under way until it is given back; whoever has it may send."""

    def __init__(self, gate: Gate, places: threading.BoundedSemaphore) -> None:
        self._gate = gate
        self._places = places

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have requests that this thread sends to the side meanwhile be this one."""
        token = _gates.set((*_gates.get(), self._gate))
        try:
            yield
        finally:
            _gates.reset(token)

    def give_back(self) -> None:
        """Let another request take its place; to be called once, by any thread."""
        self._places.release()


class Gate:
    """Lets so many requests be under way at a time, and one at a time of each share."""

    def __init__(self, most: int) -> None:
        self._all = threading.BoundedSemaphore(most)
        self._shares: dict[Share, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold what a request of this thread has to hold while it is under way."""
        if self in _gates.get():
            yield
            return
        with self._places():
            yield

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Wait for a place, and hold it until the block ends."""
        places = self._places()
        with places:
            yield Place(self, places)

    def take_now(self) -> Place | None:
        """Take a place where one is free at this moment.

        Whoever holds a place of one side while waiting for another's must not wait for more of the
        first: two that do so wait for each other.
        """
        places = self._places()
        return Place(self, places) if places.acquire(blocking=False) else None

    def _places(self) -> threading.BoundedSemaphore:
        share = share_here()
        if share is None:
            return self._all
        with self._lock:
            return self._shares.setdefault(share, threading.BoundedSemaphore(1))


class Limits:
    """What one side allows: ``most`` requests under way, ``per_second`` of them begun."""

    def __init__(self, most: int, per_second: float | None) -> None:
        self.gate = Gate(most)
        self.rate = RateLimit(per_second)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold one request from its turn on until the block ends."""
        self.rate.wait()
        with self.gate.one():
            yield


#: The gates that what this thread sends has passed already.
_gates: ContextVar[tuple[Gate, ...]] = ContextVar("gates", default=())
