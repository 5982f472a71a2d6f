"""Traces of servers before MLflow 3.6: what they hold arrives whole, under the same ids."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.environments import SERVERS, python_of
from tests.conftest import RunMigrate, ServerFactory
from tests.traces.comparison import experiment_id, traces

pytestmark = pytest.mark.acceptance

#: Run by the old MLflow itself, which keeps the spans in a file.
SEED = """
import mlflow
mlflow.set_experiment("traced")
with mlflow.start_run() as run:
    @mlflow.trace(name="child", span_type="RETRIEVER")
    def child(x):
        return {"found": [x, None, "ü☃"]}
    @mlflow.trace(name="root", attributes={"big": 2**62})
    def root(q):
        return child(q)
    for number in range(3):
        root(number)
try:
    with mlflow.start_span(name="fails"):
        raise ValueError("no")
except ValueError:
    pass
try:
    mlflow.flush_trace_async_logging()
except AttributeError:
    pass
print(run.info.run_id)
"""


def old_traces(uri: str, experiment: str) -> dict[str, dict[str, Any]]:
    """What the old server says of its traces, by id."""
    url = f"{uri}/api/2.0/mlflow/traces"
    answer = requests.get(url, params={"experiment_ids": experiment}, timeout=60)
    return {it["request_id"]: it for it in answer.json().get("traces", ())}


def spans_file(uri: str, location: str) -> bytes:
    root = location.removeprefix("mlflow-artifacts:/")
    url = f"{uri}/api/2.0/mlflow-artifacts/artifacts/{root}/traces.json"
    answer = requests.get(url, timeout=60)
    return answer.content if answer.status_code == 200 else b""


def pairs(entries: list[dict[str, str]]) -> dict[str, str]:
    return {it["key"]: it.get("value", "") for it in entries}


@pytest.mark.parametrize("version", ["2.22.5", "3.1.4"])
def test_they_arrive_under_the_same_ids(
    version: str,
    server_factory: ServerFactory,
    fresh_target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    python = python_of(version)
    old = server_factory(
        directory=tmp_path / "old", python=python, empty_databases=SERVERS / "empty"
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": old.uri}
    seeded = subprocess.run(
        [python, "-W", "ignore", "-c", SEED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert seeded.returncode == 0, seeded.stderr
    run_id = seeded.stdout.split()[-1]
    there = experiment_id(old.uri, "traced")
    begun = {"experiment_id": there, "timestamp_ms": 1_700_000_000_123}
    requests.post(f"{old.uri}/api/2.0/mlflow/traces", json=begun, timeout=60).raise_for_status()
    originals = old_traces(old.uri, there)
    assert len(originals) == 5

    words = (old.uri, fresh_target.uri, "--experiments", "traced")
    done = run_migrate("run", *words, "--json")
    report = json.loads(done.stdout)
    assert report["losses"] == []
    assert report["totals"]["trace"]["done"] == 5
    copies = traces(fresh_target.uri, experiment_id(fresh_target.uri, "traced"))
    assert copies.keys() == originals.keys()
    in_progress = 0
    for ident, original in originals.items():
        copy = copies[ident]
        assert copy["state"] == original["status"]
        assert copy["request_time"] == time_of(int(original["timestamp_ms"]))
        tags, metadata = pairs(original["tags"]), pairs(original.get("request_metadata", []))
        location = tags.pop("mlflow.artifactLocation")
        assert tags.items() <= copy["tags"].items()
        if metadata.get("mlflow.sourceRun"):
            assert metadata.pop("mlflow.sourceRun") == run_id
            assert copy["trace_metadata"]["mlflow.sourceRun"] != run_id
        assert metadata.items() <= copy["trace_metadata"].items()
        content = spans_file(old.uri, location)
        assert copy["files"].get("traces.json", b"") == content
        in_progress += not content
    assert in_progress == 1

    assert json.loads(run_migrate("run", *words, "--json").stdout)["totals"]["trace"]["wrote"] == 0
    assert json.loads(run_migrate("verify", *words, "--json").stdout)["differences"] == []
    names = read_by_client(fresh_target.uri, [it for it in copies if copies[it]["files"]])
    assert sorted(names) == [*[["child", "root"]] * 3, ["fails"]]


def time_of(milliseconds: int) -> str:
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds / 1000))
    return f"{text}.{milliseconds % 1000:03d}Z".replace(".000Z", "Z")


def read_by_client(uri: str, ids: list[str]) -> list[list[str]]:
    """The names of the spans of each trace, as MLflow's client of today reads them."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    return [sorted(span.name for span in client.get_trace(it).data.spans) for it in ids]
