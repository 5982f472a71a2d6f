"""Plays a whole migration on this machine: planned, killed half-way, resumed, repeated, verified.

Every command is the real one, in a process of its own, and its line is printed before it runs.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from rich.console import Console

from migrate.demo.samples import write_samples
from migrate.demo.server import HOST, TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.protocols import Target
from migrate.errors import EXIT_ERROR, EXIT_OK, MigrateError, UsageError
from migrate.views.layout import result_console, say
from migrate.views.words import counted

EXPORT = "export"
#: Folders of the exported tree that are shown, and entries of one folder.
SHOWN_DEPTH = 4
SHOWN_ENTRIES = 3


class _Unexpected(MigrateError):
    """A command of the demo did not end as it should have."""

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(f"`{line}` ended with exit code {exit_code}")
        self.exit_code = exit_code or EXIT_ERROR


def play(directory: Path | None) -> int:
    """Play the demo in ``directory``, which must be new or empty; None: in one thrown away after.

    Returns 0, and only when the comparison at the end found no difference. Raises ``UsageError``
    for a directory with something in it, ``ServerDidNotStart``, and an error with the exit code
    of the first command that did not end as it should have; Ctrl-C ends it with a
    KeyboardInterrupt. No server outlives the call.
    """
    began = time.monotonic()
    story = _Story(result_console())
    with _unwound_by_interrupt(), ExitStack() as opened:
        if directory is None:
            folder = TemporaryDirectory(prefix="mlflow-migrate-demo-", ignore_cleanup_errors=True)
            directory = Path(opened.enter_context(folder))
        elif directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise UsageError(
                f"{directory} is not empty", "give --directory a new name, or leave it out"
            )
        opened.enter_context(_clean_environment())
        source, target = _start_servers(directory, opened, story)
        verdict = _Walkthrough(directory.absolute(), source, target, story).walk()
    story.end(f"{verdict} (The demo took {time.monotonic() - began:.0f} s.)")
    return EXIT_OK


class _Story:
    """What is told between the outputs of the commands, on stdout like theirs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def chapter(self, text: str) -> None:
        """Say what comes next, and why."""
        self._say(f"\n# {text}", "bold")

    def command(self, line: str) -> None:
        """Show a command line that is about to run."""
        self._say(f"\n$ {line}", "bold cyan")

    def lines(self, *texts: str) -> None:
        """Show plain lines."""
        for text in texts:
            self._say(text)

    def end(self, text: str) -> None:
        """Say how all of it went."""
        self._say(f"\n{text}", "bold green")

    def _say(self, text: str, style: str = "") -> None:
        say(self._console, text, style)
        # The commands write to the same place, past this console.
        self._console.file.flush()


@contextmanager
def _unwound_by_interrupt() -> Iterator[None]:
    """Let Ctrl-C stop the servers before this process ends, not some moments after it."""

    def stop(number: int, frame: FrameType | None) -> None:
        sys.stderr.write("Interrupted: stopping the servers.\n")
        signal.default_int_handler(number, frame)

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _clean_environment() -> Iterator[None]:
    """Keep settings for other servers, and proxies, away from this process and its commands."""
    saved = dict(os.environ)
    for name in saved:
        if name.startswith(("MLFLOW_", "MIGRATE_")):
            del os.environ[name]
    os.environ |= {"NO_PROXY": HOST, "no_proxy": HOST}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _start_servers(directory: Path, opened: ExitStack, story: _Story) -> tuple[str, str]:
    """Start source and target, fill the source, and return their tracking URIs."""
    story.chapter("Starting two tracking servers, which takes them ten seconds or more.")
    servers = [TrackingServerProcess(directory=directory / name) for name in ("source", "target")]
    for server in servers:
        opened.callback(server.stop)
    with ThreadPoolExecutor(len(servers)) as pool:
        for started in [pool.submit(server.start) for server in servers]:
            started.result()
    source, target = (server.uri for server in servers)
    story.lines(f"source {source}", f"target {target}")
    story.chapter("Writing a few months of sample work to the source.")
    write_samples(source)
    return source, target


