"""`python -m benchmarks.traces`: copies traces, beside a lean replay of the fewest requests.

The source holds traces of some spans each. The floor reads them with as few requests as there can
be and writes each info once and the spans of many at a time; it keeps no state and no mark, checks
nothing and cannot be resumed. `migrate run` then copies the same into an emptied target: its time,
its peak of memory and the number of its tasks are reported beside.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import requests
import typer
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.contestants import migrate_command
from benchmarks.process import run
from benchmarks.stage import Stage, open_stage

SEARCH, START = "/api/3.0/mlflow/traces/search", "/api/3.0/mlflow/traces"
SPANS, OTLP = "/api/3.0/mlflow/traces/batchGet", "/v1/traces"
BEGAN_MS = 1_754_000_000_000
TOGETHER = 50


def main(
    *,
    traces: Annotated[int, typer.Option(min=1)] = 20_000,
    spans: Annotated[int, typer.Option(min=1, help="Of each trace.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Of the floor and of `migrate`.")] = 8,
) -> None:
    """Measure a copy of traces; print JSON."""
    with open_stage() as stage:
        experiment = seed(stage.source.uri, traces, spans)
        seconds = {"floor": _timed(lambda: replay(stage, experiment, workers))}
        requests_of_floor = stage.requests()[1]
        stage.empty_target()
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "state.db"
            copying = migrate_command(stage.source_uri, stage.target_uri, state, workers)
            copying.append("--json")
            done, again = run(copying), run(copying)
            tasks = _tasks(state)
        report = json.loads(done.output)
        print(
            json.dumps(
                {
                    "traces": traces,
                    "copied": report["totals"]["trace"],
                    "tasks": tasks,
                    "seconds": {**seconds, "migrate": done.seconds, "again": again.seconds},
                    "ratio": done.seconds / seconds["floor"],
                    "peak_mb": {"first": done.peak_bytes >> 20, "again": again.peak_bytes >> 20},
                    "requests": {
                        "floor": requests_of_floor,
                        "migrate": stage.requests()[1] - requests_of_floor,
                    },
                },
                indent=2,
            )
        )


def seed(uri: str, traces: int, spans: int) -> str:
    """Fill a server; return the id of the experiment."""
    body = {"name": "traced"}
    made = requests.post(f"{uri}/api/2.0/mlflow/experiments/create", json=body, timeout=60)
    experiment: str = made.json()["experiment_id"]
    chance = random.Random(7)
    for first in range(0, traces, TOGETHER):
        of_many = [
            span
            for number in range(first, min(first + TOGETHER, traces))
            for span in _spans(chance, number, spans)
        ]
        _send_spans(requests.Session(), uri, experiment, of_many)
    return experiment


def _spans(chance: random.Random, number: int, count: int) -> Iterator[dict[str, Any]]:
    trace_id = chance.randbytes(16)
    ids = [chance.randbytes(8) for _ in range(count)]
    began = (BEGAN_MS + number * 10) * 1_000_000
    for place, ident in enumerate(ids):
        yield {
            "trace_id": trace_id,
            "span_id": ident,
            "parent_span_id": ids[0] if place else b"",
            "name": f"step {place}",
            "start_time_unix_nano": began + place * 1000,
            "end_time_unix_nano": began + 5_000_000 + (0 if place else 1_000_000),
            "attributes": [
                {"key": "mlflow.spanInputs", "value": {"string_value": "x" * 500}},
                {"key": "mlflow.spanOutputs", "value": {"string_value": "y" * 500}},
                {"key": "n", "value": {"int_value": place}},
            ],
        }


def _send_spans(
    http: requests.Session, uri: str, experiment: str, spans: Sequence[dict[str, Any]]
) -> None:
    message = ExportTraceServiceRequest()
    into = message.resource_spans.add().scope_spans.add()
    for span in spans:
        if isinstance(span["trace_id"], bytes):
            into.spans.add(**span)
        else:
            ParseDict(span, into.spans.add())
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": experiment}
    http.post(
        uri + OTLP, data=message.SerializeToString(), headers=headers, timeout=300
    ).raise_for_status()


def replay(stage: Stage, experiment: str, workers: int) -> None:
    """Copy every trace with the fewest requests."""
    source, target = stage.source_uri, stage.target_uri
    body = {"name": "traced"}
    made = requests.post(f"{target}/api/2.0/mlflow/experiments/create", json=body, timeout=60)
    copy = made.json()["experiment_id"]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda some: _copy(source, target, copy, some), _pages(source, experiment)))


def _pages(uri: str, experiment: str) -> Iterator[Sequence[dict[str, Any]]]:
    http, token = requests.Session(), ""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    while True:
        request = {"locations": [place], "max_results": 500, "page_token": token}
        page = http.post(uri + SEARCH, json=request, timeout=300).json()
        found = page.get("traces", [])
        for first in range(0, len(found), TOGETHER):
            yield found[first : first + TOGETHER]
        token = page.get("next_page_token", "")
        if not token:
            return


def _copy(source: str, target: str, copy: str, infos: Sequence[dict[str, Any]]) -> None:
    http = requests.Session()
    ids = [("trace_ids", info["trace_id"]) for info in infos]
    found = http.get(source + SPANS, params=ids, timeout=300).json()["traces"]
    for info in infos:
        tags = {k: v for k, v in info["tags"].items() if k not in SERVER_TAGS}
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": copy}}
        body = {"trace": {"trace_info": {**info, "trace_location": place, "tags": tags}}}
        http.post(target + START, json=body, timeout=300).raise_for_status()
    _send_spans(http, target, copy, [span for trace in found for span in trace["spans"]])


SERVER_TAGS = ("mlflow.trace.spansLocation", "mlflow.artifactLocation")


def _tasks(state: Path) -> int:
    """Count the tasks of the last plan."""
    with contextlib.closing(sqlite3.connect(state)) as database:
        last = "SELECT max(migration) FROM task"
        count = f"SELECT count(*) FROM task WHERE migration = ({last})"
        found: int = database.execute(count).fetchone()[0]
        return found


def _timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    typer.run(main)
