"""`python -m benchmarks.costs`: the processor time that a server takes for each kind of request.

One request at a time, each `--times` times: what is left of a copy's time when everything else is
free. The server is the target of the other benchmarks, with runs like those of their workload.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import psutil
import typer

from benchmarks.floor import BULK_HISTORY, BULK_POINTS
from benchmarks.stage import Stage, open_stage
from benchmarks.wire import ARTIFACTS, Wire, artifact_path
from benchmarks.workload import START_MS, Workload, log_batches, points_of

Call = Callable[[int], object]


def main(
    *, times: Annotated[int, typer.Option(min=100, help="How often each is sent.")] = 100
) -> None:
    """Measure, and print milliseconds of processor time a request as JSON."""
    with open_stage() as stage:
        print(json.dumps(measured(stage, times), indent=2))


def measured(stage: Stage, times: int) -> dict[str, float]:
    """Return milliseconds by request, in the order in which a copy sends them."""
    server = Wire(stage.target.uri)
    experiment = server.post("experiments/create", {"name": "costs"})["experiment_id"]
    runs: list[dict[str, Any]] = []
    [filled] = log_batches(
        points_of(Workload(), START_MS), [{"key": f"p{n}", "value": f"{n}"} for n in range(20)]
    )

    def create(number: int) -> None:
        tags = [{"key": f"tag-{n}", "value": "text"} for n in range(7)]
        wanted = {"experiment_id": experiment, "start_time": START_MS + number, "tags": tags}
        runs.append(server.post("runs/create", wanted)["run"]["info"])

    def write(number: int) -> None:
        server.post("runs/log-batch", {"run_id": runs[number]["run_id"], **filled})

    def file(number: int) -> str:
        return artifact_path(runs[number]["artifact_uri"], "file.bin")

    def folder(number: int) -> str:
        return artifact_path(runs[number]["artifact_uri"], "").removeprefix(f"{ARTIFACTS}/")

    def end(number: int) -> None:
        info = {"run_id": runs[number]["run_id"], "status": "FINISHED", "end_time": START_MS}
        server.post("runs/update", info)

    def search(number: int) -> None:
        ids = ", ".join(f"'{run['run_id']}'" for run in runs[:25])
        wanted = {"experiment_ids": [experiment], "filter": f"attributes.run_id IN ({ids})"}
        server.post("runs/search", {**wanted, "max_results": 100})

    def histories(of: int) -> Call:
        ids = [run["run_id"] for run in runs[:of]]
        query = {"run_id": ids, "metric_key": "metric-1", "max_results": BULK_POINTS}
        return lambda _: server.get_json(BULK_HISTORY, query)

    content = b"x" * Workload().artifact_bytes
    calls: dict[str, Callable[[], Call]] = {
        "runs/create, 7 tags": lambda: create,
        "runs/log-batch, 500 points and 20 params": lambda: write,
        "PUT of 50 KB": lambda: lambda number: server.put(file(number), content),
        "runs/update": lambda: end,
        "artifact listing": lambda: (
            lambda number: server.get_json(ARTIFACTS, {"path": folder(number)})
        ),
        "GET of 50 KB": lambda: lambda number: server.get(file(number)),
        "runs/search, 25 runs": lambda: search,
        "get-history-bulk, 4 runs of 50 points": lambda: histories(4),
        "get-history-bulk, 25 runs of 50 points": lambda: histories(25),
        "get-history-bulk, 100 runs of 50 points": lambda: histories(100),
    }
    return {name: _milliseconds(stage, times, made()) for name, made in calls.items()}


def _milliseconds(stage: Stage, times: int, call: Call) -> float:
    before = _processor_time(stage)
    for number in range(times):
        call(number)
    return round((_processor_time(stage) - before) / times * 1000, 1)


def _processor_time(stage: Stage) -> float:
    """Return the seconds that all processes of the target have had."""
    first = psutil.Process(stage.target.pid)
    times = [process.cpu_times() for process in (first, *first.children(recursive=True))]
    return float(sum(time.user + time.system for time in times))


if __name__ == "__main__":
    typer.run(main)