class _Walkthrough:
    """The commands in their order, all run in ``directory``."""

    def __init__(self, directory: Path, source: str, target: str, story: _Story) -> None:
        self._directory = directory
        self._source = source
        self._target = target
        self._story = story

    def walk(self) -> str:
        """Run everything and return the last line of the comparison of the two servers."""
        ends = (self._source, self._target)
        tell = self._story.chapter
        tell("What would be copied? Nothing is written yet.")
        self._migrate("plan", *ends, "--include-deleted")

        tell("Copy, slowly enough to be killed in the middle of it (kill -9).")
        self._killed_run("run", *ends, "--max-requests-per-second", "20")

        tell("What does the state database know of that?")
        self._migrate("status")
        tell("Go on from there.")
        self._migrate("run", "--resume")
        tell("Once more from the start: there is nothing left to do.")
        self._migrate("run", *ends, "--include-deleted")

        tell("The same into a directory: a backup, or the way to a server out of reach.")
        export = ("export-all", "--source", self._source, "--output-dir", EXPORT)
        self._migrate(*export, "--export-deleted-runs", "--use-threads", "--quiet")
        self._show_tree()
        self._migrate("verify")

        tell("Read both servers in full, every file too, and compare.")
        return self._migrate("verify", *ends, "--include-deleted", "--contents")

    def _migrate(self, *arguments: str) -> str:
        """Run a command to its end and return its last line. Raises ``_Unexpected``."""
        line = self._announce(arguments)
        done = subprocess.run(
            _command(arguments), cwd=self._directory, stdout=subprocess.PIPE, text=True, check=False
        )
        self._story.lines(*done.stdout.splitlines())
        if done.returncode != EXIT_OK:
            raise _Unexpected(line, done.returncode)
        return done.stdout.strip().rpartition("\n")[2]

    def _killed_run(self, *arguments: str) -> None:
        """Run a command, and kill it once a third of the runs have reached the target."""
        line = self._announce(arguments)
        with (
            subprocess.Popen(_command(arguments), cwd=self._directory) as process,
            ExitStack() as opened,
        ):
            opened.callback(process.kill)
            source, target = self._open(self._source, opened), self._open(self._target, opened)
            third = _count_runs(source) // 3
            there = 0
            while process.poll() is None and there < third:
                time.sleep(0.05)
                there = _count_runs(target)
            process.kill()
        if process.returncode == EXIT_OK:
            self._story.lines("It was done before it could be killed.")
        elif process.returncode < 0:
            found = counted(_count_runs(target), "run")
            self._story.lines("", f"Killed: {found} on the target, some of them half-made.")
        else:
            raise _Unexpected(line, process.returncode)

    @staticmethod
    def _open(uri: str, opened: ExitStack) -> Target:
        server = open_target(Address(uri=uri, side="target"))
        opened.callback(server.close)
        return server

    def _show_tree(self) -> None:
        tree = _tree(self._directory / EXPORT, SHOWN_DEPTH)
        self._story.lines("", f"{EXPORT}/", *(f"  {text}" for text in tree))

    def _announce(self, arguments: Sequence[str]) -> str:
        """Show a command line and return it."""
        line = shlex.join(["migrate", *arguments])
        self._story.command(line)
        return line


def _count_runs(server: Target) -> int:
    """Count the runs of a server, deleted ones too."""
    ids = [experiment.experiment_id for experiment in server.experiments.list()]
    return sum(1 for _ in server.runs.list(ids))


def _tree(folder: Path, depth: int) -> Iterator[str]:
    """Yield a folder's entries, indented below each other; of many, the first few."""
    entries = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
    for path in entries[:SHOWN_ENTRIES]:
        yield path.name + "/" * path.is_dir()
        if path.is_dir() and depth > 1:
            yield from (f"  {text}" for text in _tree(path, depth - 1))
    if len(entries) > SHOWN_ENTRIES:
        yield f"... and {len(entries) - SHOWN_ENTRIES} more"


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "migrate", *arguments]
