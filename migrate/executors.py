"""Where batches run: every engine is a ``concurrent.futures.Executor``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any


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


def open_executor(name: str, workers: int) -> Executor:
    """Return the executor called ``name``: ``threads`` or ``serial``."""
    if name == "serial":
        return SerialExecutor()
    return ThreadPoolExecutor(workers, thread_name_prefix="worker")
