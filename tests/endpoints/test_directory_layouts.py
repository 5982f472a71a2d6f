"""Where experiments lie in an export: beside the registered models, or at the top."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.directory import ExportDirectory
from migrate.errors import DirectoryError
from migrate.kinds import Kind
from tests.endpoints.exports import (
    a_logged_model,
    a_prompt,
    a_prompt_version,
    a_registered_model,
    a_run,
    a_version,
    an_experiment,
    files_below,
    files_of,
    model_root,
    put,
    write_logged_model,
    write_old_export,
    write_registry,
    write_run,
)
from tests.endpoints.test_directory_version_files import root as version_root

RUN_ID = "a" * 32
LAYOUTS = pytest.mark.parametrize("holds_models", [True, False], ids=["models", "experiments"])


def writer(path: Path, *, holds_models: bool = True) -> ExportDirectory:
    return ExportDirectory(path, writable=True, holds_models=holds_models)


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def fill(target: ExportDirectory) -> None:
    """Write one of everything."""
    target.experiments.create(an_experiment())
    write_run(target, a_run(), files={"a": b"1"})
    write_logged_model(target, a_logged_model(), files={"MLmodel": b"x"})
    write_registry(target, a_registered_model(), [a_version(aliases=("best",))])
    put(target, version_root(1), "MLmodel", b"x")
    write_registry(target, a_prompt(), [a_prompt_version()])


def every_file(path: Path) -> dict[Path, tuple[int, bytes]]:
    files = (it for it in path.rglob("*") if it.is_file())
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def check(path: Path) -> None:
    """Everything that ``fill`` wrote is read back."""
    source = reader(path)
    assert [it.experiment_id for it in source.experiments.list()] == ["7"]
    assert [it.run_id for it in source.runs.list(["7"])] == [RUN_ID]
    assert files_of(source, RUN_ID) == {"a": b"1"}
    assert [it.model_id for it in source.logged_models.list(["7"])] == ["m-1"]
    assert files_below(source, model_root("m-1")) == {"MLmodel": b"x"}
    models = list(source.registered_models.list())
    assert [(it.kind, it.name) for it in models] == [
        (Kind.REGISTERED_MODEL, "fraud"),
        (Kind.PROMPT, "greeting"),
    ]
    assert [it.version for it in source.model_versions.list(models)] == [1, 1]
    assert files_below(source, version_root(1)) == {"MLmodel": b"x"}
    assert source.unreadable.all() == []


@LAYOUTS
def test_everything_is_read_back_from_either_layout(tmp_path: Path, holds_models: bool) -> None:
    target = writer(tmp_path, holds_models=holds_models)
    fill(target)
    target.publish()
    check(tmp_path)
    base = tmp_path / "experiments" if holds_models else tmp_path
    assert (base / "7" / "runs" / RUN_ID / "run.json").is_file()
    assert load(base / "experiments.json")["mlflow"]["experiments"][0]["id"] == "7"
    assert (tmp_path / "models" / "fraud" / "model.json").is_file()


@LAYOUTS
@pytest.mark.parametrize("said_later", [True, False], ids=["then models", "then experiments"])
def test_a_directory_keeps_the_layout_it_was_made_with(
    tmp_path: Path, holds_models: bool, said_later: bool
) -> None:
    first = writer(tmp_path, holds_models=holds_models)
    identity = first.capabilities().identity
    again = writer(tmp_path, holds_models=said_later)
    assert again.capabilities().identity == identity
    fill(again)
    again.publish()
    check(tmp_path)
    assert (tmp_path / "7").exists() == (not holds_models)
    assert reader(tmp_path).capabilities().identity == identity


@LAYOUTS
def test_copies_are_found_again_in_either_layout(tmp_path: Path, holds_models: bool) -> None:
    fill(writer(tmp_path, holds_models=holds_models))
    again = writer(tmp_path)
    assert again.runs.find("7")[RUN_ID][0].mark == "1abc.def"
    assert again.logged_models.find("7")["m-1"][0].mark == "1abc.def"
    assert [it.name for it in again.registered_models.list(["fraud"])] == ["fraud"]
    check(tmp_path)


@LAYOUTS
def test_exporting_what_is_there_writes_nothing(tmp_path: Path, holds_models: bool) -> None:
    target = writer(tmp_path, holds_models=holds_models)
    fill(target)
    target.publish()
    before = every_file(tmp_path)
    writer(tmp_path, holds_models=holds_models).publish()
    assert every_file(tmp_path) == before


@LAYOUTS
def test_a_new_directory_whose_making_was_cut_off_is_used(
    tmp_path: Path, holds_models: bool
) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / ".experiments.json.partial").write_text('{"sys')
    target = writer(tmp_path, holds_models=holds_models)
    fill(target)
    target.publish()
    check(tmp_path)
    check(tmp_path)


def test_the_experiments_of_an_export_with_models_are_read_alone(tmp_path: Path) -> None:
    target = writer(tmp_path)
    fill(target)
    target.publish()
    source = reader(tmp_path / "experiments")
    assert [it.run_id for it in source.runs.list(["7"])] == [RUN_ID]
    assert list(source.registered_models.list()) == []
    with pytest.raises(DirectoryError, match="below its registered models") as caught:
        writer(tmp_path / "experiments").experiments.create(an_experiment("8"))
    assert str(tmp_path) in caught.value.hint
    check(tmp_path)


def test_the_way_up_from_experiments_is_not_an_export(tmp_path: Path) -> None:
    target = writer(tmp_path, holds_models=False)
    fill(target)
    target.publish()
    for path in (reader(tmp_path / "experiments"), writer(tmp_path / "experiments")):
        with pytest.raises(DirectoryError, match="only leads other tools"):
            path.capabilities()
    led_to = tmp_path / "experiments"
    (entry,) = load(led_to / "experiments.json")["mlflow"]["experiments"]
    assert (led_to / entry["id"] / "experiment.json").is_file()
    (tmp_path / "experiments.json").unlink()
    with pytest.raises(DirectoryError, match="no export of this tool"):
        writer(tmp_path).capabilities()


def test_nothing_is_added_to_an_export_of_models_of_another_tool(tmp_path: Path) -> None:
    write_old_export(tmp_path / "experiments")
    before = every_file(tmp_path)
    with pytest.raises(DirectoryError, match="another tool"):
        writer(tmp_path).capabilities()
    assert every_file(tmp_path) == before


def test_a_link_in_place_of_the_experiments_is_not_written_through(tmp_path: Path) -> None:
    writer(tmp_path / "a").capabilities()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "experiments").symlink_to(tmp_path / "a" / "experiments")
    with pytest.raises(DirectoryError, match="symbolic link"):
        writer(tmp_path / "b").experiments.create(an_experiment())
    (tmp_path / "c").mkdir()
    (tmp_path / "none").mkdir()
    (tmp_path / "c" / "experiments").symlink_to(tmp_path / "none")
    with pytest.raises(DirectoryError):
        writer(tmp_path / "c").experiments.create(an_experiment())
    assert list((tmp_path / "none").iterdir()) == []


@LAYOUTS
def test_an_address_says_which_layout_a_new_directory_gets(
    tmp_path: Path, holds_models: bool
) -> None:
    address = Address(uri=str(tmp_path / "out"), side="target", holds_models=holds_models)
    open_target(address).capabilities()
    assert (tmp_path / "out" / "experiments").exists() == holds_models


@pytest.mark.parametrize("uri", ["dbfs:/mnt/export", "dbfs:///mnt/export"])
def test_a_path_of_databricks_is_where_it_is_mounted(uri: str) -> None:
    address = Address(uri=uri, side="source")
    assert address.is_directory
    assert address.shown == "/dbfs/mnt/export"
