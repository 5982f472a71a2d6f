"""Compares the traces of two servers by what REST gives: shares no code with what copies them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from tests.comparison import ORIGIN
from tests.seed_records import Api
from tests.traces.seed import SeededTraces

#: Given out by each server, or said of the copy.
OWN_TAGS = ("mlflow.artifactLocation", "mlflow-migrate.copied")


def experiment_id(uri: str, name: str) -> str:
    url = f"{uri}/api/2.0/mlflow/experiments/get-by-name"
    answer = requests.get(url, params={"experiment_name": name}, timeout=60)
    answer.raise_for_status()
    found: str = answer.json()["experiment"]["experiment_id"]
    return found


def traces(uri: str, experiment: str, condition: str = "") -> dict[str, dict[str, Any]]:
    """All traces of an experiment that a search finds with their spans and files, by id."""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    request: dict[str, Any] = {"locations": [place], "max_results": 500, "filter": condition}
    found: dict[str, dict[str, Any]] = {}
    while True:
        url = f"{uri}/api/3.0/mlflow/traces/search"
        page = requests.post(url, json=request, timeout=60).json()
        found |= {it["trace_id"]: it for it in page.get("traces", ())}
        if not page.get("next_page_token"):
            break
        request["page_token"] = page["next_page_token"]
    stored = [ident for ident, it in found.items() if "mlflow.trace.spansLocation" in it["tags"]]
    url = f"{uri}/api/3.0/mlflow/traces/batchGet"
    spans = requests.get(url, params=[("trace_ids", it) for it in stored], timeout=60).json()
    for body in spans.get("traces", ()):
        of_trace = sorted(body.get("spans", ()), key=lambda span: str(span["span_id"]))
        found[body["trace_info"]["trace_id"]]["spans"] = of_trace
    for trace in found.values():
        trace["files"] = _files(uri, trace["tags"]["mlflow.artifactLocation"])
    return found


def _files(uri: str, location: str) -> dict[str, bytes]:
    root = location.removeprefix("mlflow-artifacts:/")
    base = f"{uri}/api/2.0/mlflow-artifacts/artifacts"
    found: dict[str, bytes] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        answer = requests.get(base, params={"path": f"{root}/{folder}".rstrip("/")}, timeout=60)
        for entry in answer.json().get("files", ()):
            path = f"{folder}/{entry['path'].rsplit('/', 1)[-1]}".strip("/")
            if entry.get("is_dir"):
                folders.append(path)
            else:
                found[path] = requests.get(f"{base}/{root}/{path}", timeout=60).content
    return found


def comparable(trace: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """A trace as its copy should be, with the ids of runs and models replaced by ``ids``."""
    metadata = {key: ids.get(value, value) for key, value in trace["trace_metadata"].items()}
    assessments = {}
    for assessment in trace.get("assessments", ()):
        of_it = assessment.get("metadata", {}).items()
        said = {key: ids.get(value, value) for key, value in of_it}
        name = ids.get(assessment["assessment_name"], assessment["assessment_name"])
        rewritten = {**assessment, "assessment_name": name, "metadata": said}
        assessments[assessment["assessment_id"]] = rewritten
    tags = {key: value for key, value in trace["tags"].items() if key not in OWN_TAGS}
    changed = {"trace_metadata": metadata, "tags": tags, "assessments": assessments}
    return {**trace, **changed, "trace_location": None}


def assert_arrived(
    source: str, target: str, seeded: SeededTraces, copies: Mapping[str, str]
) -> None:
    """Compare what was seeded with its copies; ``copies`` are the ids of those of runs."""
    ids = {**copies, **_model_ids(target), **_issue_ids(source, target)}
    for name in seeded.names.values():
        wanted = traces(source, experiment_id(source, name))
        found = traces(target, experiment_id(target, name))
        assert {key: comparable(it, {}) for key, it in found.items()} == {
            key: comparable(it, ids) for key, it in wanted.items()
        }
    used, main = f"prompt = '{seeded.prompt}'", seeded.names["main"]
    [linked] = traces(source, experiment_id(source, main), used)
    assert list(traces(target, experiment_id(target, main), used)) == [linked]


def _model_ids(target: str) -> dict[str, str]:
    """The ids of the copies of logged models, by those of their originals."""
    found: dict[str, str] = {}
    places = Api(target)("POST", "experiments/search", {"max_results": 1000}, api="2.0")
    for place in places["experiments"]:
        body = {"experiment_ids": [place["experiment_id"]]}
        for model in Api(target)("POST", "logged-models/search", body, api="2.0").get("models", []):
            tags = {it["key"]: it["value"] for it in model["info"]["tags"]}
            found[tags[ORIGIN]] = model["info"]["model_id"]
    return found


def _issue_ids(source: str, target: str) -> dict[str, str]:
    """The ids of the copies of issues, by those of their originals."""

    def named(api: Api) -> dict[tuple[str, str], str]:
        found = api("POST", "issues/search", {"max_results": 1000})["issues"]
        return {(it["name"], it["description"]): it["issue_id"] for it in found}

    originals, copies = named(Api(source)), named(Api(target))
    return {ident: copies[key] for key, ident in originals.items()}
