"""An export that is killed at any step is readable, and resuming it completes it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.permissions import permissions_of_users
from migrate.errors import DirectoryError, NotFound
from migrate.kinds import REGISTRY_KINDS, Kind, Ref
from migrate.objects import ModelVersion, Permissions
from tests.endpoints.exports import (
    POINTS,
    a_logged_model,
    a_prompt,
    a_prompt_version,
    a_registered_model,
    a_run,
    a_version,
    all_points,
    an_experiment,
    files_below,
    files_of,
    model_root,
    put,
    root_of,
    write_logged_model,
    write_run,
)
from tests.endpoints.test_directory_version_files import root as version_root

RUN_ID = "a" * 32
OLD = {"model/a": b"old", "a:b": b"odd"}
NEW = {"model/a": b"newer", "a:b": b"odd", "x?": b"new"}
PERMISSIONS = permissions_of_users([("ada", "EDIT"), ("bob", "READ")])
VERSION_ROOT = version_root(1)

#: Calls that change what is on disk for good.
LASTING = ("mkdir", "replace", "rename", "fsync", "unlink", "rmdir", "link")


def export(path: Path) -> None:
    """Export the run anew, or complete the copy that is there."""
    target = ExportDirectory(path, writable=True)
    there = target.runs.read_in("7", [RUN_ID])
    run = a_run(name="renamed", tags={"new": "tag"})
    writer = target.runs.adopt("7", there[0], run) if there else target.runs.create("7", run)
    for name, content in NEW.items():
        put(target, writer.root, name, content)
    writer.write_params({"lr": "0.1", "new": "param"})
    writer.write_metrics([*POINTS, POINTS[0]._replace(key="new")])
    writer.write_inputs(run.inputs)
    writer.finish(run, "new mark")


def export_model(path: Path) -> None:
    """Export the logged model anew, or complete the copy that is there."""
    target = ExportDirectory(path, writable=True)
    there = target.logged_models.read(["m-1"])
    model = a_logged_model(name="renamed")
    copy = there[0] if there else target.logged_models.create("7", model)
    for name, content in NEW.items():
        put(target, model_root("m-1"), name, content)
    target.logged_models.finish(copy, model, "new mark")


def check_model(path: Path, *, updates: bool) -> None:
    """A reader sees the new copy whole, or what was there before, and nothing else."""
    source = ExportDirectory(path, writable=False)
    models = list(source.logged_models.list(["7"]))
    if models == [a_logged_model(name="renamed")]:
        assert files_below(source, model_root("m-1")) == NEW
    elif updates:
        assert models == [a_logged_model()]
        assert files_below(source, model_root("m-1")) == OLD
        assert source.unreadable.all() == []
    else:
        assert models == []
        assert {entry.ref for entry in source.unreadable.all()} <= {Ref(Kind.LOGGED_MODEL, "m-1")}


def export_and_die(path: Path, calls: int, export: Callable[[Path], None]) -> bool:
    """Export in a process that dies before the call after ``calls``; return whether it did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        try:
            left = [None] * calls
            for name in LASTING:
                setattr(os, name, _dying(getattr(os, name), left))
            export(path)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9


def _dying(call: Callable[..., Any], left: list[None]) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        if not left:
            os._exit(9)
        left.pop()
        return call(*args, **options)

    return wrapped


