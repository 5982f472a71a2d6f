"""What is damaged in an export hides nothing, and what is missing is completed by the next one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.directory import ExportDirectory
from migrate.kinds import Kind, Ref
from tests.conftest import RunMigrate
from tests.endpoints.exports import (
    a_logged_model,
    a_registered_model,
    a_run,
    a_version,
    an_experiment,
    files_of,
    write_json,
    write_logged_model,
    write_old_export,
    write_registry,
    write_run,
)

A, B = "a" * 32, "b" * 32


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Two experiments, of which the first has two runs and a logged model, and a model."""
    path = tmp_path / "export"
    target = ExportDirectory(path, writable=True, holds_models=True)
    for ident in ("7", "8"):
        target.experiments.create(an_experiment(ident))
    for run_id in (A, B):
        write_run(target, a_run(run_id), files={"notes.txt": b"x"})
    write_run(target, a_run("c" * 32, experiment_id="8"))
    write_logged_model(target, a_logged_model(), files={"MLmodel": b"x"})
    write_registry(target, a_registered_model(), [a_version(1), a_version(2)])
    target.publish()
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


def refs_unreadable(source: ExportDirectory) -> set[Ref]:
    """Lists everything, and returns what could not be read."""
    experiments = [it.experiment_id for it in source.experiments.list()]
    list(source.runs.list(experiments))
    list(source.logged_models.list(experiments))
    list(source.model_versions.list(list(source.registered_models.list())))
    return {entry.ref for entry in source.unreadable.all()}


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_an_experiment_without_its_file_is_read_by_the_name_in_the_index(
    export: Path, damage: Callable[[Path], None]
) -> None:
    damage(export / "experiments" / "7" / "experiment.json")
    source = reader(export)
    experiments = {it.experiment_id: it for it in source.experiments.list()}
    assert experiments["7"].name == "experiment 7"
    [lost] = experiments["7"].losses
    assert lost.what == "all but its name"
    assert "experiment.json" in lost.reason
    assert {run.run_id for run in source.runs.list(["7"])} == {A, B}
    assert [it.model_id for it in source.logged_models.list(["7"])] == ["m-1"]
    assert [run.run_id for run in reader(export).runs.read_in("7", [B])] == [B]
    assert refs_unreadable(source) == set()


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_an_experiment_that_nothing_names_is_named_with_all_that_is_in_it(
    export: Path, damage: Callable[[Path], None], tmp_path: Path, run_migrate: RunMigrate
) -> None:
    damage(export / "experiments" / "7" / "experiment.json")
    cut(export / "experiments" / "experiments.json")
    source = reader(export)
    assert refs_unreadable(source) == {
        Ref(Kind.EXPERIMENT, "7"),
        Ref(Kind.RUN, A),
        Ref(Kind.RUN, B),
        Ref(Kind.LOGGED_MODEL, "m-1"),
    }
    assert "experiments.json is not valid JSON" in " ".join(source.unknown())
    ended = run_migrate("run", export, tmp_path / "copy", "--json")
    assert ended.returncode == 3, ended.stderr
    report = json.loads(ended.stdout)
    totals = {kind: (it["failed"], it["blocked"]) for kind, it in report["totals"].items()}
    assert totals["experiment"] == (1, 0)
    assert totals["run"] == (0, 2)
    assert "what experiment:7 holds was not looked for" in report["unknown"][0]
    assert "experiments.json is not valid JSON" in report["unknown"][1]
    assert list((tmp_path / "copy").rglob("c" * 32))


def test_an_export_of_which_only_runs_are_left_is_one(export: Path) -> None:
    for path in (*export.rglob("experiment*.json"), export / "manifest.json"):
        path.unlink()
    shutil.rmtree(export / "models")
    assert {ref.id for ref in refs_unreadable(reader(export)) if ref.kind is Kind.RUN} == {
        A,
        B,
        "c" * 32,
    }


def test_a_run_of_another_id_than_its_directory_is_named(export: Path) -> None:
    runs = export / "experiments" / "7" / "runs"
    for name, holds in (("d" * 32, "e" * 32), ("f" * 32, A)):
        shutil.copytree(runs / A, runs / name)
        path = runs / name / "run.json"
        path.write_text(path.read_text().replace(A, holds))
    source = reader(export)
    assert refs_unreadable(source) == {Ref(Kind.RUN, "d" * 32), Ref(Kind.RUN, "f" * 32)}
    assert {run.run_id for run in source.runs.list(["7"])} == {A, B}


