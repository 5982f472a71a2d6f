"""Permissions in export directories: kept as the server gave them, where other tools look."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.permissions import permissions_from, permissions_of_users
from migrate.errors import DirectoryError, NotFound, Refused
from migrate.kinds import Kind, Ref
from migrate.objects import Grant, Permissions
from tests.endpoints.exports import (
    a_prompt,
    a_prompt_version,
    a_registered_model,
    a_version,
    an_experiment,
    envelope,
    foreign_experiment,
    write_json,
    write_old_export,
    write_registry,
)
from tests.endpoints.test_permissions import CATALOG, WORKSPACE

EXPERIMENT = Ref(Kind.EXPERIMENT, "7")
MODEL = Ref(Kind.REGISTERED_MODEL, "fraud")
PROMPT = Ref(Kind.PROMPT, "greeting")
REFS = pytest.mark.parametrize("ref", [EXPERIMENT, MODEL, PROMPT], ids=str)
ADA = permissions_of_users([("ada", "EDIT"), ("bob", "READ")])


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


@pytest.fixture
def target(tmp_path: Path) -> ExportDirectory:
    """An export with an experiment, a registered model and a prompt."""
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    write_registry(target, a_registered_model(), [a_version(aliases=("best",))])
    write_registry(target, a_prompt(), [a_prompt_version(aliases=("live",))])
    return target


def record_of(path: Path, ref: Ref) -> dict[str, Any]:
    """What other tools read of an object: where they look for permissions."""
    places = {EXPERIMENT: "7/experiment.json", MODEL: "models/fraud/model.json"}
    file = places.get(ref, "prompts/greeting.prompt.json")
    mlflow: dict[str, Any] = json.loads((path / file).read_text())["mlflow"]
    return mlflow if ref == EXPERIMENT else mlflow["registered_model"]


@REFS
@pytest.mark.parametrize(
    "document", [WORKSPACE, CATALOG, ADA.document], ids=["workspace", "catalog", "basic-auth"]
)
def test_permissions_are_kept_as_they_were_given(
    target: ExportDirectory, tmp_path: Path, ref: Ref, document: dict[str, Any]
) -> None:
    assert target.capabilities().permissions
    assert target.permissions.read(ref) == Permissions()
    wanted = permissions_from(document)
    direct = sum(not grant.inherited for grant in wanted.grants)
    assert target.permissions.write(ref, wanted) == PermissionsWritten(granted=direct)
    assert reader(tmp_path).permissions.read(ref) == wanted
    assert record_of(tmp_path, ref)["permissions"] == document


@REFS
def test_permissions_stay_whatever_else_changes(
    target: ExportDirectory, tmp_path: Path, ref: Ref
) -> None:
    target.permissions.write(ref, ADA)
    target.experiments.set_tags("7", {"new": "tag"})
    target.experiments.rename("7", "another")
    for model, version in (
        (a_registered_model(), a_version(aliases=("best",))),
        (a_prompt(), a_prompt_version(aliases=("live",))),
    ):
        target.registered_models.update(model, replace(model, description="changed"))
        target.model_versions.update(version, replace(version, aliases=("other",)))
    target.publish()
    assert reader(tmp_path).permissions.read(ref) == ADA
    assert record_of(tmp_path, ref)["permissions"] == ADA.document
    assert reader(tmp_path).unreadable.all() == []


@REFS
def test_permissions_that_are_there_are_not_written_again(
    target: ExportDirectory, tmp_path: Path, ref: Ref
) -> None:
    target.permissions.write(ref, ADA)
    target.publish()
    before = {it: it.stat().st_mtime_ns for it in tmp_path.rglob("*")}
    again = ExportDirectory(tmp_path, writable=True)
    assert again.permissions.write(ref, ADA) == PermissionsWritten()
    again.publish()
    assert {it: it.stat().st_mtime_ns for it in tmp_path.rglob("*")} == before


@REFS
def test_later_permissions_take_the_place_of_earlier_ones(
    target: ExportDirectory, tmp_path: Path, ref: Ref
) -> None:
    target.permissions.write(ref, ADA)
    later = permissions_of_users([("bob", "READ"), ("eve", "READ")])
    assert target.permissions.write(ref, later).granted == 1
    assert reader(tmp_path).permissions.read(ref) == later
    assert reader(tmp_path).permissions.read(ref).grants[-1] == Grant("eve", "READ")


@REFS
@pytest.mark.parametrize("damage", ["nobody", [], {"permissions": {"rules": 1}}], ids=str)
def test_permissions_that_cannot_be_read_are_named_and_their_object_is_read(
    target: ExportDirectory, tmp_path: Path, ref: Ref, damage: object
) -> None:
    target.permissions.write(ref, ADA)
    target.publish()
    for file in tmp_path.rglob("*.json"):
        content = json.loads(file.read_text())
        mlflow = content["mlflow"]
        record = mlflow.get("registered_model", mlflow)
        if "permissions" in record:
            record["permissions"] = damage
            write_json(file, content)
    source = reader(tmp_path)
    assert [it.experiment_id for it in source.experiments.list()] == ["7"]
    assert len(list(source.registered_models.list())) == 2
    assert source.unreadable.all() == []
    with pytest.raises(DirectoryError, match=r"permissions in .*\.json cannot be read") as caught:
        source.permissions.read(ref)
    assert "'permissions'" in caught.value.hint
    assert target.permissions.write(ref, ADA).granted == 2
    assert reader(tmp_path).permissions.read(ref) == ADA


def test_permissions_of_what_is_not_there_are_not_found(
    target: ExportDirectory, tmp_path: Path
) -> None:
    for kind in (Kind.EXPERIMENT, Kind.REGISTERED_MODEL, Kind.PROMPT):
        with pytest.raises(NotFound, match="none such"):
            target.permissions.read(Ref(kind, "none such"))
        with pytest.raises(NotFound, match="none such"):
            target.permissions.write(Ref(kind, "none such"), ADA)
    with pytest.raises(NotFound):
        target.permissions.read(Ref(Kind.PROMPT, "fraud"))
    with pytest.raises(Refused):
        reader(tmp_path).permissions.write(EXPERIMENT, ADA)


def test_permissions_of_exports_of_other_tools(tmp_path: Path) -> None:
    """A workspace's, a catalog's, and what they write of servers that have none."""
    write_old_export(tmp_path / "experiments")
    for ident, document in (("1", WORKSPACE), ("2", {"permissions": {}})):
        content = {**foreign_experiment(ident, []), "permissions": document}
        write_json(tmp_path / "experiments" / ident / "experiment.json", envelope(content))
    for name, found in (("a", CATALOG), ("b/c", WORKSPACE), ("d", None)):
        model = {"name": name, "versions": [], **({"permissions": found} if found else {})}
        content = envelope({"registered_model": model})
        write_json(tmp_path / "models" / name / "model.json", content)
    source = reader(tmp_path)
    assert source.permissions.read(Ref(Kind.EXPERIMENT, "1")) == permissions_from(WORKSPACE)
    assert source.permissions.read(Ref(Kind.EXPERIMENT, "2")).dialect == ""
    for name, expected in (("a", CATALOG), ("b/c", WORKSPACE), ("d", {})):
        found_there = source.permissions.read(Ref(Kind.REGISTERED_MODEL, name))
        assert found_there == permissions_from(expected)
