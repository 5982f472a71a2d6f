"""Finding and copying the files of versions: whose they are, and what happens when none are."""

from __future__ import annotations

from typing import Any

import pytest

from migrate.errors import EndpointError, NotAuthenticated, NotFound, Unavailable
from migrate.objects import ArtifactRoot, ModelVersion, RegisteredModel
from migrate.tasks.batches import PATIENT_ATTEMPTS
from migrate.tasks.version_files import copy_version_files, files_of_version, root_of
from tests.graph import loading
from tests.graph.memory import ARCHIVE, MemoryServer

MODEL_ID = "m-" + "1" * 32
RUN: dict[str, Any] = {"run_id": "a", "artifact_uri": "s3://bucket/1/a/artifacts"}
LOGGED = {"model_id": MODEL_ID, "name": "classifier", "source_run_id": "a"}
HELD = {"model/MLmodel": b"x", "model/data": b"abc", "models/other": b"", "alone": b"12"}


@pytest.fixture
def source() -> MemoryServer:
    experiment = {
        "experiment_id": "1",
        "name": "fraud",
        "runs": [RUN, {"run_id": "b"}],
        "logged_models": [LOGGED],
    }
    made = loading.server("source", {"experiments": [experiment]})
    made.files = {"a": dict(HELD), MODEL_ID: {"weights": b"logged"}, "churn/9": {"z": b"nobody's"}}
    return made


def add(source: MemoryServer, number: int, place: str, **fields: Any) -> ModelVersion:
    version = ModelVersion(name="churn", version=number, source=place, **fields)
    source.registered_held["churn"] = RegisteredModel(name="churn")
    source.versions_held["churn", number] = version
    return version


def contents(source: MemoryServer, version: ModelVersion) -> dict[str, bytes]:
    found = files_of_version(source, version)
    read = {}
    for file in found.files:
        if file.path in found.added:
            read[file.path] = found.added[file.path]
            continue
        with found.reader.open(found.root, file) as stream:
            read[file.path] = stream.read()
        assert len(read[file.path]) == file.size
    return read


META = b"model_name: churn\nmodel_version: '1'\n"
IN_FOLDER = {"MLmodel": b"x", "data": b"abc", "registered_model_meta": META}


@pytest.mark.parametrize(
    ("place", "fields", "held"),
    [
        ("runs:/a/model", {}, IN_FOLDER),
        ("runs:/a/model/", {}, IN_FOLDER),
        ("s3://bucket/1/a/artifacts/model", {"run_id": "a"}, IN_FOLDER),
        ("runs:/a", {}, HELD),
        ("runs:/a/alone", {}, {"alone": b"12"}),
        (f"models:/{MODEL_ID}", {}, {"weights": b"logged"}),
        (f"memory:/models/{MODEL_ID}", {"model_id": MODEL_ID}, {"weights": b"logged"}),
        ("runs:/a/classifier", {}, {"weights": b"logged"}),
    ],
)
def test_files_are_those_of_the_run_or_logged_model_that_the_source_is_in(
    source: MemoryServer, place: str, fields: dict[str, str], held: dict[str, bytes]
) -> None:
    assert contents(source, add(source, 1, place, **fields)) == held


def test_a_version_made_of_others_has_their_files(source: MemoryServer) -> None:
    add(source, 1, "runs:/a/model")
    add(source, 2, "models:/churn/1")
    third = add(source, 3, "models:/churn/2")
    meta = META.replace(b"1", b"3")
    assert contents(source, third) == IN_FOLDER | {"registered_model_meta": meta}


def test_what_is_nobodys_is_read_where_it_lies(source: MemoryServer) -> None:
    version = add(source, 9, "s3://elsewhere/x", run_id="a")
    assert contents(source, version) == {"z": b"nobody's"}
    assert files_of_version(source, version).root == ArtifactRoot(version.ref, "s3://elsewhere/x")


@pytest.mark.parametrize(
    "place",
    [
        "runs:/gone/model",
        "runs:/a/nothing",
        "runs:/b",
        "models:/m-2",
        "models:/churn/7",
        "models:/churn/1",
    ],
)
def test_where_there_are_none_the_error_names_the_place(source: MemoryServer, place: str) -> None:
    version = add(source, 1, place)
    with pytest.raises(NotFound, match="no files are at"):
        files_of_version(source, version)
    target = MemoryServer("target", **ARCHIVE)
    sent = copy_version_files(source, version, target, 1)
    assert (sent.files, [loss.what for loss in sent.losses]) == (0, ["files of the version"])


def test_files_that_are_there_are_not_sent_again(source: MemoryServer) -> None:
    version = add(source, 1, "runs:/a/model")
    target = MemoryServer("target", **ARCHIVE)
    assert copy_version_files(source, version, target, 1).files == 3
    assert target.files == {"churn/1": IN_FOLDER}
    assert root_of(version).owner.id == "churn/1"
    assert copy_version_files(source, version, target, 1) == (0, 0, ())
    source.files["a"]["model/data"] = b"longer"
    assert copy_version_files(source, version, target, 1).files == 1
    assert target.files["churn/1"]["data"] == b"longer"


@pytest.mark.parametrize(
    ("problem", "attempt", "raised"),
    [
        (Unavailable("no answer"), 1, True),
        (Unavailable("no answer"), PATIENT_ATTEMPTS, False),
        (EndpointError("no library for s3"), 1, False),
        (NotAuthenticated("wrong password"), PATIENT_ATTEMPTS, True),
    ],
)
def test_what_may_pass_is_tried_again_and_what_does_not_is_a_loss(
    source: MemoryServer,
    monkeypatch: pytest.MonkeyPatch,
    problem: Exception,
    attempt: int,
    raised: bool,
) -> None:
    version = add(source, 1, "runs:/a/model")

    def fails(root: ArtifactRoot) -> None:
        raise problem

    monkeypatch.setattr(source.artifacts, "list", fails)
    target = MemoryServer("target", **ARCHIVE)
    if raised:
        with pytest.raises(type(problem)):
            copy_version_files(source, version, target, attempt)
        return
    (loss,) = copy_version_files(source, version, target, attempt).losses
    assert str(problem) in loss.reason
