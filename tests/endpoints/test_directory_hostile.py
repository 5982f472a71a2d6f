"""A directory that lies, leads elsewhere or comes from the future does no harm."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.errors import DirectoryError, NotFound
from migrate.kinds import Kind, Ref
from migrate.objects import Artifact
from tests.endpoints.exports import (
    POINTS,
    a_run,
    all_points,
    an_experiment,
    files_of,
    root_of,
    write_old_export,
    write_run,
)

RUN_ID = "a" * 32


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of this tool with two runs."""
    path = tmp_path / "export"
    target = ExportDirectory(path, writable=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run(), files={"model/MLmodel": b"x", "od:d": b"y"})
    write_run(target, a_run("b" * 32))
    target.publish()
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must not be read: a directory and a file with a secret in them."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_text("secret")
    return path


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


def run_of(export: Path, run_id: str = RUN_ID) -> Path:
    return export / "7" / "runs" / run_id


def change_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("place", ["linked", "model/linked", "model"])
def test_links_among_artifacts_are_not_followed(export: Path, outside: Path, place: str) -> None:
    link = run_of(export) / "artifacts" / place
    if link.is_dir():
        shutil.rmtree(link)
        link.symlink_to(outside)
    else:
        link.symlink_to(outside / "secret")
    source = reader(export)
    with pytest.raises(DirectoryError, match="links in an export are not followed"):
        source.artifacts.list(root_of(RUN_ID))
    for path in (place, f"{place}/secret"):
        with pytest.raises((DirectoryError, NotFound)):
            source.artifacts.open(root_of(RUN_ID), Artifact(path, 6))


@pytest.mark.parametrize("name", ["run.json", "migrate.json", "artifacts"])
def test_links_in_place_of_a_runs_files_are_not_followed(export: Path, name: str) -> None:
    path = run_of(export) / name
    moved = export.parent / f"moved {name}"
    shutil.move(path, moved)
    path.symlink_to(moved)
    source = reader(export)
    found = {run.run_id for run in source.runs.list(["7"])}
    if name == "artifacts":
        with pytest.raises(DirectoryError, match="links"):
            source.artifacts.list(root_of(RUN_ID))
    else:
        assert found == {"b" * 32}
        (entry,) = source.unreadable.all()
        assert entry.ref == Ref(Kind.RUN, RUN_ID)
        assert "symbolic link" in entry.reason


def test_links_in_place_of_directories_are_not_followed(export: Path, outside: Path) -> None:
    shutil.copytree(export / "7", outside / "7")
    shutil.move(run_of(export), export.parent / "run")
    run_of(export).symlink_to(export.parent / "run")
    (export / "8").symlink_to(outside / "7")
    source = reader(export)
    assert [it.experiment_id for it in source.experiments.list()] == ["7"]
    assert [run.run_id for run in source.runs.list(["7", "8"])] == ["b" * 32]
    told = {entry.ref: entry.reason for entry in source.unreadable.all()}
    assert set(told) == {Ref(Kind.EXPERIMENT, "8"), Ref(Kind.RUN, RUN_ID)}
    assert all("symbolic link" in reason for reason in told.values())

    shutil.rmtree(export / "7" / "runs")
    (export / "7" / "runs").symlink_to(outside / "7" / "runs")
    assert list(source.runs.list(["7"])) == []
    assert Ref(Kind.EXPERIMENT, "7") in {entry.ref for entry in source.unreadable.all()}


def test_a_link_in_place_of_all_experiments_is_not_followed(tmp_path: Path, export: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "experiments").symlink_to(export)
    with pytest.raises(DirectoryError, match="symbolic link"):
        reader(tmp_path / "top").capabilities()


def test_nothing_is_written_through_a_link(export: Path, outside: Path) -> None:
    (export / "7" / "runs" / ".new.partial").symlink_to(outside)
    target = ExportDirectory(export, writable=True)
    with pytest.raises(DirectoryError, match="symbolic link"):
        target.runs.create("7", a_run("new"))
    assert sorted(entry.name for entry in outside.iterdir()) == ["secret"]


