"""`python -m benchmarks.memory`: what a copy takes at its peak, whatever it copies.

Three sources: one small run, one artifact of 2 GB, one run of a million metric points. Each is
copied by `migrate run` server to server, to an export directory, from it, and from the source's
database into another. A peak that grows
with the source would show as a difference to the small run.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.contestants import from_database_command, migrate_command
from benchmarks.process import Done, run
from benchmarks.stage import Stage, contents_of, open_stage
from benchmarks.wire import Wire
from benchmarks.workload import START_MS

_progress = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Peak:
    """The largest resident set of a `migrate run`; `problem` says why it is not of a whole copy."""

    case: str
    route: str
    peak_bytes: int
    seconds: float
    problem: str | None = None


def main(
    *,
    artifact_bytes: Annotated[int, typer.Option(min=1)] = 2_000_000_000,
    points: Annotated[int, typer.Option(min=1, help="In ten metrics of one run.")] = 1_000_000,
    workers: Annotated[int, typer.Option(min=1)] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Measure the peak memory of `migrate run` with a large artifact and a long metric history."""
    cases: dict[str, Callable[[Stage, str], None]] = {
        "small run": lambda stage, run_id: None,
        f"artifact of {artifact_bytes:,} bytes": lambda stage, run_id: _add_artifact(
            stage, run_id, artifact_bytes
        ),
        f"{points:,} metric points": lambda stage, run_id: _add_points(stage, run_id, points),
    }
    peaks = []
    for case, prepare in cases.items():
        with open_stage() as stage:
            prepare(stage, _small_run(stage.source.uri))
            for peak in _measure(stage, case, workers):
                _progress.print(f"{case}, {peak.route}: {_mb(peak.peak_bytes)}", style="dim")
                peaks.append(peak)
    if as_json:
        print(json.dumps([asdict(peak) for peak in peaks], indent=2))
    else:
        _show(peaks, Console())
    if any(peak.problem for peak in peaks):
        raise typer.Exit(1)


def _small_run(uri: str) -> str:
    server = Wire(uri)
    experiment_id = server.post("experiments/create", {"name": "memory"})["experiment_id"]
    run = {"experiment_id": experiment_id, "run_name": "run", "start_time": START_MS}
    run_id: str = server.post("runs/create", run)["run"]["info"]["run_id"]
    server.post("runs/log-batch", {"run_id": run_id, "params": [{"key": "p", "value": "1"}]})
    server.post("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": START_MS + 1})
    return run_id


def _add_artifact(stage: Stage, run_id: str, size: int) -> None:
    """Put a file that takes no space on the disk among the artifacts of the run."""
    run = Wire(stage.source.uri).get_json("/api/2.0/mlflow/runs/get", {"run_id": run_id})["run"]
    below_root = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    path = stage.source.directory / "artifacts" / below_root / "large.bin"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(size)


def _add_points(stage: Stage, run_id: str, points: int) -> None:
    """Insert the history into the database itself: a thousand requests would take minutes."""
    keys = [f"metric-{number}" for number in range(10)]
    rows = ((keys[i % 10], i * 0.5, START_MS + i, run_id, i // 10) for i in range(points))
    database = stage.source.directory / "mlflow.db"
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.executemany(
            'INSERT INTO metrics ("key", value, timestamp, run_uuid, step, is_nan) '
            "VALUES (?, ?, ?, ?, ?, 0)",
            rows,
        )
        connection.execute(
            'INSERT INTO latest_metrics ("key", value, timestamp, step, is_nan, run_uuid) '
            # Of the columns beside max(), SQLite takes the row that has the maximum.
            'SELECT "key", value, timestamp, max(step), is_nan, run_uuid FROM metrics '
            'WHERE run_uuid = ? GROUP BY "key"',
            (run_id,),
        )


def _measure(stage: Stage, case: str, workers: int) -> Iterator[Peak]:
    with tempfile.TemporaryDirectory(dir=stage.directory) as name:
        export = str(Path(name) / "export")
        routes = {
            "server to server": (stage.source.uri, stage.target.uri),
            "export": (stage.source.uri, export),
            "import": (export, stage.target.uri),
        }
        for route, (source, target) in routes.items():
            stage.empty_target()
            done = run(migrate_command(source, target, Path(name) / f"{route}.db", workers))
            filled = stage.target.directory if target == stage.target.uri else None
            yield _peak(stage, case, route, done, filled)
        copy = Path(name) / "copy"
        done = run(from_database_command(stage, copy, Path(name) / "databases.db", workers))
        yield _peak(stage, case, "between databases", done, copy)


def _peak(stage: Stage, case: str, route: str, done: Done, filled: Path | None) -> Peak:
    problem = done.failure
    if filled is not None:
        problem = problem or stage.difference(contents_of(filled))
    return Peak(case, route, done.peak_bytes, done.seconds, problem)


def _mb(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


def _show(peaks: list[Peak], console: Console) -> None:
    table = Table("source", "route", title="Peak resident set of `migrate run`")
    for heading in ("peak", "above the small run", "seconds"):
        table.add_column(heading, justify="right")
    small = {peak.route: peak.peak_bytes for peak in peaks if peak.case == peaks[0].case}
    for peak in peaks:
        above = peak.peak_bytes - small[peak.route]
        figures = (_mb(peak.peak_bytes), _mb(above), f"{peak.seconds:.0f}")
        table.add_row(peak.case, peak.route, *figures)
    console.print(table)
    for peak in peaks:
        if peak.problem:
            what = escape(f"{peak.case}, {peak.route}: {peak.problem}")
            console.print(f"[red]Not a whole copy:[/] {what}")


if __name__ == "__main__":
    typer.run(main)
