"""A Dask cluster of this machine: a scheduler and workers in processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
from distributed import Client

from migrate.demo.server import HOST
from tests.processes import spawned_by

#: Seconds a scheduler or worker may take to start.
PATIENCE = 60.0


class Cluster:
    """Starts and stops a scheduler, and ``workers`` of ``threads`` each; what they say is kept.

    Workers are ``watched_over``, as on a real cluster: one that is killed is started again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        workers: int = 2,
        threads: int = 2,
        patience_with_workers: str = "300s",
        watched_over: bool = True,
    ) -> None:
        self.directory = directory
        self.port, self._dashboard = _free_port(), _free_port()
        self._threads = threads
        self._workers = workers
        self._nanny = () if watched_over else ("--no-nanny",)
        self._variables = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": patience_with_workers}
        self._processes: list[subprocess.Popen[bytes]] = []
        #: Variables that scheduler and workers do not get.
        self.without: tuple[str, ...] = ("MIGRATE_", "MLFLOW_")

    @property
    def address(self) -> str:
        return f"tcp://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self.start_scheduler()
        for _ in range(self._workers):
            self.start_worker()
        self._await(lambda: len(self.workers()) == self._workers)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)

    def start_scheduler(self) -> None:
        address = ("--host", HOST, "--port", str(self.port))
        dashboard = ("--dashboard-address", f"{HOST}:{self._dashboard}")
        self.scheduler = self._start("scheduler", *address, *dashboard)
        self._await(lambda: "Scheduler at" in self.said("scheduler"))

    def start_worker(self) -> subprocess.Popen[bytes]:
        scratch = ("--local-directory", str(self.directory / "scratch"))
        options = ("--nthreads", str(self._threads), "--no-dashboard", "--death-timeout", "60")
        return self._start("worker", self.address, *options, *scratch, *self._nanny, "--host", HOST)

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *arguments]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(self.without)}
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=kept | self._variables
            )
        self._processes.append(process)
        return process

    def _await(self, happened: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < until, self.said("scheduler") + self.said("worker")
            time.sleep(0.1)

    def said(self, name: str) -> str:
        """What the scheduler or the workers have logged."""
        return (self.directory / f"{name}.log").read_text()

    def workers(self) -> dict[str, int]:
        """The process of every worker by its address, as the scheduler knows them."""
        with Client(self.address, set_as_default=False, timeout=PATIENCE) as client:
            return dict(client.run(os.getpid))

    def processes(self) -> list[psutil.Process]:
        """The processes of the workers, those that watch over them left out."""
        alive = (it for it in self._processes if it is not self.scheduler and it.poll() is None)
        return [child for it in alive for child in spawned_by(it.pid)]

    def stop_the_busy_one(self) -> int:
        """Have the process of a worker that has something to do stand still; return its id."""
        with Client(self.address, set_as_default=False, timeout=PATIENCE) as client:
            busy = next(worker for worker, keys in client.processing().items() if keys)
            process: int = client.run(os.getpid, workers=[busy])[busy]
        os.kill(process, signal.SIGSTOP)
        return process

    def pages(self) -> str:
        """What the scheduler's own web pages say of workers, and of the tasks that they have."""
        with Client(self.address, set_as_default=False, timeout=PATIENCE) as client:
            keys = [key for keys in client.processing().values() for key in keys]
        found = [self._page("info/main/workers.html"), self._page("json/identity.json")]
        for key in keys:
            found.append(self._page(f"info/task/{key}.html"))
            found.append(self._page(f"info/call-stack/{key}.html"))
        return "".join(found)

    def _page(self, path: str) -> str:
        """A page of the scheduler; some of its own fail while a task moves on."""
        with suppress(HTTPError), self._opened(path) as page:
            text: str = page.read().decode()
            return text
        return ""

    def _opened(self, path: str) -> Any:
        return urlopen(f"http://{HOST}:{self._dashboard}/{path}", timeout=PATIENCE)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port
