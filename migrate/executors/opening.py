"""Opens what carries out batches, and loads no other."""

from __future__ import annotations

from collections.abc import Callable

from migrate.executors.chosen import Chosen, ExecutorName
from migrate.executors.local import LocalExecutor
from migrate.executors.protocol import BatchExecutor
from migrate.executors.setup import Setup


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
