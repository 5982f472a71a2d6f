"""One migration between two proxies, as tests start, break and resume it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from migrate.endpoints.directory.layout import LOCK_FILE
from state.store import StateStore
from tests.comparison import ORIGIN, Server, differences
from tests.conftest import StartMigrate
from tests.faults import ANY, Fault, Faults, Match, on_nth
from tests.processes import MigrateProcess
from tests.proxy import Proxy
from tests.seed import Source

#: Seconds a command may take before the test gives up on it.
PATIENCE = 150


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @classmethod
    def of(cls, process: MigrateProcess) -> Self:
        code = process.wait(PATIENCE)
        return cls(code, process.stdout_file.read_text(), process.stderr_file.read_text())


@dataclass(kw_only=True)
class Migration:
    """Copies what a test seeded, deleted things included, with a state in the test's directory."""

    seeded: Source
    source: Proxy
    target: Proxy
    directory: Path
    starter: StartMigrate
    workers: int = 4
    #: The command that runs now, or ran last.
    process: MigrateProcess | None = None
    kills: int = field(default=0)

    @property
    def state(self) -> Path:
        return self.directory / ".migrate" / "state.db"

    @property
    def selection(self) -> list[str]:
        return ["--experiments", f"{self.seeded.seeded.prefix}*", "--include-deleted"]

    # -- commands ---------------------------------------------------------------------------

    def start(self, *args: str) -> MigrateProcess:
        """Starts a command that copies, plans or verifies."""
        self.process = self.starter(*args, "--workers", str(self.workers))
        return self.process

    def start_run(self, *options: str) -> MigrateProcess:
        """Starts a migration that plans first, or again."""
        return self.start("run", self.source.uri, self.target.uri, *self.selection, *options)

    def start_resume(self, *options: str) -> MigrateProcess:
        return self.start("run", "--resume", *options)

    def run(self, *options: str) -> Ended:
        return Ended.of(self.start_run(*options))

    def resume(self, *options: str) -> Ended:
        return Ended.of(self.start_resume(*options))

    def plan(self, *options: str) -> Ended:
        selected = (self.source.uri, self.target.uri, *self.selection, *options)
        return Ended.of(self.start("plan", *selected))

    def verify(self) -> Ended:
        selected = (self.source.uri, self.target.uri, *self.selection, "--contents")
        return Ended.of(self.start("verify", *selected))

    def forget(self) -> None:
        """Loses the state database."""
        shutil.rmtree(self.state.parent)

    def through(self, name: str) -> Export:
        """The same migration by way of an export directory."""
        return Export(migration=self, path=self.directory / name)

    # -- accidents --------------------------------------------------------------------------

    def kill(self) -> None:
        assert self.process is not None
        self.process.signal_group(signal.SIGKILL)

    def kill_at(self, match: Match, nth: int, fault: Fault, *, proxy: Proxy | None = None) -> None:
        """Has a request of the next command meet ``fault``, which is to call ``kill``."""
        (proxy or self.target).faults = Faults(on_nth(match, nth, fault))

    def heal(self) -> None:
        """No request meets a fault any more."""
        self.source.faults = self.target.faults = Faults()

    def await_kill(self, *, heal: bool = True) -> bool:
        """Waits for the end; says whether it was the kill, and then checks that the state opens.

        Any other end than that or success is an error. With ``heal`` no fault is left.
        """
        assert self.process is not None
        ended = Ended.of(self.process)
        if ended.code == 0:
            return False
        assert ended.code == -signal.SIGKILL, ended
        self.kills += 1
        if heal:
            self.heal()
        check_states(self.state.parent)
        return True

    def run_and_die(self, moment: str, nth: int, *args: str) -> None:
        """Runs a command that kills itself at a moment of its own, see ``tests.crash.dying``."""
        words = (moment, str(nth), *args, "--workers", str(self.workers))
        self.process = self.starter(*words, entry="tests.crash.dying:main_and_die")
        ended = self.process.ended(PATIENCE)
        assert ended.returncode == -signal.SIGKILL, ended
        self.kills += 1
        check_states(self.state.parent)

    # -- what came of it --------------------------------------------------------------------

    def differences(self) -> list[str]:
        """How the target differs from the source, copies made twice included."""
        return differences(
            _upstream(self.source),
            _upstream(self.target),
            experiments=list(self.seeded.seeded.names.values()),
        )

    def complete(self, ended: Ended) -> None:
        """Checks that a command ended well and left a whole copy, and each object once."""
        assert ended.code == 0, ended
        found = self.differences()
        assert not found, "\n".join(found)
        assert not self.source.writes()

    def copies(self) -> dict[str, list[dict[str, Any]]]:
        """The copies of runs on the target, as their info and their tags, by origin."""
        found: dict[str, list[dict[str, Any]]] = {}
        with Server(_upstream(self.target)) as server:
            ids = [experiment["experiment_id"] for experiment in server.experiments().values()]
            for run in server.runs(*ids):
                tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
                if ORIGIN in tags:
                    found.setdefault(tags[ORIGIN], []).append({**run["info"], "tags": tags})
        return found


@dataclass(frozen=True, kw_only=True)
class Export:
    """A migration in two steps: to a directory, and from it."""

    migration: Migration
    path: Path

    def export_args(self) -> list[str]:
        migration = self.migration
        ends = [migration.source.uri, str(self.path)]
        return ["run", *ends, *migration.selection, *self._state("export")]

    def import_args(self) -> list[str]:
        ends = [str(self.path), self.migration.target.uri]
        return ["run", *ends, "--include-deleted", *self._state("import")]

    def export(self) -> Ended:
        return Ended.of(self.migration.start(*self.export_args()))

    def import_(self) -> Ended:
        return Ended.of(self.migration.start(*self.import_args()))

    def resume_export(self) -> Ended:
        return Ended.of(self.migration.start("run", "--resume", *self._state("export")))

    def resume_import(self) -> Ended:
        return Ended.of(self.migration.start("run", "--resume", *self._state("import")))

    def carry(self) -> Ended:
        """Exports, and imports when that went well."""
        ended = self.export()
        return self.import_() if ended.code == 0 else ended

    def files(self) -> dict[str, int]:
        """The files in the directory, but for its lock, and when each was written, in ns."""
        files = (path for path in self.path.rglob("*") if path.is_file())
        found = (path for path in files if path.name != LOCK_FILE)
        return {str(path.relative_to(self.path)): path.stat().st_mtime_ns for path in found}

    @staticmethod
    def _state(name: str) -> list[str]:
        return ["--state", f".migrate/{name}.db"]


def _upstream(proxy: Proxy) -> str:
    return proxy.upstream.geturl()


def check_states(directory: Path) -> None:
    """Checks that the state databases in a directory are whole and open for writing."""
    found = list(directory.glob("*.db"))
    assert found
    for path in found:
        _check_state(path)


def _check_state(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    StateStore.open(path, must_exist=True).close()


def paths(proxy: Proxy, pattern: str, methods: Sequence[str] = ("POST", "PUT")) -> list[str]:
    """The paths of the requests that fit and reached the server."""
    return [
        exchange.path
        for exchange in proxy.requests
        if exchange.method in methods
        and exchange.fits((ANY[0], pattern))
        and exchange.server_status is not None
    ]
