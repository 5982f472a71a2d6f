"""Two tracking servers to copy between: real `mlflow server`s with two workers each."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.latency import LatencyProxy
from migrate.demo.server import TrackingServerProcess, copy_database

PROJECT = Path(__file__).resolve().parent.parent
#: Environments and empty databases that are kept from one invocation to the next.
KEPT = PROJECT / ".servers"
SERVER_WORKERS = 2


@dataclass(frozen=True)
class Contents:
    """What a server holds, counted in its database and its artifact directory."""

    runs: int
    points: int
    params: int
    files: int

    def __str__(self) -> str:
        return (
            f"{self.runs:,} runs, {self.points:,} points, "
            f"{self.params:,} params, {self.files:,} files"
        )


class Stage:
    """A source, and a target that can be emptied; the URIs lead through the proxies, if any."""

    def __init__(self, directory: Path, latency_ms: float, running: contextlib.ExitStack) -> None:
        self.directory = directory
        self.source = running.enter_context(_server(directory / "source"))
        self.target = running.enter_context(_server(directory / "target"))
        self.source_uri, self.target_uri = self.source.uri, self.target.uri
        if latency_ms:
            to_source = running.enter_context(LatencyProxy(self.source_uri, latency_ms))
            to_target = running.enter_context(LatencyProxy(self.target_uri, latency_ms))
            self.source_uri, self.target_uri = to_source.uri, to_target.uri
        self._empty = directory / "empty.db"
        copy_database(self.target.directory / "mlflow.db", self._empty)

    def empty_target(self) -> None:
        """Take everything from the target while it runs, so that all find it equally warm."""
        copy_database(self._empty, self.target.directory / "mlflow.db")
        shutil.rmtree(self.target.directory / "artifacts", ignore_errors=True)

    def requests(self) -> tuple[int, int]:
        """Return how many requests source and target have answered, by their access logs."""
        return _answered(self.source), _answered(self.target)

    def difference(self, copied: Contents) -> str | None:
        """Return what was copied if it is not as much as the source holds."""
        wanted = contents_of(self.source.directory)
        return None if copied == wanted else f"copied {copied} of {wanted}"


@contextlib.contextmanager
def open_stage(latency_ms: float = 0) -> Iterator[Stage]:
    """Start both servers on empty databases, `latency_ms` away each way; stop them at the end."""
    with contextlib.ExitStack() as running:
        directory = running.enter_context(tempfile.TemporaryDirectory(prefix="migrate-bench-"))
        yield Stage(Path(directory), latency_ms, running)


def _answered(server: TrackingServerProcess) -> int:
    return server.log.read_bytes().count(b' HTTP/1.1" ')


def contents_of(directory: Path) -> Contents:
    """Count what a server holds that has `mlflow.db` and `artifacts/` there, without asking it."""
    with contextlib.closing(sqlite3.connect(directory / "mlflow.db")) as database:
        runs, points, params = (
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("runs", "metrics", "params")
        )
    artifacts = os.walk(directory / "artifacts")
    return Contents(runs, points, params, sum(len(files) for _, _, files in artifacts))


def _server(directory: Path) -> TrackingServerProcess:
    return TrackingServerProcess(
        directory=directory, workers=SERVER_WORKERS, empty_databases=KEPT / "empty-databases"
    )