def test_two_directories_of_another_tool_with_one_id_are_read_as_the_first(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    shutil.copytree(tmp_path / "1" / B, tmp_path / "1" / "zz")
    path = tmp_path / "1" / "zz" / "run.json"
    path.write_text(path.read_text().replace("train.sh", "another"))
    listed = reader(tmp_path)
    [first] = [run for run in listed.runs.list(["1"]) if run.run_id == B]
    assert Ref(Kind.RUN, "zz") in {entry.ref for entry in listed.unreadable.all()}
    assert reader(tmp_path).runs.read_in("1", [B]) == [first]


def test_what_lists_of_models_name_and_the_disk_lacks_is_named(export: Path) -> None:
    versions = export / "models" / "fraud" / "versions"
    (versions / "2.json").unlink()
    assert refs_unreadable(reader(export)) == {Ref(Kind.MODEL_VERSION, "fraud/2")}
    cut(export / "models" / "models.json")
    source = reader(export)
    refs_unreadable(source)
    assert "models.json is not valid JSON" in " ".join(source.unknown())


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_model_without_its_file_is_named_with_its_versions(
    export: Path, damage: Callable[[Path], None]
) -> None:
    damage(export / "models" / "fraud" / "model.json")
    assert refs_unreadable(reader(export)) == {
        Ref(Kind.REGISTERED_MODEL, "fraud"),
        Ref(Kind.MODEL_VERSION, "fraud/1"),
        Ref(Kind.MODEL_VERSION, "fraud/2"),
    }


def test_a_model_with_an_empty_name_is_named_by_its_directory_with_its_versions(
    export: Path,
) -> None:
    path = export / "models" / "fraud" / "model.json"
    content = json.loads(path.read_text())
    model = content["mlflow"]["registered_model"]
    model["name"] = ""
    write_json(path, content)
    source = reader(export)
    assert refs_unreadable(source) == {
        Ref(Kind.REGISTERED_MODEL, "fraud"),
        Ref(Kind.MODEL_VERSION, "fraud/1"),
        Ref(Kind.MODEL_VERSION, "fraud/2"),
    }
    found = source.unreadable.of(Ref(Kind.REGISTERED_MODEL, "fraud"))
    assert found is not None
    assert "its name is empty" in found.reason


def without_sidecar(run: Path) -> None:
    (run / "migrate.json").unlink()


def with_a_cut_sidecar(run: Path) -> None:
    cut(run / "migrate.json")


def with_the_sidecar_of_another(run: Path) -> None:
    write_json(
        run / "migrate.json",
        {**json.loads((run.parent / B / "migrate.json").read_text()), "record_bytes": 7},
    )


def without_its_record(run: Path) -> None:
    (run / "run.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [without_sidecar, with_a_cut_sidecar, with_the_sidecar_of_another, without_its_record],
)
def test_the_next_export_completes_a_run_that_is_there_in_part(
    export: Path, damage: Callable[[Path], None], tmp_path: Path, run_migrate: RunMigrate
) -> None:
    copy = tmp_path / "copy"
    assert run_migrate("run", export, copy).returncode == 0
    run = copy / "experiments" / "7" / "runs" / A
    index = copy / "experiments" / "7" / "experiment.json"
    document = json.loads(index.read_text())
    document["mlflow"]["runs"].remove(A)
    index.write_text(json.dumps(document))
    damage(run)
    ended = run_migrate("run", export, copy)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    verified = run_migrate("verify", export, copy)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert A in json.loads(index.read_text())["mlflow"]["runs"]


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_the_next_export_describes_an_experiment_anew_whose_file_is_damaged(
    export: Path, damage: Callable[[Path], None]
) -> None:
    path = export / "experiments" / "7" / "experiment.json"
    damage(path)
    target = ExportDirectory(export, writable=True)
    assert target.experiments.create(an_experiment()) == "7"
    target.publish()
    assert sorted(json.loads(path.read_text())["mlflow"]["runs"]) == [A, B]
    assert refs_unreadable(reader(export)) == set()


@pytest.mark.parametrize("name", ["logged_model.json", "migrate.json"])
def test_the_next_export_completes_a_logged_model_that_is_there_in_part(
    export: Path, name: str
) -> None:
    place = export / "experiments" / "7" / "logged_models" / "m-1"
    (place / name).unlink()
    target = ExportDirectory(export, writable=True)
    model = replace(a_logged_model(), experiment_id="7")
    if name == "logged_model.json":
        copy = target.logged_models.create("7", model)
    else:
        [copy] = target.logged_models.read(["m-1"])
    target.logged_models.finish(copy, model, "1abc.def")
    assert [it.model_id for it in reader(export).logged_models.list(["7"])] == ["m-1"]
    assert (place / "artifacts" / "MLmodel").read_bytes() == b"x"


def test_a_file_name_that_is_no_text_costs_that_file_and_nothing_else(
    export: Path, tmp_path: Path, run_migrate: RunMigrate, fresh_target: TrackingServerProcess
) -> None:
    artifacts = export / "experiments" / "7" / "runs" / A / "artifacts"
    (artifacts / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"latin")
    ended = run_migrate("run", export, fresh_target.uri, "--experiments", "all", "--json")
    assert ended.returncode == 3, ended.stderr
    report = json.loads(ended.stdout)
    assert report["failures"] == []
    [loss] = [it for it in report["losses"] if it["id"] == A and "artifact" in it["what"]]
    assert "caf" in loss["what"]
    client = MlflowClient(fresh_target.uri)
    experiments = [it.experiment_id for it in client.search_experiments()]
    [copy] = [
        run
        for run in client.search_runs(experiments)
        if run.data.tags["mlflow-migrate.origin"] == A
    ]
    assert [file.path for file in client.list_artifacts(copy.info.run_id)] == ["notes.txt"]
    # A directory has a name for it.
    assert run_migrate("run", export, tmp_path / "copy").returncode == 0
    stored = reader(tmp_path / "copy")
    list(stored.experiments.list())
    assert files_of(stored, A)[os.fsdecode(b"caf\xe9.txt")] == b"latin"
