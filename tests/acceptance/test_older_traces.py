"""Traces of servers before MLflow 3.6: what they hold arrives whole, under the same ids."""

from __future__ import annotations

import json
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

BEGAN = 1_700_000_000_123


def seed(uri: str) -> tuple[str, str]:
    """Writes traces as the client of MLflow 2 does; returns the experiment and a run of it."""

    def call(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = requests.request(method, f"{uri}/api/2.0/mlflow/{path}", json=body, timeout=60)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    there = call("POST", "experiments/create", {"name": "traced"})["experiment_id"]
    run = call("POST", "runs/create", {"experiment_id": there, "start_time": BEGAN})
    run_id = run["run"]["info"]["run_id"]
    for number, status in enumerate(("OK", "OK", "ERROR", "")):
        began = {"experiment_id": there, "timestamp_ms": BEGAN + number}
        metadata = [{"key": "mlflow.traceInputs", "value": '{"q": "ü☃"}'}]
        if number == 1:
            metadata.append({"key": "mlflow.sourceRun", "value": run_id})
        tags = [{"key": "mlflow.traceName", "value": "root"}, {"key": "empty", "value": ""}]
        begun = call("POST", "traces", {**began, "request_metadata": metadata, "tags": tags})
        info = begun["trace_info"]
        if not status:  # it goes on
            continue
        ident, location = info["request_id"], pairs(info["tags"])["mlflow.artifactLocation"]
        root = location.removeprefix("mlflow-artifacts:/")
        url = f"{uri}/api/2.0/mlflow-artifacts/artifacts/{root}/traces.json"
        dump = json.dumps({"spans": [span(ident, 1, None), span(ident, 2, 1)]})
        requests.put(url, data=dump, timeout=60).raise_for_status()
        ended = {"request_id": ident, "timestamp_ms": BEGAN + number + 42, "status": status}
        call("PATCH", f"traces/{ident}", {**ended, "request_metadata": [], "tags": []})
    return there, run_id


def span(trace_id: str, number: int, parent: int | None) -> dict[str, Any]:
    return {
        "name": f"span {number}",
        "context": {"span_id": f"0x{number:016x}", "trace_id": f"0x{'7' * 32}"},
        "parent_id": None if parent is None else f"0x{parent:016x}",
        "start_time": BEGAN * 1_000_000,
        "end_time": BEGAN * 1_000_000 + 7,
        "status_code": "OK",
        "status_message": "",
        "attributes": {"mlflow.traceRequestId": json.dumps(trace_id), "big": str(2**62)},
        "events": [],
    }


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
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    python = python_of(version)
    old = server_factory(
        directory=tmp_path / "old", python=python, empty_databases=SERVERS / "empty"
    )
    there, run_id = seed(old.uri)
    originals = old_traces(old.uri, there)
    assert [it["status"] for it in originals.values()].count("IN_PROGRESS") == 1

    words = (old.uri, fresh_target.uri, "--experiments", "traced")
    done = run_migrate("run", *words, "--json")
    report = json.loads(done.stdout)
    assert report["losses"] == []
    assert report["totals"]["trace"]["done"] == len(originals) == 4
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
    monkeypatch.setenv("MLFLOW_TRACKING_URI", fresh_target.uri)
    names = read_by_client(fresh_target.uri, [it for it in copies if copies[it]["files"]])
    assert names == [["span 1", "span 2"]] * 3


def time_of(milliseconds: int) -> str:
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds / 1000))
    return f"{text}.{milliseconds % 1000:03d}Z".replace(".000Z", "Z")


def read_by_client(uri: str, ids: list[str]) -> list[list[str]]:
    """The names of the spans of each trace, as MLflow's client of today reads them."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    return [sorted(span.name for span in client.get_trace(it).data.spans) for it in ids]
