"""Carries out batches in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from migrate import worker
from migrate.endpoints.addresses import Address
from migrate.outcomes import Outcome
from migrate.shares import SharingThreads
from migrate.tasks.batches import Batch
from migrate.tasks.side_by_side import spread_over


class SerialExecutor(Executor):
    """Runs each call at once in the calling thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn`` and return a finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as problem:
            future.set_exception(problem)
        return future


class LocalExecutor:
    """Carries out batches in ``threads``; without any, each in the thread that brings it.

    As many threads write what the batches have read, whichever of them has something to write.
    """

    distant = False
    looks = False

    def __init__(self, target: Address, threads: int) -> None:
        self._target = target
        self.at_once = max(1, threads)
        self.spreads = threads > 1
        self._draining = threading.Event()
        self._reading = threading.Lock()
        self._writers = SharingThreads(self.at_once, thread_name_prefix="writer")
        self._executor: Executor = (
            ThreadPoolExecutor(threads, thread_name_prefix="worker")
            if threads
            else SerialExecutor()
        )

    def submit(self, batch: Batch) -> Future[list[Outcome]]:
        """See ``BatchExecutor.submit``."""
        return self._executor.submit(self._carry_out, batch)

    def _carry_out(self, batch: Batch) -> list[Outcome]:
        if not self.spreads:
            return worker.execute(batch)
        with spread_over(self._writers, self.at_once, self._draining, self._reading):
            return worker.execute(batch)

    def drain(self) -> None:
        """See ``BatchExecutor.drain``."""
        self._draining.set()

    def transferred(self) -> int:
        """See ``BatchExecutor.transferred``."""
        return worker.target_at(self._target).artifacts.transferred

    def close(self) -> None:
        """See ``BatchExecutor.close``."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._writers.shutdown(wait=True)
