"""Logged models, registered models and prompts as mlflow-export-import and its fork wrote them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.errors import DirectoryError
from migrate.kinds import Kind, Ref
from migrate.objects import ACTIVE, DELETED, LoggedModel, ModelMetric, ModelVersion
from tests.endpoints.exports import (
    envelope,
    files_below,
    foreign_experiment,
    foreign_run,
    model_root,
    write_json,
    write_old_export,
)

B = "b" * 32


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


def versions_of(source: ExportDirectory) -> list[ModelVersion]:
    return list(source.model_versions.list(list(source.registered_models.list())))


def foreign_version(name: str, number: int, **changes: Any) -> dict[str, Any]:
    """A version in a model.json of mlflow-export-import with MLflow 3."""
    return {
        "name": name,
        "version": str(number),
        "creation_timestamp": 1671070664000 + number,
        "last_updated_timestamp": 1671070665000,
        "description": None,
        "user_id": None,
        "current_stage": "Production",
        "source": f"mlflow-artifacts:/1/{B}/artifacts/model",
        "run_id": B,
        "run_link": None,
        "status": "READY",
        "status_message": None,
        "tags": {"k": "v"},
        "aliases": [],
        "deployment_job_state": "None",
        "_run_artifact_uri": "x",
        "_experiment_name": "sklearn_1",
        "_creation_timestamp": "2022-12-15 02:17:44",
        **changes,
    }


def foreign_model(name: str, versions: object, **changes: Any) -> dict[str, Any]:
    """The ``mlflow`` member of a model.json."""
    model = {
        "name": name,
        "creation_timestamp": 1671070664000,
        "last_updated_timestamp": 1671070665000,
        "description": "about it",
        "tags": [{"key": "owner", "value": "andre"}],
        "aliases": [{"alias": "best", "version": "2"}],
        "versions": versions,
        **changes,
    }
    return {"registered_model": {key: value for key, value in model.items() if value != "absent"}}


def foreign_prompt(name: str, number: int, **changes: Any) -> dict[str, Any]:
    """The ``mlflow`` member of a prompt.json."""
    prompt = {
        "name": name,
        "version": number,
        "template": "Hello {{name}}",
        "tags": {"language": "en"},
        "creation_timestamp": 1671070664000 + number,
        "last_updated_timestamp": 1671070665000,
        "user_id": None,
        "description": "about it",
        "commit_message": "first",
        "variables": ["name"],
        "uri": f"prompts:/{name}/{number}",
        **changes,
    }
    return {"prompt": prompt}


def foreign_logged_model(model_id: str, **changes: Any) -> dict[str, Any]:
    """The ``mlflow`` member of a logged_model.json."""
    return {
        "experiment_id": "5",
        "model_id": model_id,
        "name": "forest",
        "artifact_location": "mlflow-artifacts:/5/models/m/artifacts",
        "creation_time": 1671070664000,
        "last_updated_timestamp": 1671070665000,
        "model_type": None,
        "source_run_id": B,
        "status": "READY",
        "status_message": None,
        "tags": {"k": "v"},
        "params": {"depth": "3"},
        "metrics": [
            {"key": "acc", "value": 0.5, "timestamp": 5, "step": 1, "model_id": model_id}
            | {"dataset_name": None, "dataset_digest": None, "run_id": B}
        ],
        "model_uri": f"models:/{model_id}",
        "dataset_inputs": [],
        **changes,
    }


def write_logged_models(base: Path, listed: list[str] | None) -> Path:
    """An experiment of late 2025 with two logged models; return their directory."""
    experiment = foreign_experiment("5", [])
    if listed is not None:
        experiment["logged_models"] = listed
    write_json(base / "5" / "experiment.json", envelope(experiment))
    folder = base / "5" / "logged_models"
    for model_id in ("m-1", "m-2"):
        content = envelope(foreign_logged_model(model_id))
        write_json(folder / model_id / "logged_model.json", content)
    write_json(folder / "logged_models.json", envelope({"experiments": []}))
    (folder / "m-1" / "artifacts").mkdir()
    (folder / "m-1" / "artifacts" / "MLmodel").write_bytes(b"x")
    return folder


def test_logged_models(tmp_path: Path) -> None:
    write_logged_models(tmp_path, ["m-1", "m-2"])
    source = reader(tmp_path)
    first, second = source.logged_models.list(["5"])
    assert first == LoggedModel(
        model_id="m-1",
        experiment_id="5",
        name="forest",
        source_run_id=B,
        artifact_uri="mlflow-artifacts:/5/models/m/artifacts",
        creation_time=1671070664000,
        last_update_time=1671070665000,
        params={"depth": "3"},
        tags={"k": "v"},
        metrics=(ModelMetric("acc", 0.5, 5, 1, B),),
    )
    assert second.model_id == "m-2"
    assert files_below(source, model_root("m-1")) == {"MLmodel": b"x"}
    assert files_below(source, model_root("m-2")) == {}
    assert source.unsupported(["5"]) == {}
    assert source.unreadable.all() == []


@pytest.mark.parametrize("listed", [["m-1", "m-3"], None])
def test_a_logged_model_that_was_not_listed_did_not_finish(
    tmp_path: Path, listed: list[str] | None
) -> None:
    write_logged_models(tmp_path, listed)
    source = reader(tmp_path)
    found = [it.model_id for it in source.logged_models.list(["5"])]
    told = {entry.ref.id: entry.reason for entry in source.unreadable.all()}
    if listed is None:
        assert (found, told) == (["m-1", "m-2"], {})
    else:
        assert found == ["m-1"]
        assert "did not finish" in told["m-2"]
        alone = reader(tmp_path)
        assert alone.logged_models.read(["m-2"]) == []
        assert [entry.ref.id for entry in alone.unreadable.all()] == ["m-2"]
        assert "is not there" in told["m-3"]


def test_broken_logged_models_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    folder = write_logged_models(tmp_path, None)
    whole = (folder / "m-2" / "logged_model.json").read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "no-name": json.dumps(envelope({"model_id": "x"})).encode(),
        "metrics": json.dumps(envelope(foreign_logged_model("x", metrics=[5]))).encode(),
    }
    for name, content in broken.items():
        (folder / name).mkdir()
        (folder / name / "logged_model.json").write_bytes(content)
    shutil.copytree(folder / "m-2", folder / "copy")
    source = reader(tmp_path)
    assert [it.model_id for it in source.logged_models.list(["5"])] == ["m-2", "m-1"]
    told = {entry.ref.id for entry in source.unreadable.all()}
    assert told == {*broken, "m-2"}  # the copy came first
    assert [it.model_id for it in reader(tmp_path).logged_models.read(["m-1"])] == ["m-1"]


@pytest.mark.parametrize(
    "odd", [{"timestamp": 5.5}, {"step": "1.5"}, {"value": None}, {"key": None}], ids=str
)
def test_an_odd_point_of_a_logged_model_is_lost_by_name_and_all_else_is_read(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    folder = write_logged_models(tmp_path, None)
    good = {"key": "acc", "value": 0.5, "timestamp": 5, "step": 1, "run_id": B}
    content = foreign_logged_model("m-1", metrics=[{**good, **odd}, good], tags={"a": {}, "b": "1"})
    write_json(folder / "m-1" / "logged_model.json", envelope(content))
    (model, _) = reader(tmp_path).logged_models.list(["5"])
    assert model.metrics == (ModelMetric("acc", 0.5, 5, 1, B),)
    assert model.tags == {"b": "1"}
    metric = "metric" if "key" in odd else "metric acc"
    assert [loss.what for loss in model.losses] == ["tag a", metric]
    assert model.losses[1].reason.startswith("1 of its points: ")


def test_odd_members_of_registered_models_and_versions_cost_themselves_by_name(
    tmp_path: Path,
) -> None:
    version = foreign_version("fraud", 1, tags=[{"key": "k", "value": "v"}, {"key": "odd"}, {}])
    content = foreign_model("fraud", [version])
    content["registered_model"] |= {
        "tags": [{"key": "owner", "value": "andre"}, {"key": "deep", "value": {}}],
        "aliases": [{"alias": "best", "version": 1}, {"alias": "none", "version": "newest"}],
    }
    write_json(tmp_path / "models" / "fraud" / "model.json", envelope(content))
    write_json(tmp_path / "models" / "models.json", envelope({"models": ["fraud"]}))
    source = reader(tmp_path)
    (model,) = source.registered_models.list()
    assert (model.tags, model.aliases) == ({"owner": "andre"}, {"best": 1})
    assert [loss.what for loss in model.losses] == ["tag deep", "alias none"]
    (one,) = source.model_versions.list([model])
    assert (one.tags, one.aliases) == ({"k": "v", "odd": ""}, ("best",))
    assert [loss.what for loss in one.losses] == ["tag without a key"]


def test_a_logged_model_whose_directory_has_another_name(tmp_path: Path) -> None:
    folder = write_logged_models(tmp_path, None)
    (folder / "m-1").rename(folder / "renamed")
    assert files_below(reader(tmp_path), model_root("m-1")) == {"MLmodel": b"x"}


def test_a_deleted_logged_model_is_listed_as_deleted(tmp_path: Path) -> None:
    folder = write_logged_models(tmp_path, None)
    content = foreign_logged_model("m-1", lifecycle_stage=DELETED)
    write_json(folder / "m-1" / "logged_model.json", envelope(content))
    source = reader(tmp_path)
    stages = {it.model_id: it.lifecycle_stage for it in source.logged_models.list(["5"])}
    assert stages == {"m-1": DELETED, "m-2": ACTIVE}
    assert [it.lifecycle_stage for it in source.logged_models.read(["m-1"])] == [DELETED]


@pytest.mark.parametrize("key", ["versions", "latest_versions"])
def test_registered_models(tmp_path: Path, key: str) -> None:
    """Of every generation, with versions in the order of their numbers as text."""
    write_old_export(tmp_path / "experiments")
    versions = [foreign_version("fraud", number) for number in (1, 10, 2)]
    versions[0]["source"] = "models:/m-7"
    versions[1] |= {"tags": [{"key": "k", "value": "w"}], "model_id": "m-8", "run_id": None}
    content = foreign_model("fraud", "absent")
    content["registered_model"][key] = versions
    write_json(tmp_path / "models" / "fraud" / "model.json", envelope(content))
    copied = tmp_path / "models" / "fraud" / B
    write_json(copied / "run.json", envelope(foreign_run(B)))
    (copied / "artifacts").mkdir()
    write_json(copied / "artifacts" / "model.json", {"not": "one of these"})
    write_json(tmp_path / "models" / "models.json", envelope({"models": ["fraud"]}))

    source = reader(tmp_path)
    (model,) = source.registered_models.list()
    assert (model.name, model.kind, model.description) == (
        "fraud",
        Kind.REGISTERED_MODEL,
        "about it",
    )
    assert (model.tags, model.aliases) == ({"owner": "andre"}, {"best": 2})
    assert model.creation_time == 1671070664000
    first, second, third = source.model_versions.list([model])
    assert [it.version for it in (first, second, third)] == [1, 2, 10]
    assert (first.model_id, second.model_id, third.model_id) == ("m-7", "", "m-8")
    assert (second.aliases, first.aliases) == (("best",), ())
    assert (second.run_id, third.run_id) == (B, "")
    assert (second.tags, third.tags) == ({"k": "v"}, {"k": "w"})
    assert (second.stage, second.status, second.description) == ("Production", "READY", "")
    assert [run.run_id for run in source.runs.read([B])] == [B]
    assert source.unreadable.all() == []


def test_aliases_told_with_the_versions_only(tmp_path: Path) -> None:
    versions = [foreign_version("fraud", 1, aliases=["a", "b"]), foreign_version("fraud", 2)]
    content = foreign_model("fraud", versions, aliases="absent", tags="absent")
    write_json(tmp_path / "models" / "fraud" / "model.json", envelope(content))
    (model,) = reader(tmp_path).registered_models.list()
    assert (model.aliases, model.tags) == ({"a": 1, "b": 1}, {})


def test_names_with_slashes_are_nested(tmp_path: Path) -> None:
    for name in ("a", "a/b", "c/d/e"):
        content = foreign_model(name, [foreign_version(name, 1)])
        write_json(tmp_path / "models" / name / "model.json", envelope(content))
    listed = envelope({"models": ["a", "a/b", "c/d/e", "lost"]}, {"failed_models": ["failed"]})
    write_json(tmp_path / "models" / "models.json", listed)
    source = reader(tmp_path)
    assert [it.name for it in source.registered_models.list()] == ["a", "a/b", "c/d/e"]
    told = {entry.ref: entry.reason for entry in source.unreadable.all()}
    assert set(told) == {Ref(Kind.REGISTERED_MODEL, name) for name in ("lost", "failed")}
    assert "failed to export" in told[Ref(Kind.REGISTERED_MODEL, "failed")]
    alone = reader(tmp_path)
    assert [it.name for it in alone.registered_models.list(["c/d/e", "../a", "none"])] == ["c/d/e"]
    assert alone.unreadable.all() == []
    assert [it.name for it in alone.registered_models.list(["failed", "a"])] == ["a"]
    assert [it.ref.id for it in alone.unreadable.all()] == ["failed"]
    assert [it.name for it in versions_of(alone)] == ["a", "a/b", "c/d/e"]


def test_each_broken_registered_model_is_named(tmp_path: Path) -> None:
    models = tmp_path / "models"
    good = foreign_model("good", [foreign_version("good", 1), {"tags": {}}, 5])
    content = envelope(good, {"failed_versions": [{"message": "deleted run", "version": "3"}]})
    write_json(models / "good" / "model.json", content)
    whole = (models / "good" / "model.json").read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "no-model": json.dumps(envelope({})).encode(),
        "no-name": json.dumps(envelope({"registered_model": {}})).encode(),
        "oldest": json.dumps({"registered_model": {"name": "x"}, "info": {}}).encode(),
    }
    for name, damaged in broken.items():
        (models / name).mkdir()
        (models / name / "model.json").write_bytes(damaged)
    source = reader(tmp_path)
    found = list(source.registered_models.list())
    assert [it.name for it in found] == ["good"]
    told = {entry.ref.id: entry for entry in source.unreadable.all()}
    assert set(told) == set(broken)
    for name in broken:
        assert str(models / name / "model.json") in told[name].reason
        assert told[name].hint
    assert [it.version for it in source.model_versions.list(found)] == [1]
    lost = [it for it in source.unreadable.all() if it.ref.kind is Kind.MODEL_VERSION]
    assert sorted(it.ref.id for it in lost) == [
        "good/3",
        "good/number 2 of the list",
        "good/number 3 of the list",
    ]


def test_one_registered_model_in_two_directories_is_read_once(tmp_path: Path) -> None:
    content = envelope(foreign_model("fraud", []))
    for name in ("fraud", "other"):
        write_json(tmp_path / "models" / name / "model.json", content)
    source = reader(tmp_path)
    assert [it.name for it in source.registered_models.list()] == ["fraud"]
    (entry,) = source.unreadable.all()
    assert "which" in entry.reason
    assert str(tmp_path / "models" / "other") in entry.where


def test_a_single_registered_model(tmp_path: Path) -> None:
    """What export-model writes; its runs are in no experiment."""
    content = foreign_model("fraud", [foreign_version("fraud", 1)])
    write_json(tmp_path / "model.json", envelope(content))
    write_json(tmp_path / B / "run.json", envelope(foreign_run(B)))
    write_json(tmp_path / "m-1" / "logged_model.json", envelope(foreign_logged_model("m-1")))
    source = reader(tmp_path)
    assert "are not read" in source.capabilities().notes[0]
    assert list(source.experiments.list()) == []
    assert [it.version for it in versions_of(source)] == [1]
    assert [it.name for it in source.registered_models.list(["fraud", "x"])] == ["fraud"]
    assert source.runs.read([B]) == []
    first = source.capabilities().identity
    shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name} moved")
    moved = reader(tmp_path.parent / f"{tmp_path.name} moved").capabilities().identity
    assert first == moved


def test_a_single_version(tmp_path: Path) -> None:
    """What export-model-version writes; with another source where it was told to."""
    write_json(tmp_path / "model.json", envelope(foreign_model("fraud", "absent")))
    version = foreign_version("fraud", 4, source="elsewhere", _source="models:/m-1")
    write_json(tmp_path / "version.json", envelope({"model_version": version}))
    write_json(tmp_path / "experiment.json", envelope(foreign_experiment("1", ["run"])))
    write_json(tmp_path / "run" / "run.json", envelope(foreign_run(B)))
    source = reader(tmp_path)
    (found,) = versions_of(source)
    assert (found.version, found.source, found.model_id) == (4, "models:/m-1", "m-1")
    assert [run.run_id for run in source.runs.list(["1"])] == [B]
    (tmp_path / "version.json").write_text("{")
    again = reader(tmp_path)
    assert versions_of(again) == []
    assert [it.where for it in again.unreadable.all()] == [str(tmp_path / "version.json")]


@pytest.mark.parametrize("folder", ["prompts", "."])
def test_prompts(tmp_path: Path, folder: str) -> None:
    """Of export-all and of export-prompts; text and chat, as MLflow keeps them in tags."""
    chat = [{"role": "user", "content": "Hi {{name}}"}]
    for name, number, changes in (
        ("greeting", 1, {}),
        ("greeting", 10, {"template": chat}),
        ("greeting", 2, {"template": "two", "commit_message": None}),
        ("greeting_v1", 1, {}),
    ):
        content = envelope(foreign_prompt(name, number, **changes))
        write_json(tmp_path / folder / f"{name}_v{number}" / "prompt.json", content)
    write_json(tmp_path / folder / "prompts_summary.json", envelope({"total_prompts": 4}))
    source = reader(tmp_path)
    prompts = list(source.registered_models.list())
    assert [(it.name, it.kind) for it in prompts] == [
        ("greeting", Kind.PROMPT),
        ("greeting_v1", Kind.PROMPT),
    ]
    assert prompts[0].tags == {"mlflow.prompt.is_prompt": "true"}
    one, two, ten, other = source.model_versions.list(prompts)
    assert [it.version for it in (one, two, ten)] == [1, 2, 10]
    assert other.name == "greeting_v1"
    assert one.kind is Kind.PROMPT_VERSION
    assert one.source == "dummy-source"
    assert one.tags == {
        "mlflow.prompt.is_prompt": "true",
        "mlflow.prompt.text": "Hello {{name}}",
        "_mlflow_prompt_type": "text",
        "language": "en",
    }
    assert (one.description, two.description) == ("first", "about it")
    assert ten.tags["_mlflow_prompt_type"] == "chat"
    assert json.loads(ten.tags["mlflow.prompt.text"]) == chat
    assert [it.name for it in source.registered_models.list(["greeting", "hello"])] == ["greeting"]
    assert source.unreadable.all() == []


def test_broken_prompts_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    for number in (1, 2, 3, 4):
        path = prompts / f"a_v{number}" / "prompt.json"
        write_json(path, envelope(foreign_prompt("a", number)))
    (prompts / "a_v2" / "prompt.json").write_text("{")
    (prompts / "a_v3" / "prompt.json").unlink()
    write_json(prompts / "a_v4" / "prompt.json", envelope({"prompt": {"name": "a", "version": 4}}))
    write_json(prompts / "b_v1" / "prompt.json", envelope({}))
    source = reader(tmp_path)
    assert [it.version for it in versions_of(source)] == [1]
    assert {str(entry.ref) for entry in source.unreadable.all()} == {
        "prompt version:a/2",
        "prompt version:a/3",
        "prompt version:a/4",
        "prompt:b",
    }


def test_a_prompt_that_was_exported_as_a_registered_model(tmp_path: Path) -> None:
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    version = foreign_version("hello", 1, tags={"mlflow.prompt.text": "Hi"}, source="dummy-source")
    content = foreign_model("hello", [version], tags=tags)
    write_json(tmp_path / "models" / "hello" / "model.json", envelope(content))
    source = reader(tmp_path)
    assert [it.kind for it in source.registered_models.list()] == [Kind.PROMPT]
    assert [it.kind for it in versions_of(source)] == [Kind.PROMPT_VERSION]


def test_nothing_is_added_to_the_models_of_another_tool(tmp_path: Path) -> None:
    write_json(tmp_path / "models" / "fraud" / "model.json", envelope(foreign_model("fraud", [])))
    with pytest.raises(DirectoryError, match="not empty"):
        ExportDirectory(tmp_path, writable=True).capabilities()
