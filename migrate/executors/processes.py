"""Carries out batches in other processes of this machine.

Each has one pipe to the process that was started, and ends with it: nothing is created for a
migration that was killed. The batches of one that died are lost, and another takes its place.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from migrate import worker
from migrate.executors.distant import DistantExecutor
from migrate.executors.protocol import WorkersLost
from migrate.executors.setup import Setup, carry_out, install, transferred_here
from migrate.outcomes import Outcome
from migrate.shares import Share
from migrate.tasks.batches import Batch

log = logging.getLogger(__name__)

#: So many processes in a row that die before they are ready end the migration.
MOST_STILLBORN = 3
#: Seconds between two words of a process on how many bytes it has sent.
BYTES_EVERY = 0.25
#: Seconds in which a process has to end when it is asked to.
FAREWELL = 10.0

Prepare = Callable[[], None]
_spawning = multiprocessing.get_context("spawn")


class WorkerDied(Exception):
    """A process ended with the batch that it had."""


class _Process:
    """One of the processes: its pipe, the batches that it has, and how it ended."""

    def __init__(self, setup: Setup, threads: int, prepare: Prepare) -> None:
        self._pipe, theirs = _spawning.Pipe()
        args = (theirs, setup, threads, prepare)
        self._process = _spawning.Process(target=_serve, args=args, daemon=True)
        self._process.start()
        theirs.close()
        self._numbers = 0
        self._under_way: dict[int, Future[list[Outcome]]] = {}
        self._changing = threading.Lock()
        self.transferred = 0
        self.was_ready = False
        self.ended = False

    @property
    def load(self) -> int:
        """The number of batches that it has."""
        return len(self._under_way)

    def send(self, batch: Batch, share: Share, future: Future[list[Outcome]]) -> bool:
        """Give it a batch; say whether that was possible."""
        with self._changing:
            if self.ended:
                return False
            self._numbers += 1
            number = self._numbers
            self._under_way[number] = future
            try:
                self._pipe.send((number, batch, share))
            except OSError:  # it died just now; who reads its pipe finds out too
                return self._under_way.pop(number, None) is None
        return True

    def listen(self) -> None:
        """Take what it says until it ends; then its batches are lost."""
        try:
            while True:
                self._hear(*self._pipe.recv())
        except (EOFError, OSError):
            pass
        finally:
            with self._changing:
                self.ended = True
                lost = list(self._under_way.values())
                self._under_way.clear()
            self._pipe.close()
            for future in lost:
                future.set_exception(WorkerDied("a process of this migration died"))
            self._process.join(FAREWELL)

    def _hear(self, number: int, said: Any) -> None:
        if number:
            with self._changing:
                future = self._under_way.pop(number)
            if isinstance(said, Exception):
                future.set_exception(said)
            else:
                future.set_result(said)
        else:
            self.was_ready = True
            self.transferred = said

    def farewell(self) -> None:
        """Ask it to end when its batches have ended."""
        with self._changing:
            if not self.ended:
                try:
                    self._pipe.send(None)
                except OSError:
                    log.debug("a process had ended before it was asked to")

    def wait(self) -> None:
        """Wait until it has ended; kill it where it does not."""
        self._process.join(FAREWELL)
        if self._process.is_alive():
            self._process.kill()


class ProcessExecutor(DistantExecutor):
    """Carries out batches in ``processes``, so many at a time that all together have ``at_once``.

    ``prepare`` is called in each before all else: it says where a process logs to.
    """

    def __init__(self, setup: Setup, *, processes: int, at_once: int, prepare: Prepare) -> None:
        super().__init__(setup, at_once)
        self.at_once = self._most
        self._number = min(processes, self.at_once)
        self._threads = -(-self.at_once // self._number)
        self._prepare = prepare
        self._stillborn = 0
        self._closing = False
        self._bytes_of_ended = 0
        self._places = threading.Lock()
        self._processes = [self._started() for _ in range(self._number)]

    def _started(self) -> _Process:
        process = _Process(self.setup, self._threads, self._prepare)
        threading.Thread(target=self._attend, args=(process,), name="process", daemon=True).start()
        return process

    def _attend(self, process: _Process) -> None:
        """Listen to a process until it ends, then put another in its place."""
        process.listen()
        with self._places:
            self._processes.remove(process)
            self._bytes_of_ended += process.transferred
            self._stillborn = 0 if process.was_ready else self._stillborn + 1
            if self._closing or self._stillborn >= MOST_STILLBORN:
                return
            log.warning("a process of this migration died; another takes its place")
            self._processes.append(self._started())

    def _send(self, batch: Batch, share: Share) -> Future[list[Outcome]]:
        future: Future[list[Outcome]] = Future()
        with self._places:
            by_load = sorted(self._processes, key=lambda process: process.load)
        if not any(process.send(batch, share, future) for process in by_load):
            future.set_exception(
                WorkersLost(
                    "the processes of this migration die before they do anything",
                    "is there memory enough? Try --processes 1, or --executor threads",
                )
                if not by_load
                else WorkerDied("all processes of this migration died just now")
            )
        return future

    def transferred(self) -> int:
        """See ``BatchExecutor.transferred``."""
        with self._places:
            return self._bytes_of_ended + sum(it.transferred for it in self._processes)

    def close(self) -> None:
        """See ``BatchExecutor.close``."""
        with self._places:
            self._closing = True
            left = list(self._processes)
        for process in left:
            process.farewell()
        for process in left:
            process.wait()
        super().close()


def _serve(pipe: Connection, setup: Setup, threads: int, prepare: Prepare) -> None:
    """Carry out batches that come through a pipe, until it is closed or says so."""
    # A Ctrl-C is for the process that was started, which lets batches end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    install(setup)
    sending = threading.Lock()
    ended = threading.Event()

    def say(number: int, said: Any) -> None:
        with sending:
            pipe.send((number, said))

    def tell_bytes() -> None:
        last = 0
        say(0, last)
        while not ended.wait(BYTES_EVERY):
            now = transferred_here(setup)
            if now != last:
                say(0, now)
                last = now

    def one(number: int, batch: Batch, share: Share) -> None:
        try:
            said: Any = carry_out(setup.session, batch, share, lambda: True)
        except Exception as problem:
            said = WorkerDied(f"{type(problem).__name__} in a process of this migration")
        say(0, transferred_here(setup))
        say(number, said)

    threading.Thread(target=tell_bytes, daemon=True).start()
    with ThreadPoolExecutor(threads, thread_name_prefix="worker") as pool:
        try:
            while (sent := pipe.recv()) is not None:
                pool.submit(one, *sent)
        except (EOFError, OSError):
            # Whoever started this process is gone: nothing more is to be created.
            os._exit(1)
    ended.set()
    say(0, transferred_here(setup))
    worker.close_endpoints()
