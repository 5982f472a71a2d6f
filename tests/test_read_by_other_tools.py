"""Our exports hold what the importers of mlflow-export-import read, file by file and key by key.

Its importers of late 2025 are followed here: import-models goes by ``models/models.json`` and
``experiments/experiments.json``, import-prompts by the directories in ``prompts/``. What each of
them reads, and fails without, is read here in the same way and compared with the source server.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.comparison_models import ModelServer
from tests.conftest import RunMigrate
from tests.seed import START
from tests.seed_models import ModelSource
from tests.seed_registry import NUMBERS, seed_registry


@pytest.fixture(scope="module")
def server(fresh_source: TrackingServerProcess) -> Iterator[ModelServer]:
    """A server with a registry, a parent and a child, a deleted run, and values of all kinds."""
    with ModelSource(fresh_source.uri) as source:
        seed_registry(source)
        tags = {"mlflow.note.content": "who leaves, and why", "team": "growth"}
        churn = source.experiment("churn", tags=tags)
        parent = source.run("parent", churn, user="grace", status="FAILED")
        child = source.run("child", churn, tags={"mlflow.parentRunId": parent, "empty": ""})
        source.params(child, {"lr": "0.1", "empty": "", "unicode": "größe 日本"})
        points = [("loss", 1 / (step + 1), START + step, step) for step in range(300)]
        special = [("odd", word, START, step) for step, word in enumerate(("NaN", "Infinity"))]
        source.metrics(child, [*points, *special])  # type: ignore[list-item]
        dataset = {"name": "wine", "digest": "d1", "source_type": "local", "source": "x"}
        source.inputs(child, (dataset, {"mlflow.data.context": "training"}))
        source.artifact(child, "deep/er/file.txt", b"here")
        source.run("still running", churn, status=None)
        source.delete_run(source.run("deleted", churn))
        model = source.seeded.models["logged"]
        source.model_metrics(
            child, model, [{"key": "acc", "value": 0.5, "timestamp": START, "step": 1}]
        )
        source.outputs(child, (model, 3))
    with ModelServer(fresh_source.uri) as reader:
        yield reader


@pytest.mark.parametrize("layout", ["models", "experiments"])
def test_importers_find_all_that_the_source_has(
    server: ModelServer,
    fresh_source: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
    layout: str,
) -> None:
    """In a directory made for models, and in one made for experiments that got models later."""
    export = tmp_path / "export"
    first = [("--experiments", "churn")] if layout == "experiments" else []
    for options in (*first, ("--quick",)):
        done = run_migrate("run", fresh_source.uri, export, *options)
        assert done.returncode == 0, done.stderr
    assert (export / "experiments.json").exists() == (layout == "experiments")
    check_experiments(export, server)
    check_registered_models(export, server)
    check_prompts(export, server)
    check_manifest(export, server)


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def texts(pairs: list[dict[str, str]] | None) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in pairs or ()}


def digests(folder: Path) -> dict[str, str]:
    """Path and digest of every file that an importer uploads."""
    files = (it for it in folder.rglob("*") if it.is_file())
    return {
        it.relative_to(folder).as_posix(): hashlib.sha256(it.read_bytes()).hexdigest()
        for it in files
    }


def check_experiments(export: Path, server: ModelServer) -> None:
    base = export / "experiments"
    index = load(base / "experiments.json")
    assert index["info"]["status"]["failed_runs"] == 0
    active = {
        name: it for name, it in server.experiments().items() if it["lifecycle_stage"] == "active"
    }
    assert [entry["name"] for entry in index["mlflow"]["experiments"]] == list(active)
    for entry in index["mlflow"]["experiments"]:
        folder = base / entry["id"]
        content = load(folder / "experiment.json")
        there = active[entry["name"]]
        check_experiment(content, there)
        runs = {it["info"]["run_id"]: it for it in server.runs(there["experiment_id"])}
        whole = {it for it, run in runs.items() if run["info"]["lifecycle_stage"] == "active"}
        assert set(content["mlflow"]["runs"]) == whole
        assert (entry["ok_runs"], entry["failed_runs"]) == (len(whole), 0)
        for run_id in content["mlflow"]["runs"]:
            check_run(folder / "runs" / run_id, runs[run_id], server)
        models = server.logged_models([there["experiment_id"]])
        by_id = {it["info"]["model_id"]: it for it in models}
        assert set(content["mlflow"]["logged_models"]) == by_id.keys()
        for model_id, model in by_id.items():
            check_logged_model(folder / "logged_models" / model_id, model, server)


def check_experiment(content: dict[str, Any], there: dict[str, Any]) -> None:
    assert content["info"]["failed_runs"] == []
    assert content["mlflow"]["traces"] == []
    experiment = content["mlflow"]["experiment"]
    for key in ("experiment_id", "name", "artifact_location", "lifecycle_stage"):
        assert experiment[key] == there[key]
    assert experiment["tags"] == texts(there.get("tags"))
    for key in ("creation_time", "last_update_time"):
        assert experiment[key] == int(there[key])


def check_run(folder: Path, there: dict[str, Any], server: ModelServer) -> None:
    mlflow = load(folder / "run.json")["mlflow"]
    info, data = there["info"], there["data"]
    for key in ("run_id", "experiment_id", "user_id", "status", "run_name", "artifact_uri"):
        assert mlflow["info"][key] == info[key]
    assert mlflow["info"]["lifecycle_stage"] == "active"
    for key in ("start_time", "end_time"):
        assert mlflow["info"][key] == info.get(key)
    assert mlflow["params"] == texts(data.get("params"))
    assert mlflow["tags"] == texts(data.get("tags"))
    assert mlflow["metrics"].keys() == {it["key"] for it in data.get("metrics", ())}
    for key, points in mlflow["metrics"].items():
        found = Counter((repr(p["value"] + 0.0), p["timestamp"], p["step"]) for p in points)
        assert found == server.history(info["run_id"], key)
    whole = server.run(info["run_id"])
    inputs, outputs = whole.get("inputs", {}), whole.get("outputs", {})
    assert [(it["dataset"], texts(it["tags"])) for it in mlflow["inputs"]["dataset_inputs"]] == [
        (it["dataset"], texts(it.get("tags"))) for it in inputs.get("dataset_inputs", [])
    ]
    named = [it["model_id"] for it in inputs.get("model_inputs", [])]
    assert [it["model_id"] for it in mlflow["inputs"]["model_inputs"]] == named
    made = {it["model_id"]: int(it.get("step", 0)) for it in outputs.get("model_outputs", [])}
    assert {it["model_id"]: it["step"] for it in mlflow["outputs"]["model_outputs"]} == made
    uri = info["artifact_uri"]
    there_now = {
        path: server.sha256(info["run_id"], uri, path) for path in server.files(info["run_id"])
    }
    assert digests(folder / "artifacts") == there_now


def check_logged_model(folder: Path, there: dict[str, Any], server: ModelServer) -> None:
    mlflow = load(folder / "logged_model.json")["mlflow"]
    info, data = there["info"], there["data"]
    for key in ("model_id", "experiment_id", "name", "source_run_id"):
        assert mlflow[key] == info[key]
    assert f"LOGGED_MODEL_{mlflow['status']}" == info["status"]
    assert mlflow["model_type"] == info.get("model_type", "")
    assert mlflow["params"] == texts(data.get("params"))
    # The server's own tag, which names versions, is written again by every server.
    tags = texts(info.get("tags"))
    assert mlflow["tags"] == tags
    points = [
        (it["key"], it["value"], it["timestamp"], it["step"], it["run_id"])
        for it in mlflow["metrics"]
    ]
    assert sorted(points) == sorted(
        (it["key"], it["value"], int(it["timestamp"]), int(it["step"]), it["run_id"])
        for it in data.get("metrics", ())
    )
    contents = server.contents(info["artifact_uri"])
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    assert digests(folder / "artifacts") == hashes


def check_registered_models(export: Path, server: ModelServer) -> None:
    listed = load(export / "models" / "models.json")["mlflow"]["models"]
    registered = server.registered_models(prompts=False)
    assert listed == sorted(registered)
    names = {it["experiment_id"]: name for name, it in server.experiments().items()}
    for name in listed:
        model = load(export / "models" / name / "model.json")["mlflow"]["registered_model"]
        there = registered[name]
        assert model["name"] == name
        assert model["description"] == there.get("description", "")
        assert texts(model["tags"]) == texts(there.get("tags"))
        assert {(it["alias"], it["version"]) for it in model["aliases"]} == {
            (it["alias"], it["version"]) for it in there.get("aliases", ())
        }
        found = {it["version"]: it for it in server.versions(prompts=False) if it["name"] == name}
        numbers = [it["version"] for it in model["versions"]]
        assert numbers == sorted(found, key=int)
        for version in model["versions"]:
            check_version(version, found[version["version"]], names, server)
    model = load(export / "models" / "fraud" / "model.json")["mlflow"]["registered_model"]
    assert [int(it["version"]) for it in model["versions"]] == NUMBERS


def check_version(
    version: dict[str, Any], there: dict[str, Any], names: dict[str, str], server: ModelServer
) -> None:
    for key in ("source", "run_id", "description", "run_link"):
        assert version[key] == there.get(key, "")
    for key in ("name", "current_stage", "status"):
        assert version[key] == there[key]
    assert version["tags"] == texts(there.get("tags"))
    whole = server.version(there["name"], int(there["version"]))
    assert whole is not None
    assert sorted(version["aliases"]) == sorted(whole.get("aliases", ()))
    for key in ("creation_timestamp", "last_updated_timestamp"):
        assert version[key] == int(there[key])
    if version["run_id"]:
        info = server.run(version["run_id"])["info"]
        assert version["_experiment_name"] == names[info["experiment_id"]]
        assert version["_run_artifact_uri"] == info["artifact_uri"]


def check_prompts(export: Path, server: ModelServer) -> None:
    versions = {(it["name"], it["version"]): it for it in server.versions(prompts=True)}
    folders = [it for it in (export / "prompts").iterdir() if it.is_dir()]
    found = {}
    for folder in folders:
        prompt = load(folder / "prompt.json")["mlflow"]["prompt"]
        assert folder.name == f"{prompt['name']}_v{prompt['version']}"
        found[prompt["name"], str(prompt["version"])] = prompt
    assert found.keys() == versions.keys()
    for key, prompt in found.items():
        tags = texts(versions[key]["tags"])
        assert prompt["template"] == tags["mlflow.prompt.text"]
        assert prompt["commit_message"] == versions[key]["description"]
        assert prompt["tags"] == {"n": "x"}
    summary = load(export / "prompts" / "prompts_summary.json")["mlflow"]
    assert summary["successful_exports"] == summary["total_prompts"] == len(versions)


def check_manifest(export: Path, server: ModelServer) -> None:
    info = load(export / "manifest.json")["info"]
    assert info["models"]["model_names"] == sorted(server.registered_models(prompts=False))
    assert info["experiments"]["status"]["failed_runs"] == 0
    assert info["status"]["prompts"]["failed_exports"] == 0
