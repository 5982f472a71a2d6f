"""Registered models into Unity Catalog, out of it, and with it from workspace to workspace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.databricks.answers import Asked, Refusal
from tests.databricks.catalog import REGISTRY, Model
from tests.databricks.conftest import Migrate
from tests.databricks.workspace import Workspace
from tests.hostile import Canary
from tests.seed_models import ModelSource

INTO_CATALOG = ("--target-registry-uri", "databricks-uc://two")
OUT_OF_CATALOG = ("--source-registry-uri", "databricks-uc://one")


@dataclass(frozen=True)
class Seeded:
    experiment: str
    name: str
    run: str
    #: What the copy is to be called, and the rename file that says so.
    full: str
    renames: Path


@pytest.fixture
def seeded(workspace: Workspace, unique_name: str, tmp_path: Path) -> Seeded:
    """A registered model of the workspace with versions 1 and 3, both of the files of a run."""
    short = unique_name[-8:]
    experiment = f"/Shared/{unique_name}"
    with ModelSource(workspace.upstream) as source:
        ident = source.experiment(experiment)
        run = source.run("train", ident)
        source.artifact(run, "model/MLmodel", mlmodel(run))
        source.artifact(run, "model/data/weights", b"abc")
        place = f"{source.seeded.artifact_uris[run]}/model"
        name = source.registered(
            f"churn_{short}",
            description="who leaves",
            tags={"team": "risk", "needs.review": "yes", "long": "x" * 1500},
        )
        for tag in ("one", "two", "three"):
            source.version(name, place, run_id=run, tags={"stage_of": tag})
        source.delete_version(name, 2)
        source.alias(name, "champion", 3)
        source.stage(name, 1, "Production")
    full = f"main.ml.{name}"
    renames = tmp_path / "renames.csv"
    renames.write_text(f"{name},{full}\n")
    return Seeded(experiment, name, run, full, renames)


def mlmodel(run_id: str) -> bytes:
    return f"artifact_path: model\nflavors: {{}}\nrun_id: {run_id}\n".encode()


def into_catalog(seeded: Seeded) -> tuple[str | Path, ...]:
    chosen = ("--models", seeded.name, "--model-rename-file", seeded.renames)
    return ("run", "databricks://one", "databricks://two", *INTO_CATALOG, *chosen)


def check_copied(model: Model, seeded: Seeded) -> None:
    assert model.body["description"] == "who leaves"
    assert model.tags["team"] == "risk"
    assert model.aliases == {"champion": "3"}
    assert sorted(model.versions) == ["1", "3"]
    for number, tag in (("1", "one"), ("3", "three")):
        version = model.versions[number]
        assert version.tags["stage_of"] == tag
        assert version.body["status"] == "READY"
        assert version.files["data/weights"] == b"abc"
        # It names the copy of the run.
        assert version.body["run_id"] != seeded.run
        assert version.files["MLmodel"] == mlmodel(version.body["run_id"])


def test_versions_arrive_in_the_catalog_with_their_files_and_numbers(
    migrate: Migrate, other: Workspace, seeded: Seeded
) -> None:
    result = migrate(*into_catalog(seeded), code=3)
    model = other.catalog.models[seeded.full]
    check_copied(model, seeded)
    # What has no place there is told by name.
    for lost in ("needs.review", "tag long", "stage Production"):
        assert lost in result.stdout
    assert model.tags["long"] == "x" * 1000
    # Our own tags are spelled as the catalog takes them, and found again.
    assert model.tags["mlflow_migrate__origin"].startswith(f"{seeded.name}@")
    writes = [asked for asked in other.log if "/unity-catalog/" in asked[1] and asked[0] != "GET"]
    migrate(*into_catalog(seeded), code=3)
    assert [it for it in other.log if "/unity-catalog/" in it[1] and it[0] != "GET"] == writes
    verified = ("--models", seeded.name, "--model-rename-file", seeded.renames)
    migrate("verify", "databricks://one", "databricks://two", *INTO_CATALOG, *verified)


@pytest.mark.thorough
def test_a_version_whose_files_did_not_all_arrive_is_completed_by_the_next_try(
    migrate: Migrate, other: Workspace, seeded: Seeded
) -> None:
    def refuse(asked: Asked) -> None:
        if asked.path == f"{REGISTRY}/model-versions/finalize":
            other.refuse = lambda asked: None
            raise Refusal(400, "INVALID_STATE", "not now")

    other.refuse = refuse
    migrate(*into_catalog(seeded), code=3)
    migrate("run", "--resume", code=3)
    check_copied(other.catalog.models[seeded.full], seeded)


def test_names_of_one_level_are_refused_before_anything_is_written(
    migrate: Migrate, other: Workspace, seeded: Seeded
) -> None:
    result = migrate(
        "plan",
        "databricks://one",
        "databricks://two",
        *INTO_CATALOG,
        *("--models", seeded.name),
        code=2,
    )
    assert seeded.name in result.stderr
    assert "--model-rename-file" in result.stderr
    assert not other.catalog.models


@pytest.mark.thorough
def test_models_and_privileges_go_through_a_directory_from_catalog_to_catalog(
    migrate: Migrate, workspace: Workspace, other: Workspace, seeded: Seeded, tmp_path: Path
) -> None:
    name = seeded.full
    model = Model({"name": name, "description": "who leaves", "creation_timestamp": 1})
    model.tags["team"] = "risk"
    workspace.catalog.models[name] = model
    for made in (workspace, other):
        made.accounts.users.add("ada@example.com")
        made.accounts.groups["risk"] = set()
    workspace.catalog.grants["main.ml"] = {"risk": {"EXECUTE"}}
    workspace.catalog.grants[name] = {"ada@example.com": {"EXECUTE", "APPLY_TAG"}}
    chosen = ("--models", name, "--permissions")
    migrate("run", "databricks://one", "out", *OUT_OF_CATALOG, *chosen)
    record = json.loads((tmp_path / "out/models" / name / "model.json").read_text())
    document = record["mlflow"]["registered_model"]["permissions"]
    assert document["permissions"]["privilege_assignments"] == [
        {"principal": "ada@example.com", "privileges": ["APPLY_TAG", "EXECUTE"]}
    ]
    effective = document["effective_permissions"]["privilege_assignments"]
    assert [it["principal"] for it in effective] == ["ada@example.com", "risk"]
    migrate(
        "run", "out", "databricks://two", *INTO_CATALOG, "--permissions", "--state", "second.db"
    )
    assert other.catalog.models[name].tags["team"] == "risk"
    # What holds because of the schema is not made the model's own.
    assert other.catalog.grants[name] == {"ada@example.com": {"EXECUTE", "APPLY_TAG"}}


@pytest.mark.thorough
@pytest.mark.parametrize("exported", [False, True], ids=["into", "out of"])
def test_no_file_of_a_version_goes_to_or_comes_from_a_host_that_is_no_storage(
    exported: bool, migrate: Migrate, other: Workspace, seeded: Seeded
) -> None:
    with Canary() as third:
        if exported:
            migrate(*into_catalog(seeded), code=3)
        other.catalog.sends_to = f"http://{third.host}"
        if exported:
            chosen = ("--models", seeded.full, "--output-dir", "out", "--export-version-model")
            tracked = ("--source", "databricks://two", "--registry-uri", "databricks-uc://two")
            migrate("export-models", *chosen, "True", *tracked, code=3)
        else:
            migrate(*into_catalog(seeded), code=3)
        assert third.called == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "files_api", [pytest.param(False, id="signed", marks=pytest.mark.thorough), True]
)
def test_files_of_versions_are_exported_from_the_catalog_with_the_command_other_tools_have(
    files_api: bool, migrate: Migrate, other: Workspace, seeded: Seeded, tmp_path: Path
) -> None:
    other.catalog.files_api = files_api
    migrate(*into_catalog(seeded), code=3)
    chosen = ("--models", seeded.full, "--output-dir", "out", "--export-version-model", "True")
    tracked = ("--source", "databricks://two", "--registry-uri", "databricks-uc://two")
    migrate("export-models", *chosen, *tracked)
    assert not list(tmp_path.glob("*.db"))
    folder = tmp_path / "out/models" / seeded.full / "version_models" / "3"
    assert (folder / "data/weights").read_bytes() == b"abc"
    record = json.loads((folder.parent.parent / "model.json").read_text())
    versions = record["mlflow"]["registered_model"]["versions"]
    assert [int(version["version"]) for version in versions] == [1, 3]
    assert record["mlflow"]["registered_model"]["aliases"] == [
        {"alias": "champion", "version": "3"}
    ]
