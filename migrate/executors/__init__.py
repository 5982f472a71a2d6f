"""Where batches are carried out: in this process, in others of this machine, on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable

from migrate.executors.chosen import Chosen, ExecutorName
from migrate.executors.local import LocalExecutor
from migrate.executors.protocol import BatchExecutor, WorkersLost
from migrate.executors.setup import Setup

__all__ = ["BatchExecutor", "Chosen", "ExecutorName", "Setup", "WorkersLost", "open_executor"]


def open_executor(
    chosen: Chosen, setup: Setup, at_once: int, prepare: Callable[[], None]
) -> BatchExecutor:
    """Open what carries out at most ``at_once`` batches at a time.

    ``prepare`` is called first in every process that is started from here. Raises ``UsageError``
    where it cannot be opened.
    """
    match chosen.name:
        case ExecutorName.SERIAL:
            return LocalExecutor(setup.target, 0)
        case ExecutorName.THREADS:
            return LocalExecutor(setup.target, at_once)
        case ExecutorName.PROCESSES:
            from migrate.executors.processes import ProcessExecutor

            return ProcessExecutor(
                setup, processes=chosen.processes, at_once=at_once, prepare=prepare
            )
        case ExecutorName.DASK:
            from migrate.executors.cluster import DaskExecutor

            return DaskExecutor(setup, address=chosen.address, at_once=at_once)
