"""The files of versions: kept beside their registered model, whole, and read back by name."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.errors import DirectoryError, NotFound, Refused, Unavailable
from migrate.kinds import Kind, Ref
from migrate.objects import Artifact, ArtifactRoot
from tests.endpoints.exports import (
    a_registered_model,
    a_version,
    envelope,
    files_below,
    foreign_experiment,
    foreign_run,
    put,
    write_json,
    write_registry,
)

FILES = {"MLmodel": b"flavors: {}\n", "data/model.pkl": b"x" * 70_000, "od:d/what?": b"", "a": b"1"}


def root(number: int, name: str = "fraud") -> ArtifactRoot:
    return ArtifactRoot(Ref(Kind.MODEL_VERSION, f"{name}/{number}"), f"models:/{name}/{number}")


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


def write_files(target: ExportDirectory, number: int, name: str = "fraud") -> None:
    for path, content in FILES.items():
        put(target, root(number, name), path, content)


@pytest.fixture
def target(tmp_path: Path) -> ExportDirectory:
    """An export with two versions of a registered model, none of which has files."""
    target = ExportDirectory(tmp_path, writable=True)
    write_registry(target, a_registered_model(), [a_version(), a_version(2)])
    return target


def listed_versions(path: Path) -> list[dict[str, object]]:
    content = json.loads((path / "models" / "fraud" / "model.json").read_text())
    versions: list[dict[str, object]] = content["mlflow"]["registered_model"]["versions"]
    return versions


def test_files_of_a_version_are_read_back(target: ExportDirectory, tmp_path: Path) -> None:
    assert target.artifacts.list(root(1)) == []
    write_files(target, 1)
    sizes = {path: len(content) for path, content in FILES.items()}
    assert dict(target.artifacts.list(root(1))) == sizes
    assert target.artifacts.transferred == sum(sizes.values())
    target.publish()
    assert files_below(reader(tmp_path), root(1)) == FILES
    folder = tmp_path / "models" / "fraud" / "version_models"
    assert (folder / "1" / "data" / "model.pkl").read_bytes() == FILES["data/model.pkl"]
    assert sorted(it.name for it in folder.iterdir()) == ["1", "1.names.jsonl"]


def test_a_version_with_files_says_so_to_other_tools(
    target: ExportDirectory, tmp_path: Path
) -> None:
    write_files(target, 2)
    target.publish()
    first, second = listed_versions(tmp_path)
    assert "_download_uri" not in first
    assert second["_download_uri"] == "models:/fraud/2"


def test_a_version_without_files_is_not_one_with_no_files(
    target: ExportDirectory, tmp_path: Path
) -> None:
    write_files(target, 1)
    with pytest.raises(NotFound, match="fraud/2 has no files"):
        reader(tmp_path).artifacts.list(root(2))
    for open_one in (target, reader(tmp_path)):
        with pytest.raises(NotFound):
            open_one.artifacts.list(root(1, "none such"))


def test_files_of_versions_are_no_registered_models(
    target: ExportDirectory, tmp_path: Path
) -> None:
    """Whatever they are called, and whether or not the index says that the export is ours."""
    content = (tmp_path / "models" / "fraud" / "model.json").read_bytes()
    for name in ("model.json", "run.json", "sub/model.json", "version.json"):
        put(target, root(1), name, content)
    for _ in range(2):
        source = reader(tmp_path)
        assert [it.name for it in source.registered_models.list()] == ["fraud"]
        versions = list(source.model_versions.list([a_registered_model()]))
        assert [it.version for it in versions] == [1, 2]
        assert source.unreadable.all() == []
        assert len(files_below(source, root(1))) == 4
        (tmp_path / "experiments.json").unlink(missing_ok=True)


def test_a_name_is_the_same_after_the_writer_ended(target: ExportDirectory, tmp_path: Path) -> None:
    write_files(target, 1)
    again = ExportDirectory(tmp_path, writable=True)
    assert {it.path for it in again.artifacts.list(root(1))} == set(FILES)
    put(again, root(1), "od:d/what?", b"changed")
    put(again, root(1), "a", b"22")
    again.publish()
    assert files_below(reader(tmp_path), root(1)) == {
        **FILES,
        "od:d/what?": b"changed",
        "a": b"22",
    }


def test_a_file_that_has_not_its_size_is_not_taken(target: ExportDirectory) -> None:
    with pytest.raises(Unavailable, match="came with 3 bytes"):
        target.artifacts.put(root(1), Artifact("a", 4), io.BytesIO(b"123"))
    assert target.artifacts.list(root(1)) == []


def test_a_file_that_is_cut_off_is_sent_again(target: ExportDirectory, tmp_path: Path) -> None:
    write_files(target, 1)
    (tmp_path / "models" / "fraud" / "version_models" / "1" / "MLmodel").write_bytes(b"f")
    assert dict(target.artifacts.list(root(1)))["MLmodel"] == 1
    with pytest.raises(DirectoryError, match="has 1 bytes"):
        reader(tmp_path).artifacts.open(root(1), Artifact("MLmodel", 12))
    put(target, root(1), "MLmodel", FILES["MLmodel"])
    assert files_below(reader(tmp_path), root(1)) == FILES


def test_files_go_with_their_version(target: ExportDirectory, tmp_path: Path) -> None:
    write_files(target, 1)
    write_files(target, 2)
    target.model_versions.delete(a_version(2))
    assert target.artifacts.list(root(2)) == []
    assert not list(tmp_path.rglob("2*"))
    target.model_versions.create(a_version(2))
    put(target, root(2), "b", b"new")
    assert files_below(target, root(2)) == {"b": b"new"}
    target.registered_models.delete("fraud")
    write_registry(target, a_registered_model(), [a_version()])
    assert target.artifacts.list(root(1)) == []
    put(target, root(1), "b", b"new")
    assert files_below(target, root(1)) == {"b": b"new"}


def test_several_files_are_written_at_once(target: ExportDirectory) -> None:
    names = [f"dir/{number % 5}/{number}:x" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: put(target, root(1), name, name.encode()), names))
    assert files_below(target, root(1)) == {name: name.encode() for name in names}


def test_links_are_not_followed(target: ExportDirectory, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name} outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    folder = tmp_path / "models" / "fraud" / "version_models"
    folder.mkdir()
    (folder / "1").symlink_to(outside)
    with pytest.raises(DirectoryError, match="symbolic link"):
        reader(tmp_path).artifacts.list(root(1))
    with pytest.raises(DirectoryError, match="symbolic link"):
        reader(tmp_path).artifacts.open(root(1), Artifact("secret", 1))
    with pytest.raises(DirectoryError, match="symbolic link"):
        put(target, root(1), "new", b"1")
    assert [it.name for it in outside.iterdir()] == ["secret"]
    with pytest.raises(NotFound):
        reader(tmp_path).artifacts.open(root(2), Artifact("../1/secret", 1))


def test_nothing_is_written_where_only_reading_was_asked_for(
    target: ExportDirectory, tmp_path: Path
) -> None:
    write_files(target, 1)
    with pytest.raises(Refused):
        put(reader(tmp_path), root(1), "a", b"1")


def test_files_of_versions_in_exports_of_other_tools(tmp_path: Path) -> None:
    """``--export-version-model`` of export-models, also of a name with a slash."""
    for name in ("fraud", "team/fraud"):
        folder = tmp_path / "models" / name
        version = {"name": name, "version": "3", "_download_uri": f"models:/{name}/3"}
        content = {"registered_model": {"name": name, "versions": [version]}}
        write_json(folder / "model.json", envelope(content))
        (folder / "version_models" / "3" / "data").mkdir(parents=True)
        (folder / "version_models" / "3" / "data" / "b").write_bytes(name.encode())
        write_json(folder / "version_models" / "3" / "model.json", envelope(content))
    source = reader(tmp_path)
    assert [it.name for it in source.registered_models.list()] == ["fraud", "team/fraud"]
    assert files_below(source, root(3, "team/fraud"))["data/b"] == b"team/fraud"
    assert files_below(reader(tmp_path), root(3))["data/b"] == b"fraud"
    assert source.unreadable.all() == []


def test_the_files_of_a_single_version(tmp_path: Path) -> None:
    """What export-model-version writes beside the run; a file of it may be called run.json."""
    write_json(tmp_path / "model.json", envelope({"registered_model": {"name": "fraud"}}))
    version = {"name": "fraud", "version": "4", "run_id": "b" * 32}
    write_json(tmp_path / "version.json", envelope({"model_version": version}))
    experiment = foreign_experiment("1", ["run"])
    write_json(tmp_path / "experiment.json", envelope(experiment))
    write_json(tmp_path / "run" / "run.json", envelope(foreign_run("b" * 32)))
    write_json(tmp_path / "version_model" / "run.json", {})
    source = reader(tmp_path)
    assert [it.run_id for it in source.runs.list(["1"])] == ["b" * 32]
    assert list(files_below(source, root(4))) == ["run.json"]
    assert source.unreadable.all() == []
