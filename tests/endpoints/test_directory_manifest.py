"""What an export says of its making: manifest.json, and the numbers and options of the indexes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrate.cli.choices import parse_choices
from migrate.endpoints.answers import Ended
from migrate.endpoints.directory import ExportDirectory
from migrate.objects import DELETED
from tests.endpoints.exports import (
    a_prompt,
    a_prompt_version,
    a_registered_model,
    a_run,
    a_version,
    an_experiment,
    write_registry,
    write_run,
)

EVERYTHING = {**parse_choices().as_options(), "use_threads": True}
CHOSEN = parse_choices(
    models=["fraud", "wine*"],
    stages=["Production,Staging"],
    latest_versions=True,
    permissions=True,
    include_deleted=True,
    version_models=True,
    run_start_time="2024-01-02",
    runs_until="2025-01-02 03:04:05",
    notebook_formats=["SOURCE,DBC"],
).as_options()


@pytest.fixture
def target(tmp_path: Path) -> ExportDirectory:
    """An export of models with one of everything, and a deleted run."""
    target = ExportDirectory(tmp_path, writable=True, holds_models=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run())
    write_run(target, a_run("b" * 32, lifecycle_stage=DELETED))
    write_registry(target, a_registered_model(), [a_version(), a_version(2)])
    write_registry(target, a_prompt(), [a_prompt_version()])
    return target


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def without_durations(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_durations(it) for key, it in value.items() if key != "duration"}
    return [without_durations(it) for it in value] if isinstance(value, list) else value


def indexes(path: Path) -> dict[str, tuple[int, Any]]:
    names = ("manifest.json", "models/models.json", "experiments/experiments.json")
    found = [*(path / name for name in names), path / "models" / "fraud" / "model.json"]
    return {str(it.relative_to(path)): (it.stat().st_mtime_ns, load(it)) for it in found}


def test_the_manifest_of_everything(target: ExportDirectory, tmp_path: Path) -> None:
    target.publish(Ended(options=EVERYTHING))
    manifest = load(tmp_path / "manifest.json")
    assert manifest["mlflow"] == {}
    assert manifest["system"]["export_file_version"] == "2"
    stages = "Staging,Production,Archived,None"
    options = {
        "stages": stages,
        "export_latest_versions": False,
        "notebook_formats": [],
        "use_threads": True,
        "output_dir": str(tmp_path),
        "export_all_runs": True,
        "export_permissions": False,
        "export_deleted_runs": False,
        "export_version_model": False,
        "run_start_time": None,
        "runs_until": None,
    }
    numbers = {"num_total_models": 1, "num_ok_models": 1, "num_failed_models": 0}
    status = {"experiments": 1, "total_runs": 2, "ok_runs": 2, "failed_runs": 0}
    counts = {"total_prompts": 1, "successful_exports": 1, "failed_exports": 0}
    assert without_durations(manifest["info"]) == {
        "model_names": "all",
        **options,
        "options": options,
        "models": {
            "model_names": ["fraud"],
            **numbers,
            "failed_models": [],
            "stages": stages,
            "export_latest_versions": False,
            "notebook_formats": [],
            "use_threads": True,
            "output_dir": str(tmp_path / "models"),
        },
        "experiments": {
            "experiment_names": ["experiment 7"],
            "options": {
                "experiments": "all",
                "output_dir": str(tmp_path / "experiments"),
                "export_permissions": False,
                "run_start_time": None,
                "runs_until": None,
                "export_deleted_runs": False,
                "notebook_formats": [],
                "use_threads": True,
            },
            "status": status,
        },
        "status": {
            "models": numbers,
            "experiments": status,
            "prompts": counts,
            "evaluation_datasets": {},
        },
    }
    for part in (manifest["info"]["status"], manifest["info"]["models"]):
        assert isinstance(part["duration"], float)


def test_each_file_tells_the_options_it_was_written_with(
    target: ExportDirectory, tmp_path: Path
) -> None:
    target.publish(Ended(options=CHOSEN))
    info = load(tmp_path / "manifest.json")["info"]
    assert info["model_names"] == ["fraud", "wine*"]
    assert (info["stages"], info["export_latest_versions"]) == ("Staging,Production", True)
    assert (info["export_all_runs"], info["export_deleted_runs"]) == (False, True)
    assert (info["export_permissions"], info["export_version_model"]) == (True, True)
    assert info["notebook_formats"] == ["SOURCE", "DBC"]
    experiments = load(tmp_path / "experiments" / "experiments.json")["info"]
    assert experiments == info["experiments"]
    assert experiments["options"]["experiments"] == []
    assert experiments["options"]["run_start_time"] == "2024-01-02 00:00:00"
    assert experiments["options"]["runs_until"] == "2025-01-02 03:04:05"
    models = load(tmp_path / "models" / "models.json")["info"]
    assert models == info["models"]
    assert models["export_latest_versions"] is True
    model = load(tmp_path / "models" / "fraud" / "model.json")["info"]
    assert (model["num_target_stages"], model["num_target_versions"]) == (2, 0)
    assert (model["export_latest_versions"], model["export_permissions"]) == (True, True)
    assert (model["num_src_versions"], model["num_dst_versions"]) == (2, 2)


def test_an_export_of_experiments_has_no_manifest(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    target.publish(Ended(options=parse_choices(experiments=["a", "b"]).as_options()))
    assert not (tmp_path / "manifest.json").exists()
    assert load(tmp_path / "experiments.json")["info"]["options"]["experiments"] == ["a", "b"]
    write_registry(target, a_registered_model(), [a_version()])
    target.publish(Ended(options=EVERYTHING))
    assert load(tmp_path / "manifest.json")["info"]["models"]["num_ok_models"] == 1


def test_an_export_of_models_that_found_none_has_every_index(tmp_path: Path) -> None:
    """So that import-models of other tools, which reads both, finds that there is nothing."""
    target = ExportDirectory(tmp_path, writable=True, holds_models=True)
    target.publish(Ended(options=EVERYTHING))
    assert load(tmp_path / "models" / "models.json")["mlflow"]["models"] == []
    assert load(tmp_path / "experiments" / "experiments.json")["mlflow"]["experiments"] == []
    assert load(tmp_path / "manifest.json")["info"]["models"]["num_total_models"] == 0
    assert list(ExportDirectory(tmp_path, writable=False).registered_models.list()) == []


def test_the_same_export_gives_the_same_files_but_for_times(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        path = tmp_path / name
        target = ExportDirectory(path, writable=True, holds_models=True)
        target.experiments.create(an_experiment())
        write_run(target, a_run())
        write_registry(target, a_registered_model(), [a_version()])
        target.publish(Ended(options=CHOSEN))
        text = {
            name: json.dumps(without_durations({**content, "system": {}}))
            for name, (_, content) in indexes(path).items()
        }
        found.append({name: it.replace(str(path), "") for name, it in text.items()})
    assert found[0] == found[1]


def test_publishing_again_with_the_same_options_writes_nothing(
    target: ExportDirectory, tmp_path: Path
) -> None:
    target.publish(Ended(options=CHOSEN))
    before = indexes(tmp_path)
    target._export.durations._opened -= 100  # as if it took longer this time
    target.publish(Ended(options=CHOSEN))
    ExportDirectory(tmp_path, writable=True).publish(Ended(options=CHOSEN))
    assert indexes(tmp_path) == before


def test_the_indexes_tell_the_options_of_the_last_export(
    target: ExportDirectory, tmp_path: Path
) -> None:
    target.publish(Ended(options=CHOSEN))
    ExportDirectory(tmp_path, writable=True).publish(Ended(options=EVERYTHING))
    assert load(tmp_path / "manifest.json")["info"]["model_names"] == "all"
    model = load(tmp_path / "models" / "fraud" / "model.json")["info"]
    assert (model["export_latest_versions"], model["export_permissions"]) == (False, False)


def test_an_experiment_keeps_the_time_it_took(target: ExportDirectory, tmp_path: Path) -> None:
    target._export.durations._spans["7"] = (10.0, 12.5)
    target.publish(Ended(options=EVERYTHING))
    index = tmp_path / "experiments" / "experiments.json"
    assert load(index)["mlflow"]["experiments"][0]["duration"] == 2.5
    again = ExportDirectory(tmp_path, writable=True)
    again.experiments.create(an_experiment("8"))
    again.publish(Ended(options=EVERYTHING))
    durations = {it["id"]: it["duration"] for it in load(index)["mlflow"]["experiments"]}
    assert durations["7"] == 2.5
    assert set(durations) == {"7", "8"}


def test_damaged_indexes_do_not_stop_an_export(target: ExportDirectory, tmp_path: Path) -> None:
    """What an index says of durations is of no weight."""
    target.publish(Ended(options=EVERYTHING))
    index = tmp_path / "experiments" / "experiments.json"
    content = load(index)
    content["mlflow"]["experiments"] = [5, {"id": "7", "duration": "long"}, {}]
    content["mlflow"]["deleted_experiments"] = None
    index.write_text(json.dumps(content))
    ExportDirectory(tmp_path, writable=True).publish(Ended(options=EVERYTHING))
    assert [it["id"] for it in load(index)["mlflow"]["experiments"]] == ["7"]


def test_versions_have_the_members_of_mlflow_3(target: ExportDirectory, tmp_path: Path) -> None:
    target.model_versions.update(a_version(), replace(a_version(), aliases=("best",)))
    target.publish(Ended(options=EVERYTHING))
    model = load(tmp_path / "models" / "fraud" / "model.json")["mlflow"]["registered_model"]
    first = model["versions"][0]
    assert first["_experiment_name"] == "experiment 7"
    assert first["_run_artifact_uri"] == a_run().artifact_uri
    assert first["aliases"] == ["best"]
    assert first["model_id"] == "m-1"
    assert (first["params"], first["metrics"]) == (None, None)
    assert first["deployment_job_state"] == "None"
