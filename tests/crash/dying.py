"""``migrate``, killing itself at a moment that no request marks.

``main_and_die`` takes ``MOMENT N ARGUMENTS...``: it dies the Nth time (from 1) that MOMENT comes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy import Engine, event

from migrate.cli import main
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.directory.indexes import publishing
from migrate.endpoints.directory.native.replacing import PartialCopy
from migrate.endpoints.tracking.server import TrackingServer
from state.store import StateStore


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(owner: object, method: str, nth: int) -> None:
    """Dies when a method is called for the nth time."""
    _on_nth_call(owner, method, nth, die)


def die_inside_commit(owner: object, method: str, nth: int) -> None:
    """Dies in the transaction of the nth call of a method: all is executed, nothing committed."""
    _on_nth_call(owner, method, nth, lambda: event.listen(Engine, "commit", die))


def _on_nth_call(owner: object, method: str, nth: int, act: Callable[[], Any]) -> None:
    calls = count(1)
    original = getattr(owner, method)

    def counted(*args: Any, **options: Any) -> Any:
        if next(calls) == nth:
            act()
        return original(*args, **options)

    setattr(owner, method, counted)


def die_at_a_transaction(nth: int, *, committed: bool) -> None:
    """Dies at the nth transaction on a target: all is executed, and committed or not."""
    calls = count(1)
    original = WrittenDatabase.transaction

    @contextmanager
    def counted(self: WrittenDatabase) -> Iterator[Transaction]:
        dies = next(calls) == nth
        with original(self) as transaction:
            yield transaction
            if dies and not committed:
                die()
        if dies:
            die()

    WrittenDatabase.transaction = counted  # type: ignore[method-assign]


MOMENTS: dict[str, Callable[[int], None]] = {
    "before-plan-is-saved": lambda nth: die_before(StateStore, "save_plan", nth),
    "saving-plan": lambda nth: die_inside_commit(StateStore, "save_plan", nth),
    "marking-start": lambda nth: die_inside_commit(StateStore, "mark_started", nth),
    "before-record": lambda nth: die_before(StateStore, "record", nth),
    "inside-record": lambda nth: die_inside_commit(StateStore, "record", nth),
    "before-publish": lambda nth: die_before(TrackingServer, "publish", nth),
    "before-clearing-up": lambda nth: die_before(PartialCopy, "clear", nth),
    "before-index": lambda nth: die_before(ExportDirectory, "publish", nth),
    "writing-rows": lambda nth: die_at_a_transaction(nth, committed=False),
    "rows-written": lambda nth: die_at_a_transaction(nth, committed=True),
    "before-last-index": lambda nth: die_before(publishing, "write_experiments_file", nth),
}


def main_and_die() -> None:
    MOMENTS[sys.argv[1]](int(sys.argv[2]))
    del sys.argv[1:3]
    main()
