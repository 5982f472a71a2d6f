"""The floor: the fewest requests that copy the runs of a server, sent as lean as can be.

`python -m benchmarks.floor SOURCE TARGET` reads everything into memory, then writes it, and prints
the seconds of both as JSON. It keeps no state, checks nothing and cannot be resumed: it says what
the two servers themselves take, so that what a tool adds can be seen. Standard library only, so
that the interpreter starts as fast as it can.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.wire import ARTIFACTS, Wire, artifact_path
from benchmarks.workload import log_batches

BULK_HISTORY = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
BULK_RUNS, BULK_POINTS = 100, 25_000
RUNS_PER_PAGE = 500


@dataclass
class RunCopy:
    """What the source says of one run."""

    info: dict[str, Any]
    data: dict[str, Any]
    points: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def read(source: Wire, pool: ThreadPoolExecutor) -> dict[str, list[RunCopy]]:
    """Return the runs of every experiment that has any, by the experiment's name."""
    found = source.post("experiments/search", {"max_results": 50_000, "view_type": "ALL"})
    experiments = found["experiments"]
    pages = pool.map(lambda one: list(_runs(source, one["experiment_id"])), experiments)
    copies = {one["name"]: runs for one, runs in zip(experiments, pages, strict=True) if runs}
    runs = {run.info["run_id"]: run for runs in copies.values() for run in runs}
    reading = [pool.submit(_read_history, runs, source, key, group) for key, group in _groups(runs)]
    reading += [pool.submit(_read_files, run, source) for run in runs.values()]
    for future in reading:
        future.result()
    return copies


def _runs(source: Wire, experiment_id: str) -> Iterator[RunCopy]:
    token = ""
    while True:
        page = source.post(
            "runs/search",
            {
                "experiment_ids": [experiment_id],
                "run_view_type": "ALL",
                "max_results": RUNS_PER_PAGE,
                "page_token": token,
            },
        )
        for run in page.get("runs", ()):
            yield RunCopy(run["info"], run["data"])
        token = page.get("next_page_token", "")
        if not token:
            return


def _groups(runs: dict[str, RunCopy]) -> Iterator[tuple[str, list[str]]]:
    """Yield each metric key with up to a hundred of the runs that have it."""
    having: dict[str, list[str]] = {}
    for run_id, run in runs.items():
        for metric in run.data.get("metrics", ()):
            having.setdefault(metric["key"], []).append(run_id)
    for key, run_ids in having.items():
        for start in range(0, len(run_ids), BULK_RUNS):
            yield key, run_ids[start : start + BULK_RUNS]


def _read_history(runs: dict[str, RunCopy], source: Wire, key: str, run_ids: list[str]) -> None:
    query = {"run_id": run_ids, "metric_key": key, "max_results": BULK_POINTS}
    points = source.get_json(BULK_HISTORY, query)["metrics"]
    if len(points) < BULK_POINTS:
        for point in points:
            runs[point.pop("run_id")].points.append(point)
    elif len(run_ids) > 1:
        middle = len(run_ids) // 2
        _read_history(runs, source, key, run_ids[:middle])
        _read_history(runs, source, key, run_ids[middle:])
    else:
        raise SystemExit(f"the floor reads fewer than {BULK_POINTS:,} points of a metric, not more")


def _read_files(run: RunCopy, source: Wire, folder: str = "") -> None:
    root = artifact_path(run.info["artifact_uri"], folder).removeprefix(f"{ARTIFACTS}/")
    for entry in source.get_json(ARTIFACTS, {"path": root}).get("files", ()):
        path = f"{folder}/{entry['path']}".strip("/")
        if entry.get("is_dir"):
            _read_files(run, source, path)
        else:
            run.files[path] = source.get(artifact_path(run.info["artifact_uri"], path))


def write(target: Wire, pool: ThreadPoolExecutor, copies: dict[str, list[RunCopy]]) -> None:
    """Create the experiments and write each run on one thread."""
    created = pool.map(lambda name: target.post("experiments/create", {"name": name}), copies)
    writing = [
        pool.submit(_write_run, target, answer["experiment_id"], run)
        for answer, runs in zip(created, copies.values(), strict=True)
        for run in runs
    ]
    for future in writing:
        future.result()


def _write_run(target: Wire, experiment_id: str, run: RunCopy) -> None:
    info, data = run.info, run.data
    created = target.post(
        "runs/create",
        {
            "experiment_id": experiment_id,
            "user_id": info.get("user_id", ""),
            "run_name": info["run_name"],
            "start_time": info["start_time"],
            "tags": data.get("tags", []),
        },
    )
    copy = created["run"]["info"]
    for batch in log_batches(iter(run.points), data.get("params", [])):
        target.post("runs/log-batch", {"run_id": copy["run_id"], **batch})
    for path, content in run.files.items():
        target.put(artifact_path(copy["artifact_uri"], path), content)
    target.post(
        "runs/update",
        {"run_id": copy["run_id"], "status": info["status"], "end_time": info["end_time"]},
    )


def main() -> None:
    """Copy, and print what it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floor", description=__doc__)
    parser.add_argument("source", help="URI of a tracking server")
    parser.add_argument("target", help="URI of an empty tracking server")
    parser.add_argument("--workers", type=int, default=8, help="requests at the same time")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(arguments.workers) as pool:
        started = time.perf_counter()
        copies = read(Wire(arguments.source), pool)
        read_at = time.perf_counter()
        write(Wire(arguments.target), pool, copies)
        written_at = time.perf_counter()
    runs = sum(map(len, copies.values()))
    print(json.dumps({"runs": runs, "reading": read_at - started, "writing": written_at - read_at}))


if __name__ == "__main__":
    main()
