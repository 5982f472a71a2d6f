"""Traces through an export directory: into it, and out of it into a server again."""

from __future__ import annotations

import json
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.conftest import ProxyFactory, RunMigrate, StartMigrate
from tests.faults import Faults, Match, call_after, on_nth
from tests.traces.comparison import comparable
from tests.traces.seed import BARE, SeededTraces, seed_traces
from tests.traces.test_servers import COUNT, Copying, ids_of_copies, remove_copies


@pytest.fixture(scope="module")
def seeded(source_server: TrackingServerProcess) -> SeededTraces:
    return seed_traces(source_server.uri, f"files-{uuid.uuid4().hex[:8]}")


class ThroughDirectory:
    """An export of what was seeded, and its import under names of its own."""

    def __init__(self, copying: Copying, run: RunMigrate, export: Path) -> None:
        self.seeded, self.copying, self._run, self.export = copying.seeded, copying, run, export
        names = (self.seeded.names["main"], self.seeded.names["deleted"])
        self.selected = ("--experiments", ",".join(names), "--include-deleted")

    def write(self, command: str = "run", *options: str) -> dict[str, Any]:
        ended = self._run(
            command, self.copying.source, self.export, *self.selected, "--json", *options
        )
        assert ended.stdout, ended.stderr
        report: dict[str, Any] = json.loads(ended.stdout)
        return report

    def read(self, command: str = "run", *options: str) -> dict[str, Any]:
        words = (*self.copying.words, "--json", *options)
        ended = self._run(command, self.export, self.copying.target, *words)
        assert ended.stdout, ended.stderr
        report: dict[str, Any] = json.loads(ended.stdout)
        return report

    @property
    def folder(self) -> Path:
        return self.export / self.seeded.experiment / "traces"


@pytest.fixture
def through(
    seeded: SeededTraces,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> ThroughDirectory:
    remove_copies(source_server.uri, target_server.uri, seeded)
    copying = Copying(seeded, source_server.uri, target_server.uri, run_migrate, tmp_path)
    return ThroughDirectory(copying, run_migrate, tmp_path / "export")


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder with its time and content."""
    return {
        it.relative_to(folder).as_posix(): (it.stat().st_mtime_ns, it.read_bytes())
        for it in folder.rglob("*")
        if it.is_file()
    }


def test_nothing_is_lost_on_the_way_through_a_directory(through: ThroughDirectory) -> None:
    report = through.write()
    assert report["totals"]["trace"]["done"] == COUNT + 1
    assert report["losses"] == []
    assert "trace" not in report["unsupported"]
    before = state_of(through.folder)
    again = through.write()
    assert again["totals"]["trace"]["wrote"] == 0
    assert state_of(through.folder) == before
    assert through.write("verify")["differences"] == []

    report = through.read()
    assert report["totals"]["trace"]["done"] == COUNT + 1
    assert report["losses"] == []
    copying = through.copying
    originals, copies, ids = copying.originals(), copying.copies(), ids_of_copies(copying)
    assert originals.keys() == copies.keys()
    for ident, original in originals.items():
        wanted, copy = comparable(original, ids), comparable(copies[ident], {})
        if ident.startswith(BARE):
            wanted["trace_metadata"].pop("mlflow.sourceRun")
            assert copy["tags"].pop("mlflow-migrate.source.sourceRun") == copying.seeded.runs[1]
        assert copy == wanted
    [[ident, forgotten]] = copying.originals("deleted").items()
    assert comparable(copying.copies("deleted")[ident], {}) == comparable(forgotten, {})
    assert through.read()["totals"]["trace"]["wrote"] == 0
    assert through.read("verify")["differences"] == []


WINDOWS: dict[str, Match] = {
    "its spans are read": ("GET", "/traces/batchGet"),
    "its files are listed": ("GET", "/mlflow-artifacts/artifacts$"),
    "a file of it is read": ("GET", "/mlflow-artifacts/artifacts/.*traces.json"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("window", WINDOWS)
def test_killed_while_it_is_written_it_goes_on(
    through: ThroughDirectory,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    window: str,
) -> None:
    proxy = proxy_factory(through.copying.source)
    killed = call_after(lambda: process.signal_group(signal.SIGKILL))
    proxy.faults = Faults(on_nth(WINDOWS[window], 1, killed))
    process = start_migrate("run", proxy.uri, through.export, *through.selected)
    assert process.wait(60) == -signal.SIGKILL
    proxy.faults = Faults()
    through.copying.source = proxy.uri
    assert through.write()["losses"] == []
    whole = {path.name for path in through.folder.iterdir() if path.is_dir()}
    assert len(whole) == COUNT
    assert not [name for name in whole if name.startswith(".")]
    before = state_of(through.folder)
    assert through.write()["totals"]["trace"]["wrote"] == 0
    assert state_of(through.folder) == before
    assert through.write("verify")["differences"] == []
