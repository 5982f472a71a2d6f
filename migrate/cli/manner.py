"""Declares the six commands, each with the options that all of them have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from migrate.cli import bulk_options as bulk
from migrate.cli import options
from migrate.cli.app import EPILOG, app
from migrate.cli.flags import FlagsWithValues
from migrate.cli.groups import expanded
from migrate.errors import UsageError
from migrate.executors.chosen import Chosen, ExecutorName

DEFAULT_WORKERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a command works and shows what it does; each field is an option of all six."""

    use_threads: bulk.UseThreads = None
    workers: bulk.Workers = None
    executor: options.Executor = None
    processes: options.Processes = None
    dask: options.Dask = ""
    max_requests_per_second: options.MaxRequests = None
    state: options.State = str(options.DEFAULT_STATE)
    json: options.Json = False
    quiet: options.Quiet = False
    debug: options.Debug = False

    def at_a_time(self) -> int:
        """Return how many requests are under way at a time. Raises ``UsageError``."""
        if self.use_threads is False and (self.workers or 1) > 1:
            raise UsageError(
                f"--workers {self.workers} needs threads, and --use-threads is False",
                "leave out one of the two",
            )
        named = self._named()
        given = self.workers is not None or (named is not None and not named.is_serial)
        parallel = given if self.use_threads is None else self.use_threads
        return (self.workers or DEFAULT_WORKERS) if parallel else 1

    def chosen_executor(self) -> Chosen:
        """Return what carries out the tasks. Raises ``UsageError``."""
        named = self._named()
        if named is None:
            is_serial = self.at_a_time() == 1
            return Chosen(ExecutorName.SERIAL if is_serial else ExecutorName.THREADS)
        if self.use_threads is False and not named.is_serial:
            raise UsageError(
                "--use-threads False is one task after the other, and an executor is named",
                "leave out one of the two",
            )
        return named

    def _named(self) -> Chosen | None:
        """Return the executor that options name; None where none does. Raises ``UsageError``."""
        if self.executor is None and self.processes is None and not self.dask:
            return None
        return Chosen.of(self.executor, self.processes, self.dask)


def command(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command under these names; its flags may be followed by a boolean."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        for name in names:
            app.command(name, cls=FlagsWithValues, epilog=EPILOG)(expanded(function))
        return function

    return register
