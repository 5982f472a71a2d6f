"""Asks side by side what steps of the planner need one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from migrate.shares import SharingThreads

T = TypeVar("T")


class Ahead:
    """Calls that are made before the step that needs what they return.

    Over a long way the first requests of a plan take longest while they wait for each other, and
    few of them have to. Which call is meant is said by the function and what it is given.
    """

    def __init__(self, at_once: int) -> None:
        self._threads = SharingThreads(max(1, at_once), thread_name_prefix="ahead")
        self._begun: dict[object, Future[Any]] = {}

    def begin(self, call: Callable[..., Any], *given: object) -> None:
        """Begin a call that a later step takes; one that is begun already is not begun again."""
        key = (call, given)
        if key not in self._begun:
            self._begun[key] = self._threads.submit(call, *given)

    def take(self, call: Callable[..., T], *given: object) -> T:
        """Return what a call returns, or raise what it raises; it is made now unless it was begun.

        It can be taken once: whoever asks again wants to know what is there by then.
        """
        begun = self._begun.pop((call, given), None)
        if begun is None:
            return call(*given)
        answer: T = begun.result()
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is under way; what nobody took is begun no more."""
        self._threads.shutdown(cancel_futures=True)
