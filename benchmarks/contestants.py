"""Who is measured, and how: every contestant is a command, timed from its start to its end."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.peer import PEERS
from benchmarks.process import Done, run
from benchmarks.stage import Contents, Stage, contents_of


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One timed step: `step` is `floor total`, `ours run`, `peer import` ...

    `to_source` and `to_target` count the requests that the servers answered meanwhile. `load` is
    the load average of the minute before: what else the machine was doing. `copied` is what the
    target held afterwards, where the step filled it; `problem` says why the seconds are not those
    of a whole copy.
    """

    step: str
    seconds: float
    to_source: int
    to_target: int
    load: float
    copied: Contents | None = None
    problem: str | None = None


#: How many processes, or workers of a cluster, are measured.
EXECUTOR_PROCESSES = (2, 4)

Contestant = Callable[[Stage, int], Iterator[Measurement]]


def floor(stage: Stage, workers: int) -> Iterator[Measurement]:
    """Copy with the floor; the start of the interpreter counts in each of its three figures."""
    stage.empty_target()
    command = [sys.executable, "-m", "benchmarks.floor", stage.source_uri, stage.target_uri]
    total, done = _timed(stage, "floor total", [*command, "--workers", f"{workers}"])
    if done.failure:
        raise RuntimeError(f"The floor was not reached: {done.failure}")
    phases = json.loads(done.output)
    start = done.seconds - phases["reading"] - phases["writing"]
    reading, writing = start + phases["reading"], start + phases["writing"]
    yield replace(total, step="floor reading", seconds=reading, to_target=0, copied=None)
    yield replace(total, step="floor writing", seconds=writing, to_source=0)
    yield total


def ours(stage: Stage, workers: int) -> Iterator[Measurement]:
    """Copy with `migrate run`: server to server, then through an export directory."""
    with tempfile.TemporaryDirectory(dir=stage.directory) as name:
        export = str(Path(name) / "export")
        routes = (
            ("ours run", stage.source_uri, stage.target_uri),
            ("ours export", stage.source_uri, export),
            ("ours import", export, stage.target_uri),
        )
        for step, source, target in routes:
            stage.empty_target()
            command = migrate_command(source, target, Path(name) / f"{step}.db", workers)
            yield _measured(stage, step, command)


def executors(stage: Stage, workers: int) -> Iterator[Measurement]:
    """Copy from server to server with other processes of this machine, and with a Dask cluster.

    The cluster runs already, with two or four workers of one thread or more: all have `workers`.
    """
    # What this process holds counts as that of every command: see `process.run`.
    from tests.clusters import Cluster

    with tempfile.TemporaryDirectory(dir=stage.directory) as name:
        directory = Path(name)
        for number in EXECUTOR_PROCESSES:
            stage.empty_target()
            state = directory / f"processes-{number}.db"
            command = migrate_command(stage.source_uri, stage.target_uri, state, workers)
            yield _measured(stage, f"processes {number}", [*command, "--processes", f"{number}"])
        for number in EXECUTOR_PROCESSES:
            folder = directory / f"dask-{number}"
            folder.mkdir()
            with Cluster(folder, workers=number, threads=-(-workers // number)) as cluster:
                stage.empty_target()
                command = migrate_command(
                    stage.source_uri, stage.target_uri, folder / "state.db", workers
                )
                yield _measured(stage, f"dask {number}", [*command, "--dask", cluster.address])


def databases(stage: Stage, workers: int) -> Iterator[Measurement]:
    """Copy with `migrate run` out of the source's database: to the server, then to a database."""
    with tempfile.TemporaryDirectory(dir=stage.directory) as name:
        directory = Path(name)
        stage.empty_target()
        command = from_database_command(stage, None, directory / "1.db", workers)
        yield _measured(stage, "database to server", command)
        copy = directory / "copy"
        command = from_database_command(stage, copy, directory / "2.db", workers)
        yield _timed(stage, "database to database", command, into=copy)[0]


def from_database_command(stage: Stage, into: Path | None, state: Path, workers: int) -> list[str]:
    """Copy everything from the source's database: into a new one in a folder, or to the target."""
    source, target = f"sqlite:///{stage.source.directory / 'mlflow.db'}", stage.target_uri
    files = ["--source-artifacts", str(stage.source.directory / "artifacts")]
    if into is not None:
        into.mkdir()
        target = f"sqlite:///{into / 'mlflow.db'}"
        files += ["--target-artifacts", str(into / "artifacts")]
    return [*migrate_command(source, target, state, workers), *files]


def migrate_command(source: str, target: str, state: Path, workers: int) -> list[str]:
    """Copy everything from `source` to `target`, with nothing remembered of earlier copies."""
    options = ["--state", str(state), "--workers", f"{workers}"]
    return [sys.executable, "-m", "migrate", "run", source, target, *options]


def other_tool(name: str, stage: Stage, workers: int) -> Iterator[Measurement]:
    """Copy with another tool, which chooses the number of its threads by itself."""
    peer = PEERS[name]
    with tempfile.TemporaryDirectory(dir=stage.directory) as folder:
        directory = Path(folder)
        export, import_ = peer.export_command(directory), peer.import_command(directory)
        yield _measured(stage, f"{name} export", export, stage.source_uri)
        stage.empty_target()
        yield _measured(stage, f"{name} import", import_, stage.target_uri)


CONTESTANTS: dict[str, Contestant] = {
    "floor": floor,
    "ours": ours,
    "databases": databases,
    "executors": executors,
    **{name: partial(other_tool, name) for name in PEERS},
}


def _measured(
    stage: Stage, step: str, command: list[str], tracking_uri: str | None = None
) -> Measurement:
    return _timed(stage, step, command, tracking_uri)[0]


def _timed(
    stage: Stage,
    step: str,
    command: list[str],
    tracking_uri: str | None = None,
    into: Path | None = None,
) -> tuple[Measurement, Done]:
    """Measure a command; ``into`` is the directory of what it fills, where that is no server's."""
    load = os.getloadavg()[0]
    source_before, target_before = stage.requests()
    done = run(command, tracking_uri)
    source_after, target_after = stage.requests()
    copied, problem = None, done.failure
    if not step.endswith("export"):
        copied = contents_of(into or stage.target.directory)
        problem = problem or stage.difference(copied)
    measurement = Measurement(
        step=step,
        seconds=done.seconds,
        to_source=source_after - source_before,
        to_target=target_after - target_before,
        load=load,
        copied=copied,
        problem=problem,
    )
    return measurement, done