def check_what_is_there(path: Path, *, updates: bool) -> None:
    """A reader sees the new copy whole, or what was there before, and nothing else."""
    source = ExportDirectory(path, writable=False)
    runs = list(source.runs.list(["7"]))
    if runs and runs[0].name == "renamed":
        assert files_of(source, RUN_ID) == NEW
        assert len(all_points(source, runs[0])) == 3
        assert runs[0].params == {"lr": "0.1", "new": "param"}
        return
    if updates:
        assert runs == [a_run()]
        assert files_of(source, RUN_ID) == OLD
        assert all_points(source, runs[0]) == POINTS
        assert source.unreadable.all() == []
        return
    assert runs == []
    assert {entry.ref for entry in source.unreadable.all()} <= {Ref(Kind.RUN, RUN_ID)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.parametrize("updates", [False, True])
def test_killed_before_any_step(tmp_path: Path, updates: bool) -> None:
    """Before every call that changes the disk, of a new run and of one that is replaced."""
    windows = 0
    while True:
        path = tmp_path / str(windows)
        target = ExportDirectory(path, writable=True)
        target.experiments.create(an_experiment())
        if updates:
            write_run(target, a_run(), files=OLD)
        if not export_and_die(path, windows, export):
            break
        check_what_is_there(path, updates=updates)
        windows += 1

        export(path)
        source = ExportDirectory(path, writable=False)
        assert [run.name for run in source.runs.list(["7"])] == ["renamed"]
        check_what_is_there(path, updates=updates)
        assert source.unreadable.all() == []
        left = {entry.name for entry in (path / "7" / "runs").iterdir()}
        assert left == {RUN_ID}
    assert windows > 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.parametrize("updates", [False, True])
def test_a_logged_model_is_killed_before_any_step(tmp_path: Path, updates: bool) -> None:
    """Before every call that changes the disk, of a new one and of one that is replaced."""
    windows = 0
    while True:
        path = tmp_path / str(windows)
        target = ExportDirectory(path, writable=True)
        target.experiments.create(an_experiment())
        if updates:
            write_logged_model(target, a_logged_model(), files=OLD)
        if not export_and_die(path, windows, export_model):
            break
        check_model(path, updates=updates)
        windows += 1

        export_model(path)
        check_model(path, updates=updates)
        again = ExportDirectory(path, writable=True)
        assert again.logged_models.find("7")["m-1"][0].mark == "new mark"
        assert again.unreadable.all() == []
        assert {entry.name for entry in (path / "7" / "logged_models").iterdir()} == {"m-1"}
    assert windows > 10


def export_registry(path: Path) -> None:
    """Export a registered model and a prompt, or go on with them, as a migration does."""
    target = ExportDirectory(path, writable=True)
    for model, version in (
        (a_registered_model(), a_version(aliases=("best",))),
        (a_prompt(), a_prompt_version(aliases=("live",))),
    ):
        if not list(target.registered_models.list([model.name])):
            target.registered_models.create(model)
        target.model_versions.create(version)
        target.model_versions.update(dataclasses.replace(version, aliases=()), version)
    target.publish()


def check_registry(path: Path) -> list[ModelVersion]:
    """A reader sees whole objects only; return the versions."""
    source = ExportDirectory(path, writable=False)
    for model in source.registered_models.list():
        plain = dataclasses.replace(model, aliases={})
        assert plain in (a_registered_model(), a_prompt())
    versions = list(source.model_versions.list(list(source.registered_models.list())))
    for version in versions:
        plain_version = dataclasses.replace(version, aliases=())
        assert plain_version in (a_version(), a_prompt_version())
    # What a killed export has begun and not described yet is named, and never half read.
    assert {entry.ref.kind for entry in source.unreadable.all()} <= REGISTRY_KINDS
    return versions


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_registry_is_killed_before_any_step(tmp_path: Path) -> None:
    windows = 0
    while True:
        path = tmp_path / str(windows)
        ExportDirectory(path, writable=True).experiments.create(an_experiment())
        if not export_and_die(path, windows, export_registry):
            break
        check_registry(path)
        windows += 1

        export_registry(path)
        assert check_registry(path) == [
            a_version(aliases=("best",)),
            a_prompt_version(aliases=("live",)),
        ]
        assert ExportDirectory(path, writable=False).unreadable.all() == []
    assert windows > 10


def test_files_of_a_logged_model_that_arrived_need_not_come_again(tmp_path: Path) -> None:
    killed = ExportDirectory(tmp_path, writable=True)
    killed.experiments.create(an_experiment())
    killed.logged_models.create("7", a_logged_model())
    put(killed, model_root("m-1"), "whole", b"12345")
    put(killed, model_root("m-1"), "od:d", b"123")  # what is on disk now is what a kill leaves

    target = ExportDirectory(tmp_path, writable=True)
    (copy,) = target.logged_models.find("7", ["m-1"])["m-1"]
    assert (copy.target_id, copy.mark) == ("m-1", "")
    assert target.logged_models.find("7") == {"m-1": [copy]}
    assert list(target.logged_models.list(["7"])) == []
    (begun,) = target.logged_models.read(["m-1"])
    assert begun.metrics == ()
    assert sorted(target.artifacts.list(model_root("m-1"))) == [("od:d", 3), ("whole", 5)]
    put(target, model_root("m-1"), "more", b"")
    target.logged_models.finish(begun, a_logged_model(), "m")
    assert list(target.logged_models.list(["7"])) == [a_logged_model()]
    assert files_below(target, model_root("m-1")) == {
        "whole": b"12345",
        "od:d": b"123",
        "more": b"",
    }


def test_files_that_arrived_before_the_kill_need_not_come_again(tmp_path: Path) -> None:
    killed = ExportDirectory(tmp_path, writable=True)
    killed.experiments.create(an_experiment())
    writer = killed.runs.create("7", a_run())
    put(killed, writer.root, "whole", b"12345")
    put(killed, writer.root, "od:d", b"123")
    writer.abandon()  # leaves on disk what a kill leaves

    target = ExportDirectory(tmp_path, writable=True)
    (copy,) = target.runs.find("7", [RUN_ID])[RUN_ID]
    assert (copy.target_id, copy.mark) == (RUN_ID, "")
    assert target.runs.find("7") == {RUN_ID: [copy]}
    (half_made,) = target.runs.read_in("7", [RUN_ID])
    assert half_made.latest_metrics == ()
    assert list(target.runs.list(["7"])) == []
    writer = target.runs.adopt("7", half_made, a_run())
    assert sorted(target.artifacts.list(writer.root)) == [("od:d", 3), ("whole", 5)]
    put(target, writer.root, "more", b"")
    writer.finish(a_run(), "m")
    assert files_of(target, RUN_ID) == {"whole": b"12345", "od:d": b"123", "more": b""}
    assert target.runs.find("7")[RUN_ID][0].mark == "m"


def test_a_half_made_run_is_told_and_not_read(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run("b" * 32))
    target.runs.create("7", a_run()).abandon()
    target.publish()

    source = ExportDirectory(tmp_path, writable=False)
    assert [run.run_id for run in source.runs.list(["7"])] == ["b" * 32]
    (entry,) = source.unreadable.all()
    assert (entry.ref, entry.container) == (Ref(Kind.RUN, RUN_ID), "7")
    assert "did not finish" in entry.reason
    assert source.runs.read_in("7", [RUN_ID]) == []


def test_an_update_keeps_what_does_not_come_again(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run(), files=OLD)
    (copy,) = target.runs.read_in("7", [RUN_ID])
    changed = a_run(tags={"only": "this"}, end_time=None, status="RUNNING")
    writer = target.runs.adopt("7", copy, changed)
    assert dict(target.artifacts.list(writer.root)) == {"model/a": 3, "a:b": 3}
    put(target, writer.root, "model/a", b"newer")
    assert target.runs.read_in("7", [RUN_ID]) == [copy]  # until it is finished
    assert target.runs.find("7")[RUN_ID][0].mark == "1abc.def"
    acc = POINTS[0]._replace(key="acc")
    writer.write_metrics([acc])
    writer.write_tags({"and": "that"})
    writer.finish(changed, "m2")

    (found,) = target.runs.read_in("7", [RUN_ID])
    assert (found.status, found.end_time) == ("RUNNING", None)
    assert found.tags == {"only": "this", "and": "that"}
    assert (found.params, found.inputs) == (copy.params, copy.inputs)
    assert all_points(target, found) == [*POINTS, acc]
    assert files_of(target, RUN_ID) == {"model/a": b"newer", "a:b": b"odd"}
    assert target.runs.find("7")[RUN_ID][0].mark == "m2"


def test_an_update_sends_damaged_files_again(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run(), files={"cut": b"123", "whole": b"1"})
    (tmp_path / "7" / "runs" / RUN_ID / "artifacts" / "cut").write_bytes(b"1")
    assert target.runs.find("7")[RUN_ID][0].mark == ""
    writer = target.runs.adopt("7", a_run(), a_run())
    assert dict(target.artifacts.list(writer.root)) == {"whole": 1}
    put(target, writer.root, "cut", b"123")
    writer.finish(a_run(), "m")
    assert files_of(target, RUN_ID) == {"cut": b"123", "whole": b"1"}


def test_publishing_settles_what_was_being_replaced(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    for run_id in (RUN_ID, "b" * 32):
        write_run(target, a_run(run_id))
    runs = tmp_path / "7" / "runs"
    (runs / RUN_ID).rename(runs / f".{RUN_ID}.replaced")  # killed before the new one came
    shutil.copytree(runs / ("b" * 32), runs / f".{'b' * 32}.replaced")  # killed after
    source = ExportDirectory(tmp_path, writable=False)
    assert {run.run_id for run in source.runs.list(["7"])} == {RUN_ID, "b" * 32}
    target.publish()
    assert sorted(entry.name for entry in runs.iterdir()) == [RUN_ID, "b" * 32]
    assert {run.run_id for run in source.runs.list(["7"])} == {RUN_ID, "b" * 32}
    assert source.unreadable.all() == []


def test_an_interrupted_file_is_not_there(tmp_path: Path) -> None:
    """Killed while a file comes in: the name is taken by whole files only."""
    script = """
import os, sys
from pathlib import Path
from migrate.endpoints.directory import ExportDirectory
from migrate.objects import Artifact
from tests.endpoints.exports import a_run

class Dying:
    left = 3
    def read(self, size):
        self.left -= 1
        if not self.left:
            os._exit(9)
        return b"x" * size

target = ExportDirectory(Path(sys.argv[1]), writable=True)
writer = target.runs.create("7", a_run())
target.artifacts.put(writer.root, Artifact("big", 10**9), Dying())
"""
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    command = [sys.executable, "-c", script, str(tmp_path)]
    ended = subprocess.run(command, cwd=Path(__file__).parent.parent.parent, timeout=60)
    assert ended.returncode == 9
    writer = target.runs.create("7", a_run())
    assert target.artifacts.list(writer.root) == []
    writer.finish(a_run(), "m")
    assert files_of(target, RUN_ID) == {}
    assert not list(tmp_path.rglob("*.incoming"))
    assert target.artifacts.list(root_of(RUN_ID)) == []


def export_models(path: Path) -> None:
    """Make an export of models, or go on with one: permissions, files of a version, indexes."""
    target = ExportDirectory(path, writable=True, holds_models=True)
    if not list(target.experiments.list()):
        target.experiments.create(an_experiment())
    target.permissions.write(Ref(Kind.EXPERIMENT, "7"), PERMISSIONS)
    if not list(target.registered_models.list(["fraud"])):
        target.registered_models.create(a_registered_model())
    target.permissions.write(Ref(Kind.REGISTERED_MODEL, "fraud"), PERMISSIONS)
    target.model_versions.create(a_version())
    there = dict(target.artifacts.list(VERSION_ROOT))
    for name, content in NEW.items():
        if there.get(name) != len(content):
            put(target, VERSION_ROOT, name, content)
    target.publish()


def check_models(path: Path, *, whole: bool = False) -> None:
    """A reader sees whole files only, and permissions as they were given or none."""
    source = ExportDirectory(path, writable=False)
    try:
        found = list(source.experiments.list())
    except DirectoryError:  # not even the directory is made
        assert not whole
        assert not list(path.rglob("experiment.json"))
        return
    models = list(source.registered_models.list())
    for ref in [
        *(Ref(Kind.EXPERIMENT, it.experiment_id) for it in found),
        *(m.ref for m in models),
    ]:
        assert source.permissions.read(ref) in (PERMISSIONS, *(() if whole else (Permissions(),)))
    files = {}
    for _ in source.model_versions.list(models):
        with contextlib.suppress(NotFound):
            files = files_below(source, VERSION_ROOT)
    assert files.items() <= NEW.items()
    assert {entry.ref.kind for entry in source.unreadable.all()} <= {
        Kind.EXPERIMENT,
        *REGISTRY_KINDS,
    }
    if whole:
        assert (len(found), len(models), files) == (1, 1, NEW)
        assert source.unreadable.all() == []
        assert (path / "manifest.json").is_file()
        assert not list(path.rglob(".*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_an_export_of_models_is_killed_before_any_step(tmp_path: Path) -> None:
    """From making the directory to its manifest; what is begun in one layout stays in it."""
    windows = 0
    while export_and_die(tmp_path / str(windows), windows, export_models):
        path = tmp_path / str(windows)
        check_models(path)
        windows += 1

        export_models(path)
        check_models(path, whole=True)
        assert (path / "experiments" / "7").is_dir()
    assert windows > 40