def test_the_export_itself_may_be_behind_a_link(export: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(export)
    assert len(list(reader(tmp_path / "link").runs.list(["7"]))) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang_the_reader(export: Path) -> None:
    (run_of(export) / "run.json").unlink()
    os.mkfifo(run_of(export) / "run.json")
    os.mkfifo(run_of(export, "b" * 32) / "artifacts")
    source = reader(export)
    assert [run.run_id for run in source.runs.list(["7"])] == ["b" * 32]
    with pytest.raises(DirectoryError):
        source.artifacts.list(root_of("b" * 32))


@pytest.mark.parametrize("stored_as", ["../run.json", "/etc/passwd", "a/../../x", "", ".", "a\0b"])
def test_a_sidecar_cannot_lead_out_of_the_artifacts(export: Path, stored_as: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document["artifacts"][0]["stored_as"] = stored_as

    change_json(run_of(export) / "migrate.json", change)
    source = reader(export)
    assert [run.run_id for run in source.runs.list(["7"])] == ["b" * 32]
    with pytest.raises(DirectoryError, match=r"migrate\.json is damaged"):
        source.artifacts.list(root_of(RUN_ID))


def test_hostile_ids_are_only_ids(export: Path, tmp_path: Path) -> None:
    def rename(document: dict[str, Any]) -> None:
        document["mlflow"]["info"]["run_id"] = "../../../escaped"

    change_json(run_of(export) / "run.json", rename)
    change_json(
        export / "7" / "experiment.json",
        lambda it: it["mlflow"]["experiment"].update(experiment_id="../../up"),
    )
    source = reader(export)
    (experiment,) = source.experiments.list()
    assert experiment.experiment_id == "../../up"
    [run] = source.runs.list([experiment.experiment_id])
    [entry] = source.unreadable.all()
    assert entry.ref == Ref(Kind.RUN, RUN_ID)
    assert "'../../../escaped'" in entry.reason
    run = dataclasses.replace(run, run_id="../../../escaped")

    target = ExportDirectory(tmp_path / "copy" / "export", writable=True)
    target.experiments.create(experiment)
    write_run(target, run, files={"../../../x": b"1"})
    target.publish()
    assert [entry.name for entry in (tmp_path / "copy").iterdir()] == ["export"]
    assert files_of(target, "../../../escaped") == {"../../../x": b"1"}
    assert reader(tmp_path / "copy" / "export").capabilities().notes == ()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda run: (run / "artifacts" / "model" / "MLmodel").unlink(), "has no artifact"),
        (lambda run: (run / "artifacts" / "model" / "MLmodel").write_bytes(b""), "has 0 bytes"),
        (lambda run: shutil.rmtree(run / "artifacts"), "has no artifact"),
    ],
)
def test_a_damaged_artifact_is_listed_and_named_when_it_is_opened(
    export: Path, damage: Callable[[Path], object], told: str
) -> None:
    damage(run_of(export))
    source = reader(export)
    listed = {artifact.path: artifact for artifact in source.artifacts.list(root_of(RUN_ID))}
    assert {path: artifact.size for path, artifact in listed.items()} == {
        "model/MLmodel": 1,
        "od:d": 1,
    }
    with pytest.raises((DirectoryError, NotFound), match=told) as raised:
        source.artifacts.open(root_of(RUN_ID), listed["model/MLmodel"])
    # It becomes a tag of the copy, and no path of this machine is anybody else's business.
    assert str(export) not in str(raised.value)
    target = ExportDirectory(export, writable=True)
    assert "model/MLmodel" not in dict(target.artifacts.list(root_of(RUN_ID)))


def test_a_file_added_by_hand_is_part_of_the_run(export: Path) -> None:
    (run_of(export) / "artifacts" / "added").write_bytes(b"z")
    assert files_of(reader(export), RUN_ID) == {
        "model/MLmodel": b"x",
        "od:d": b"y",
        "added": b"z",
    }


@pytest.mark.parametrize("name", ["run.json", "migrate.json"])
def test_a_file_that_is_cut_off_is_named(export: Path, name: str) -> None:
    path = run_of(export) / name
    content = path.read_bytes()
    for length in (0, 1, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:length])
        source = reader(export)
        assert [run.run_id for run in source.runs.list(["7"])] == ["b" * 32]
        (entry,) = source.unreadable.all()
        assert str(path) in entry.reason
        assert entry.hint


def test_a_history_that_is_not_what_was_written_is_named(export: Path) -> None:
    """Of the same size as before, so that only reading it can tell."""
    path = run_of(export) / "run.json"
    source = reader(export)
    run = source.runs.read_in("7", [RUN_ID])[0]
    content = path.read_bytes()
    line = b'"timestamp": 1700000000001'
    for damaged in (
        content.replace(line, b" " * len(line)),
        content.replace(b"      ]\n", b"       \n"),
        content.replace(b'"value": 0.25', b'"value": null'),
        b" " + content[:-1],
    ):
        assert len(damaged) == len(content)
        assert damaged != content
        path.write_bytes(damaged)
        with pytest.raises(DirectoryError, match="history of metric 'loss'"):
            list(source.runs.metric_history(RUN_ID, "loss"))
        with pytest.raises(DirectoryError, match="history of metric 'loss'"):
            source.runs.histories([run], 100)


def test_a_newer_format_is_refused_by_name(export: Path) -> None:
    def newer(document: dict[str, Any]) -> None:
        document["system"]["mlflow_migrate"]["format_version"] = 2

    change_json(export / "experiments.json", newer)
    for writable in (False, True):
        with pytest.raises(DirectoryError, match="export format 2") as caught:
            ExportDirectory(export, writable=writable).capabilities()
        assert "upgrade" in caught.value.hint


def test_a_run_of_a_newer_format_is_refused_by_name(export: Path) -> None:
    change_json(run_of(export) / "migrate.json", lambda it: it.update(format_version=2))
    source = reader(export)
    assert [run.run_id for run in source.runs.list(["7"])] == ["b" * 32]
    (entry,) = source.unreadable.all()
    assert "export format 2" in entry.reason
    assert "upgrade" in entry.hint
    with pytest.raises(DirectoryError, match="export format 2"):
        ExportDirectory(export, writable=True).runs.create("7", a_run())


def test_an_export_without_our_files_is_still_one(export: Path) -> None:
    """Whatever drops what other tools do not know leaves an export of theirs."""
    for path in export.rglob("migrate.json"):
        path.unlink()
    change_json(export / "experiments.json", lambda it: it["system"].pop("mlflow_migrate"))
    source = reader(export)
    runs = {run.run_id: run for run in source.runs.list(["7"])}
    assert set(runs) == {RUN_ID, "b" * 32}
    assert all_points(source, runs[RUN_ID]) == POINTS
    assert runs[RUN_ID].inputs == a_run().inputs
    assert set(files_of(source, RUN_ID)) > {"model/MLmodel"}


def test_other_things_lying_around_are_left_alone(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    (tmp_path / "import.log").write_text("log")
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "1" / ".DS_Store").write_text("")
    (tmp_path / "1" / "notes").mkdir()
    (tmp_path / "1" / B / "other").mkdir()
    source = reader(tmp_path)
    assert len(list(source.runs.list([it.experiment_id for it in source.experiments.list()]))) == 3
    assert source.unreadable.all() == []


B = "b" * 32
