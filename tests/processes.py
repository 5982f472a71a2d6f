"""``migrate`` as a process of its own that starts at once.

A new interpreter needs a second to import ``migrate``, and the tests start hundreds. Here one that
has imported it, and done nothing else, forks for every command: multiprocessing's fork server. The
process is real in all that tests do to it: it has its own session, environment, working directory
and output, is signalled and killed, and ends with its own exit code.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from migrate.cli.app import COMMANDS

ROOT = Path(__file__).parent.parent

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([f"migrate.cli.{module}" for module in COMMANDS])


class MigrateProcess:
    """A ``migrate`` that runs, in a process group of its own and with its output in files.

    ``entry`` is what it calls with ``args`` as its command line: ``module:function``.
    """

    def __init__(
        self,
        args: Sequence[str | Path],
        cwd: Path,
        env: Mapping[str, str] | None = None,
        entry: str = "migrate.cli:main",
    ) -> None:
        self.args = ["migrate", *map(str, args)]
        name = f"migrate-{uuid.uuid4().hex[:8]}"
        self.stdout_file = cwd / f"{name}.stdout"
        self.stderr_file = cwd / f"{name}.stderr"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        begun, begins = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_become,
            args=(entry, self.args, cwd, environment, self.stdout_file, self.stderr_file, begins),
        )
        with _importing_from(ROOT):
            self._process.start()
        begins.close()
        # Before that it has neither its process group nor its files.
        begun.recv()
        begun.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, ``-N`` after signal N, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end, returns the exit code; raises TimeoutExpired after ``timeout`` s."""
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def ended(self, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """Waits for the end and returns it with the output."""
        code = self.wait(timeout)
        stdout, stderr = self.stdout_file.read_text(), self.stderr_file.read_text()
        return subprocess.CompletedProcess(self.args, code, stdout, stderr)

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process; nothing happens if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def signal_group(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to all processes of the group; nothing happens if it has ended."""
        if self.poll() is None:
            os.killpg(self.pid, number)


def spawned_by(pid: int) -> list[psutil.Process]:
    """What multiprocessing has started for a process and for those below it, oldest first."""
    found = []
    for it in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if "spawn_main" in " ".join(it.cmdline()):
                found.append(it)
    return found


@contextmanager
def _importing_from(root: Path) -> Iterator[None]:
    """Has the fork server, which starts with the first process, import what is below ``root``."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(root)
    try:
        multiprocessing.forkserver.ensure_running()
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _become(
    entry: str,
    args: list[str],
    cwd: Path,
    environment: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    begins: Connection,
) -> None:
    """Runs in the new process: all that a shell would set up for a command, then the command."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, path, mode in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, flags),
        (2, stderr, flags),
    ):
        file = os.open(path, mode, 0o644)
        os.dup2(file, number)
        os.close(file)
    begins.send(None)
    begins.close()
    sys.argv = args
    module, _, function = entry.partition(":")
    getattr(importlib.import_module(module), function)()
