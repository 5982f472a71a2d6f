"""`python -m benchmarks`: the floor, this tool and another one, on one machine at one time."""

from __future__ import annotations

import compileall
import json
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.contestants import CONTESTANTS, Measurement
from benchmarks.peer import PEERS
from benchmarks.process import run
from benchmarks.report import Repeat, Report, show
from benchmarks.stage import PROJECT, SERVER_WORKERS, Stage, open_stage
from benchmarks.workload import Workload, seed

_progress = Console(stderr=True, highlight=False)


def main(
    *,
    latency_ms: Annotated[float, typer.Option(min=0, help="Added each way to both servers.")] = 0,
    repeat: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 3,
    only: Annotated[str, typer.Option(help="Who is measured.")] = ",".join(CONTESTANTS),
    workers: Annotated[int, typer.Option(min=1, help="Of the floor and of `migrate`.")] = 8,
    experiments: Annotated[int, typer.Option(min=1)] = Workload.experiments,
    runs: Annotated[int, typer.Option(min=1)] = Workload.runs,
    metrics: Annotated[int, typer.Option(min=0, help="Per run.")] = Workload.metrics,
    points: Annotated[int, typer.Option(min=1, help="Per metric.")] = Workload.points,
    params: Annotated[int, typer.Option(min=0, help="Per run.")] = Workload.params,
    artifacts: Annotated[int, typer.Option(min=0, help="Per run.")] = Workload.artifacts,
    artifact_bytes: Annotated[int, typer.Option(min=0)] = Workload.artifact_bytes,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Copy a history between two real servers, and compare what the copying tools take."""
    names = only.split(",")
    if unknown := set(names) - CONTESTANTS.keys():
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: not one of {', '.join(CONTESTANTS)}"
        )
    workload = Workload(
        experiments=experiments,
        runs=runs,
        metrics=metrics,
        points=points,
        params=params,
        artifacts=artifacts,
        artifact_bytes=artifact_bytes,
    )
    _prepare(names)
    with open_stage(latency_ms) as stage:
        _progress.print(f"Seeding {workload}")
        seed(stage.source.uri, workload)
        _warm_up(stage)
        repeats = [_measure(stage, workers, names, number) for number in range(repeat)]
    title = f"{workload}; {SERVER_WORKERS} server workers, {workers} workers, +{latency_ms:g} ms"
    settings = {**asdict(workload), "latency_ms": latency_ms, "workers": workers}
    settings |= {"server_workers": SERVER_WORKERS}
    report = Report(title, settings, repeats)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        show(report, Console())
    if report.problems():
        raise typer.Exit(1)


def _prepare(names: list[str]) -> None:
    """Do once what would otherwise fall to the first to be measured."""
    for name in PEERS.keys() & set(names):
        PEERS[name].build()
    for directory in (Path(sysconfig.get_path("purelib")), *map(PROJECT.joinpath, _PACKAGES)):
        compileall.compile_dir(directory, quiet=2)


_PACKAGES = ("benchmarks", "migrate", "state")


def _warm_up(stage: Stage) -> None:
    """Let both servers import and connect what they do at their first requests."""
    done = run([sys.executable, "-m", "benchmarks.floor", stage.source.uri, stage.target.uri])
    if done.failure:
        raise RuntimeError(f"The servers could not be warmed up: {done.failure}")


def _measure(stage: Stage, workers: int, names: list[str], number: int) -> Repeat:
    """Measure everybody once, in the opposite order every other time."""
    taken: list[Measurement] = []
    for name in reversed(names) if number % 2 else names:
        for measurement in CONTESTANTS[name](stage, workers):
            _progress.print(
                f"{number + 1}: {measurement.step} {measurement.seconds:.1f} s", style="dim"
            )
            taken.append(measurement)
    return {measurement.step: measurement for measurement in taken}


if __name__ == "__main__":
    typer.run(main)
