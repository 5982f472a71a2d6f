"""Fills a server with traces as MLflow's own client makes them, in a process of its own.

    python -m tests.traces.seed URI PREFIX

Its tracing is one for the process, and starts threads; so tests run this as a command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import requests

from tests.processes import ROOT
from tests.servers import IS_3_18

#: Of traces that no client of today makes.
IN_PROGRESS = "tr-" + "a" * 24
BARE = "tr-" + "b" * 24
ODD, ODD_SINCE_3_18 = "of another/form ", "of another form "
ATTACHMENT = "0b5ee0d5-5b47-4bd7-9b5c-7f3a1f7a1f7a"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededTraces:
    """What was made: the experiment with most of it, one that is deleted, and some of the ids."""

    experiment: str
    deleted: str
    names: dict[str, str]
    runs: list[str]
    overridden: str
    attached: str
    prompt: str


def seed_traces(uri: str, prefix: str) -> SeededTraces:
    """Fills the server; ``prefix`` begins the names of the experiments."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
    environment["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "false"
    command = [sys.executable, "-W", "ignore", "-m", "tests.traces.seed", uri, prefix]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return SeededTraces(**json.loads(ended.stdout.splitlines()[-1]))


def start_trace(uri: str, experiment: str, trace_id: str, **info: Any) -> dict[str, Any]:
    """Makes a trace without spans, by REST."""
    body = {
        "trace_id": trace_id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        },
        "request_time": "2024-01-01T00:00:00.007Z",
        "state": "OK",
        **info,
    }
    url = f"{uri}/api/3.0/mlflow/traces"
    answer = requests.post(url, json={"trace": {"trace_info": body}}, timeout=60)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()["trace"]["trace_info"]
    return made


def put_file(uri: str, trace: dict[str, Any], path: str, content: bytes) -> None:
    """Writes a file of a trace."""
    root = trace["tags"]["mlflow.artifactLocation"].removeprefix("mlflow-artifacts:/")
    url = f"{uri}/api/2.0/mlflow-artifacts/artifacts/{root}/{path}"
    requests.put(url, data=content, timeout=60).raise_for_status()


def send_span(uri: str, experiment: str, root: Any) -> None:
    """Adds a span of a kind that MLflow's client gives none, as others send theirs."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id = bytes.fromhex(root.trace_id.removeprefix("tr-"))
    span.parent_span_id = bytes.fromhex(root.span_id)
    span.span_id = b"8 bytes."
    span.name = "call"
    span.kind = span.SPAN_KIND_CLIENT
    span.start_time_unix_nano = span.end_time_unix_nano = root.start_time_ns
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": experiment}
    body = message.SerializeToString()
    requests.post(f"{uri}/v1/traces", body, headers=headers, timeout=60).raise_for_status()


def _main(uri: str, prefix: str) -> None:
    import mlflow
    from mlflow.entities import AssessmentError, AssessmentSource, SpanEvent

    human = AssessmentSource(source_type="HUMAN", source_id="ada@example.com")
    experiment = mlflow.set_experiment(f"{prefix}-main").experiment_id
    deleted = mlflow.create_experiment(f"{prefix}-deleted")
    overridden = ""
    prompt = f"{prefix}-prompt"
    mlflow.genai.register_prompt(name=prompt, template="Answer {{q}}")
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model(name="agent")
        for number in range(4):
            with mlflow.start_span(name=f"question {number}", span_type="AGENT") as root:
                root.set_inputs({"q": "Ünïcödé ☃", "none": None, "big": 2**62, "nan": float("nan")})
                with mlflow.start_span(name="search", span_type="RETRIEVER") as child:
                    child.add_event(SpanEvent("found", attributes={"n": 3, "at": [1.5, 2.5]}))
                    child.set_attribute("nested", {"a": [1, {"b": None}], "c": "x" * 5000})
                    if number == 1:
                        child.set_status("ERROR")
                if number == 0:
                    mlflow.genai.load_prompt(f"prompts:/{prompt}/1")
                root.set_outputs({"answer": [True, 0.1, "…"]})
                metadata = {"mlflow.trace.session": "s-1", "mlflow.trace.user": "grace"}
                if number == 2:
                    metadata["mlflow.modelId"] = model.model_id
                mlflow.update_current_trace(
                    tags={"stage": f"n{number}", "empty": ""},
                    metadata=metadata,
                    client_request_id=f"request-{number}",
                )
            trace_id = mlflow.get_last_active_trace_id()
            of_run = {"mlflow.assessment.sourceRunId": run.info.run_id}
            first = mlflow.log_feedback(
                trace_id=trace_id, name="good", value=0.5, rationale="so so", metadata=of_run
            )
            for value in (True, 3, "text", [1, "two"], {"deep": {"er": None}}):
                mlflow.log_feedback(
                    trace_id=trace_id, name=type(value).__name__, value=value, source=human
                )
            mlflow.log_feedback(
                trace_id=trace_id, name="broken", error=AssessmentError("NO", "no answer", "stack")
            )
            mlflow.log_expectation(trace_id=trace_id, name="expected", value={"k": [1, None]})
            if number == 3:
                second = mlflow.override_feedback(
                    trace_id=trace_id, assessment_id=first.assessment_id, value=0.9
                )
                mlflow.override_feedback(
                    trace_id=trace_id, assessment_id=second.assessment_id, value=1.0
                )
                overridden = trace_id
    mlflow.set_experiment(f"{prefix}-other")
    with mlflow.start_run() as elsewhere:
        pass
    mlflow.set_experiment(experiment_id=experiment)
    asked = {
        "experiment_id": experiment,
        "name": "slow",
        "description": "it is",
        "status": "pending",
    }
    made = requests.post(f"{uri}/api/3.0/mlflow/issues", json=asked, timeout=60)
    issue = made.json()["issue"]["issue_id"]
    mlflow.log_issue(trace_id=overridden, issue_id=issue, issue_name="slow")
    link = f"mlflow-attachment://{ATTACHMENT}?content_type=image%2Fpng"
    with mlflow.start_span(name="with attachment") as root:
        root.set_inputs({"image": link})
    attached = mlflow.get_last_active_trace_id()
    send_span(uri, experiment, mlflow.get_trace(attached).data.spans[0])
    info = mlflow.get_trace(attached).info
    put_file(uri, {"tags": info.tags}, f"attachments/{ATTACHMENT}", b"\x89PNG" * 100)
    mlflow.set_experiment(experiment_id=deleted)
    with mlflow.start_span(name="forgotten"):
        pass
    mlflow.delete_experiment(deleted)
    unique = prefix[-8:]
    start_trace(uri, experiment, IN_PROGRESS + unique, state="IN_PROGRESS")
    start_trace(
        uri,
        experiment,
        BARE + unique,
        trace_metadata={"mlflow.sourceRun": elsewhere.info.run_id},
        execution_duration="1.500s",
        request_preview="asked",
    )
    begun = (ODD_SINCE_3_18 if IS_3_18 else ODD) + unique
    odd = start_trace(uri, experiment, begun, state="ERROR")
    put_file(uri, odd, "traces.json", b'{"spans": []}')
    print()
    print(
        json.dumps(
            {
                "experiment": experiment,
                "deleted": deleted,
                "names": {
                    "main": f"{prefix}-main",
                    "deleted": f"{prefix}-deleted",
                    "other": f"{prefix}-other",
                },
                "runs": [run.info.run_id, elsewhere.info.run_id],
                "overridden": overridden,
                "attached": attached,
                "prompt": f"{prompt}/1",
            }
        )
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
