"""An export of mlflow-migration goes to a server: what it holds arrives, the rest is named.

``tests/data/mlflow-migration-1.2.2`` is what its ``export-all`` wrote of a server of MLflow 3.17.2,
with only its output directory changed to ``out``. One run failed there, since the tool downloads no
file with a ``?`` in its name, and one registered model, whose version has no run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from migrate.demo.server import TrackingServerProcess
from tests.comparison import Server
from tests.comparison_models import ModelServer
from tests.conftest import RunMigrate
from tests.endpoints.exports import write_json

EXPORT = Path(__file__).parent / "data" / "mlflow-migration-1.2.2"
TRAINING = "3d7c75e06c5f454aad0618084085bcd5"
BROKEN = "6e1c49261915458c99362ab20b1a879d"
MODEL_FILE = "run_id: {}\nflavors: {{}}\n"


def import_it(
    run_migrate: RunMigrate, target: TrackingServerProcess, directory: Path = EXPORT
) -> dict[str, Any]:
    done = run_migrate("run", directory, target.uri, "--json")
    assert "Traceback" not in done.stderr
    assert done.returncode == 3, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def without_bookkeeping(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {it["key"]: it["value"] for it in pairs if not it["key"].startswith("mlflow-migrate.")}


def test_what_failed_to_export_fails_by_name_and_each_time(
    run_migrate: RunMigrate, fresh_target: TrackingServerProcess
) -> None:
    before = {path: path.read_bytes() for path in EXPORT.rglob("*") if path.is_file()}
    for _ in range(2):
        report = import_it(run_migrate, fresh_target)
        failures = {it["id"]: it["error"] for it in report["failures"]}
        assert failures.keys() == {BROKEN, "without run"}
        assert f"{BROKEN} is not listed in" in failures[BROKEN]
        assert "failed to export" in failures["without run"]
        assert report["losses"] == []
    after = {path: path.read_bytes() for path in EXPORT.rglob("*") if path.is_file()}
    assert after == before


def test_all_that_it_holds_arrives(
    run_migrate: RunMigrate, fresh_target: TrackingServerProcess
) -> None:
    import_it(run_migrate, fresh_target)
    check_the_run(fresh_target.uri)
    check_versions(fresh_target.uri)
    check_prompts(fresh_target.uri)


def test_each_damaged_file_fails_by_name_and_the_rest_arrives(
    run_migrate: RunMigrate, fresh_target: TrackingServerProcess, tmp_path: Path
) -> None:
    """Of every kind: cut off, not listed, listed and not there."""
    export = tmp_path / "export"
    shutil.copytree(EXPORT, export)
    experiments = export / "experiments"
    (experiments / "9").mkdir()
    (experiments / "9" / "experiment.json").write_text('{"mlflow": {"exp')
    index = experiments / "1" / "experiment.json"
    content = json.loads(index.read_text())
    content["mlflow"]["runs"].append("listed")
    content["mlflow"]["logged_models"] = ["m-listed"]
    write_json(index, content)
    model = experiments / "1" / "logged_models" / "m-cut-off" / "logged_model.json"
    write_json(model, {})
    model.write_text("{")
    fraud = export / "models" / "fraud" / "model.json"
    content = json.loads(fraud.read_text())
    content["info"]["failed_versions"] = [{"version": "7", "message": "deleted run"}]
    write_json(fraud, content)
    (export / "models" / "cut").mkdir()
    (export / "models" / "cut" / "model.json").write_text("")
    (export / "prompts" / "greeting_v3").mkdir()
    (export / "prompts" / "other_v1").mkdir()
    for _ in range(2):
        report = import_it(run_migrate, fresh_target, export)
        assert {(it["kind"], it["id"]) for it in report["failures"]} == {
            ("experiment", "9"),
            ("run", BROKEN),
            ("run", "listed"),
            ("logged model", "m-listed"),
            ("logged model", "m-cut-off"),
            ("registered model", "without run"),
            ("registered model", "cut"),
            ("model version", "fraud/7"),
            ("prompt version", "greeting/3"),
            ("prompt", "other"),
        }
    check_the_run(fresh_target.uri)
    check_versions(fresh_target.uri)
    check_prompts(fresh_target.uri)


def check_the_run(uri: str) -> None:
    """With its params, tags, every point, its input, and the file that names it."""
    with Server(uri) as server:
        experiments = server.experiments()
        assert experiments.keys() == {"Default", "churn"}
        churn = experiments["churn"]
        assert without_bookkeeping(churn["tags"])["mlflow.note.content"] == "who leaves, and why"
        (run,) = server.runs(*(it["experiment_id"] for it in experiments.values()))
        info, data = run["info"], run["data"]
        assert (info["run_name"], info["user_id"]) == ("training", "ada")
        assert (info["status"], info["start_time"]) == ("FINISHED", 1614834367089)
        assert info["end_time"] == 1614834428089
        params = {it["key"]: it["value"] for it in data["params"]}
        assert params == {"lr": "0.1", "empty": ""}
        tags = without_bookkeeping(data["tags"])
        assert tags == {"team": "blue", "mlflow.runName": "training"}
        points = server.history(info["run_id"], "loss")
        assert sorted(points) == [("0.25", 1614834367090, 1), ("0.5", 1614834367089, 0)]
        assert [value for value, _, _ in server.history(info["run_id"], "odd")] == ["nan"]
        (found,) = run["inputs"]["dataset_inputs"]
        assert (found["dataset"]["name"], found["dataset"]["digest"]) == ("wine", "d1")
        assert without_bookkeeping(found["tags"]) == {"mlflow.data.context": "training"}
        names_the_copy = MODEL_FILE.format(info["run_id"]).encode()
        found_there = server.sha256(info["run_id"], info["artifact_uri"], "model/MLmodel")
        assert found_there == hashlib.sha256(names_the_copy).hexdigest()


def check_versions(uri: str) -> None:
    """They keep their numbers and name the copy of their run."""
    with ModelServer(uri) as server:
        ids = [it["experiment_id"] for it in server.experiments().values()]
        (run,) = server.runs(*ids)
        (model,) = server.registered_models(prompts=False).values()
        assert (model["name"], model["description"]) == ("fraud", "finds fraud")
        assert without_bookkeeping(model["tags"]) == {"owner": "ada"}
        assert model["aliases"] == [{"alias": "champion", "version": "3"}]
        versions = {it["version"]: it for it in server.versions(prompts=False)}
        assert versions.keys() == {"1", "3"}
        for number, version in versions.items():
            assert version["run_id"] == run["info"]["run_id"]
            assert version["source"] == f"runs:/{run['info']['run_id']}/model"
            assert version["description"] == f"v {number}"
            assert without_bookkeeping(version["tags"]) == {"n": number}
        assert versions["3"]["current_stage"] == "Production"


def check_prompts(uri: str) -> None:
    """They have their templates, numbers and messages."""
    with ModelServer(uri) as server:
        assert server.registered_models(prompts=True).keys() == {"greeting"}
        versions = {it["version"]: it for it in server.versions(prompts=True)}
        assert versions.keys() == {"1", "2"}
        for number, version in versions.items():
            assert without_bookkeeping(version["tags"]) == {
                "mlflow.prompt.is_prompt": "true",
                "mlflow.prompt.text": f"Hello {{{{ name }}}} {number}",
                "_mlflow_prompt_type": "text",
                "lang": "en",
            }
            assert version["description"] == f"message {number}"
