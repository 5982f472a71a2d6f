"""The history that is copied: how much of it there is, and how it gets into the source."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks.wire import Wire, artifact_path

#: What one `runs/log-batch` takes: metric points, params, and both together.
BATCH_POINTS, BATCH_PARAMS, BATCH_TOTAL = 1000, 100, 1000

START_MS = 1_700_000_000_000


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Sizes of the history; metrics are keys, points are per key, artifacts are files of a run."""

    experiments: int = 4
    runs: int = 100
    metrics: int = 10
    points: int = 50
    params: int = 20
    artifacts: int = 3
    artifact_bytes: int = 50_000

    def __str__(self) -> str:
        return (
            f"{self.runs} runs in {self.experiments} experiments, each run with "
            f"{self.metrics} metrics of {self.points} points, {self.params} params and "
            f"{self.artifacts} artifacts of {self.artifact_bytes:,} bytes"
        )


def seed(uri: str, workload: Workload) -> None:
    """Write the workload to the server at `uri`, eight runs at a time."""
    server = Wire(uri)
    with ThreadPoolExecutor(8) as pool:
        experiments = [
            server.post("experiments/create", {"name": f"benchmark/{number}"})["experiment_id"]
            for number in range(workload.experiments)
        ]

        def seed_run(number: int) -> None:
            _seed_run(server, workload, experiments[number % len(experiments)], number)

        for _ in pool.map(seed_run, range(workload.runs)):
            pass


def _seed_run(server: Wire, workload: Workload, experiment_id: str, number: int) -> None:
    start_time = START_MS + number * 60_000
    tags = {
        "mlflow.user": "benchmark",
        "mlflow.source.name": "train.py",
        "mlflow.source.type": "LOCAL",
        "team": "vision",
    }
    created = server.post(
        "runs/create",
        {
            "experiment_id": experiment_id,
            "run_name": f"run-{number}",
            "user_id": "benchmark",
            "start_time": start_time,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
    )
    info = created["run"]["info"]
    params = [{"key": f"param-{i}", "value": f"{number * i}"} for i in range(workload.params)]
    for batch in log_batches(points_of(workload, start_time), params):
        server.post("runs/log-batch", {"run_id": info["run_id"], **batch})
    for file in range(workload.artifacts):
        content = _content(f"{number}/{file}", workload.artifact_bytes)
        server.put(artifact_path(info["artifact_uri"], f"file-{file}.bin"), content)
    server.post(
        "runs/update",
        {"run_id": info["run_id"], "status": "FINISHED", "end_time": start_time + 50_000},
    )


def points_of(workload: Workload, start_time: int) -> Iterator[dict[str, Any]]:
    for key in range(workload.metrics):
        for step in range(workload.points):
            yield {
                "key": f"metric-{key}",
                "value": math.exp(-step / (10 + key)),
                "timestamp": start_time + step * 1000,
                "step": step,
            }


def log_batches(
    points: Iterator[dict[str, Any]], params: list[dict[str, Any]]
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Yield the fewest `runs/log-batch` messages that hold all points and params of a run."""
    while True:
        head, params = params[:BATCH_PARAMS], params[BATCH_PARAMS:]
        metrics = list(islice(points, min(BATCH_POINTS, BATCH_TOTAL - len(head))))
        if not head and not metrics:
            return
        yield {"metrics": metrics, "params": head}


def _content(seed_of: str, size: int) -> bytes:
    """Return `size` bytes that do not compress, the same ones for the same seed."""
    return hashlib.shake_128(seed_of.encode()).digest(size)
