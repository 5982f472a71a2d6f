"""An export directory as a target: experiments, copies, indexes, and what it refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.protocols import Source, Target
from migrate.errors import (
    AlreadyExists,
    DirectoryError,
    NotFound,
    Refused,
    Unavailable,
    WrongDirectory,
)
from migrate.objects import ACTIVE, DELETED, Artifact, Metric
from tests.endpoints.exports import (
    POINTS,
    a_run,
    all_points,
    an_experiment,
    files_of,
    put,
    root_of,
    write_old_export,
    write_run,
)

RUN_ID = "a" * 32
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the export is."""
    return tmp_path / "export"


@pytest.fixture
def target(path: Path) -> ExportDirectory:
    """A new export with experiment 7 in it."""
    directory = ExportDirectory(path, writable=True)
    directory.experiments.create(an_experiment())
    return directory


def lists(target_path: Path, ident: str = "7") -> dict[str, list[str]]:
    document = json.loads((target_path / ident / "experiment.json").read_text())
    found: dict[str, list[str]] = document["mlflow"]
    return found


def every_file(path: Path) -> dict[Path, tuple[int, int, bytes]]:
    """Each file's inode, time of change and content."""
    return {
        file: (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes())
        for file in path.rglob("*")
        if file.is_file()
    }


def test_it_is_what_the_protocols_ask_for(target: ExportDirectory) -> None:
    as_target: Target = target
    as_source: Source = target
    assert as_target is as_source


def test_an_experiment_is_deleted_and_restored_and_its_runs_stay(target: ExportDirectory) -> None:
    write_run(target, a_run())
    write_run(target, a_run("b" * 32, lifecycle_stage=DELETED))
    target.experiments.delete("7")
    target.experiments.delete("7")
    assert [it.lifecycle_stage for it in target.experiments.list()] == [DELETED]
    assert {run.run_id: run.lifecycle_stage for run in target.runs.list(["7"])} == {
        RUN_ID: ACTIVE,
        "b" * 32: DELETED,
    }
    target.experiments.restore("7")
    assert list(target.experiments.list()) == [an_experiment()]


def test_a_deleted_experiment_is_created_active(target: ExportDirectory) -> None:
    target.experiments.create(an_experiment("8", lifecycle_stage=DELETED))
    assert [it.lifecycle_stage for it in target.experiments.list()] == [ACTIVE, ACTIVE]


def test_experiments_come_in_order_of_creation(target: ExportDirectory) -> None:
    for ident, created in (("10", 5), ("9", 5), ("1", 9), ("zz", None)):
        target.experiments.create(an_experiment(ident, creation_time=created))
    assert [it.experiment_id for it in target.experiments.list()] == ["zz", "9", "10", "1", "7"]


def test_tags_are_merged_and_names_changed(target: ExportDirectory) -> None:
    target.experiments.set_tags("7", {"b": "2", "mlflow.note.content": "changed"})
    target.experiments.rename("7", "another")
    (found,) = target.experiments.list()
    assert found.tags == {"b": "2", "mlflow.note.content": "changed"}
    assert found.name == "another"
    target.experiments.create(an_experiment("8", name="experiment 7"))  # free again


def test_ids_and_names_are_taken_once(target: ExportDirectory, path: Path) -> None:
    with pytest.raises(AlreadyExists):
        target.experiments.create(an_experiment(name="other"))
    with pytest.raises(AlreadyExists, match="experiment 7"):
        target.experiments.create(an_experiment("8", name="experiment 7"))
    again = ExportDirectory(path, writable=True)
    with pytest.raises(AlreadyExists):
        again.experiments.create(an_experiment("8", name="experiment 7"))
    again.experiments.create(an_experiment("8"))
    with pytest.raises(AlreadyExists):
        again.experiments.rename("8", "experiment 7")
    write_run(target, a_run())
    with pytest.raises(AlreadyExists):
        target.runs.create("7", a_run())


def test_what_is_not_there_is_not_found(target: ExportDirectory) -> None:
    with pytest.raises(NotFound):
        target.experiments.delete("8")
    with pytest.raises(NotFound):
        target.runs.create("8", a_run())
    with pytest.raises(NotFound):
        target.artifacts.list(root_of("no such run"))
    with pytest.raises(NotFound):
        target.runs.restore(["no such run"])
    assert target.runs.find("8") == {}
    assert target.runs.read_in("8", [RUN_ID]) == []
    assert list(target.runs.list(["8"])) == []
    write_run(target, a_run(), files={"a": b"1"})
    for path in ("b", "../migrate.json", "../../../../experiments.json", "a/../a", "", "\0"):
        with pytest.raises(NotFound):
            target.artifacts.open(root_of(RUN_ID), Artifact(path, 1))


def test_copies_are_found_by_the_id_of_the_original(target: ExportDirectory) -> None:
    write_run(target, a_run(), mark="m1")
    write_run(target, a_run("b" * 32, lifecycle_stage=DELETED), mark="m2")
    target.runs.create("7", a_run("c" * 32)).abandon()
    copies = target.runs.find("7")
    assert {origin: (it[0].target_id, it[0].mark) for origin, it in copies.items()} == {
        RUN_ID: (RUN_ID, "m1"),
        "b" * 32: ("b" * 32, "m2"),
        "c" * 32: ("c" * 32, ""),
    }
    assert copies["b" * 32][0].lifecycle_stage == DELETED
    assert list(target.runs.find("7", ["b" * 32, "d" * 32])) == ["b" * 32]


def test_a_run_is_taken_out_of_the_trash(target: ExportDirectory) -> None:
    write_run(target, a_run(lifecycle_stage=DELETED), files={"a?": b"1"}, mark="m")
    before = target.runs.read_in("7", [RUN_ID])[0]
    target.runs.restore([RUN_ID])
    (run,) = target.runs.read_in("7", [RUN_ID])
    assert (before.lifecycle_stage, run.lifecycle_stage) == (DELETED, ACTIVE)
    assert all_points(target, run) == POINTS
    assert files_of(target, RUN_ID) == {"a?": b"1"}
    assert target.runs.find("7")[RUN_ID][0].mark == "m"


def test_publishing_lists_every_run_once_newest_first(target: ExportDirectory, path: Path) -> None:
    for start_time, run_id in ((5, "old"), (9, "new"), (7, "mid")):
        write_run(target, a_run(run_id, start_time=start_time))
    write_run(target, a_run("gone", lifecycle_stage=DELETED))
    target.experiments.create(an_experiment("8"))
    target.experiments.delete("8")
    target.publish()
    target.publish()
    again = ExportDirectory(path, writable=True)
    again.publish()
    found = lists(path)
    assert (found["runs"], found["deleted_runs"]) == (["new", "mid", "old"], ["gone"])
    index = json.loads((path / "experiments.json").read_text())
    assert [entry["id"] for entry in index["mlflow"]["experiments"]] == ["7"]
    assert [entry["id"] for entry in index["mlflow"]["deleted_experiments"]] == ["8"]
    assert index["info"]["status"].pop("duration") >= 0
    assert index["info"]["status"] == {
        "experiments": 2,
        "total_runs": 4,
        "ok_runs": 4,
        "failed_runs": 0,
    }
    assert again.unreadable.all() == []


def test_publishing_what_is_published_writes_nothing(target: ExportDirectory, path: Path) -> None:
    write_run(target, a_run(), files={"a": b"1"})
    target.publish()
    before = every_file(path)
    again = ExportDirectory(path, writable=True)
    again.capabilities()
    again.experiments.delete("7")
    again.experiments.restore("7")
    after = every_file(path)
    again.publish()
    assert every_file(path) == after
    del before[path / "7" / "experiment.json"]
    assert all(after[file] == content for file, content in before.items())


def test_publishing_tells_of_damaged_experiments_after_the_others(
    target: ExportDirectory, path: Path
) -> None:
    target.experiments.create(an_experiment("8"))
    write_run(target, a_run())
    (path / "8" / "experiment.json").write_text('{"mlflow"')
    with pytest.raises(DirectoryError, match=r"8.experiment\.json"):
        target.publish()
    assert lists(path)["runs"] == [RUN_ID]


def test_reading_an_export_writes_nothing(target: ExportDirectory, path: Path) -> None:
    write_run(target, a_run(), files={"a": b"1"})
    target.runs.create("7", a_run("b" * 32)).abandon()
    before = every_file(path)
    source = ExportDirectory(path, writable=False)
    source.capabilities()
    for run in source.runs.list([it.experiment_id for it in source.experiments.list()]):
        all_points(source, run)
        files_of(source, run.run_id)
    with pytest.raises(Refused):
        source.experiments.create(an_experiment("9"))
    with pytest.raises(Refused):
        source.publish()
    with pytest.raises(Refused):
        source.runs.create("7", a_run("c" * 32))
    assert every_file(path) == before


def test_several_runs_are_written_at_once(target: ExportDirectory) -> None:
    def write(number: int) -> None:
        run = a_run(f"{number:032x}", name=str(number))
        points = [Metric("n", float(number), step, step) for step in range(500)]
        write_run(target, run, points=points, files={f"{number}/{n}": b"x" * n for n in range(3)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    runs = {run.run_id: run for run in target.runs.list(["7"])}
    assert len(runs) == 24
    for number in range(24):
        run = runs[f"{number:032x}"]
        assert run.name == str(number)
        assert {point.value for point in all_points(target, run)} == {float(number)}
        assert sorted(files_of(target, run.run_id)) == [f"{number}/{n}" for n in range(3)]


def test_several_files_of_a_run_are_written_at_once(target: ExportDirectory) -> None:
    writer = target.runs.create("7", a_run())
    names = [f"dir/{number % 5}/{number}:x" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: put(target, writer.root, name, name.encode()), names))
    writer.finish(a_run(), "m")
    assert files_of(target, RUN_ID) == {name: name.encode() for name in names}


@pytest.mark.parametrize("size", [2, 4])
def test_a_file_that_has_not_its_size_is_not_taken(target: ExportDirectory, size: int) -> None:
    writer = target.runs.create("7", a_run())
    with pytest.raises(Unavailable, match="came with 3 bytes"):
        target.artifacts.put(writer.root, Artifact("a", size), io.BytesIO(b"123"))
    assert target.artifacts.list(writer.root) == []
    writer.abandon()


def test_a_source_that_breaks_off_is_not_blamed_on_the_directory(target: ExportDirectory) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError("gone")

    writer = target.runs.create("7", a_run())
    with pytest.raises(Unavailable, match="gone"):
        target.artifacts.put(writer.root, Artifact("a", 3), Broken())
    writer.abandon()


def test_files_are_taken_only_while_their_run_is_written(target: ExportDirectory) -> None:
    write_run(target, a_run())
    with pytest.raises(DirectoryError, match="not being written"):
        put(target, root_of(RUN_ID), "a", b"1")


def test_a_damaged_run_is_named_and_does_not_stop_others(
    target: ExportDirectory, path: Path
) -> None:
    write_run(target, a_run())
    write_run(target, a_run("b" * 32))
    run_file = path / "7" / "runs" / RUN_ID / "run.json"
    run_file.write_bytes(run_file.read_bytes()[:-40])
    assert list(target.runs.find("7")) == ["b" * 32]
    assert [run.run_id for run in target.runs.read_in("7", [RUN_ID, "b" * 32])] == ["b" * 32]
    with pytest.raises(DirectoryError, match=r"run\.json") as caught:
        target.runs.create("7", a_run())
    assert "export again" in caught.value.hint
    target.publish()
    assert lists(path)["runs"] == ["b" * 32]
    info = json.loads((path / "7" / "experiment.json").read_text())["info"]
    assert info["failed_runs"] == [RUN_ID]


def test_a_directory_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DirectoryError, match="not empty"):
        ExportDirectory(tmp_path, writable=True).capabilities()
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_the_export_of_another_tool_is_not_added_to(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    before = every_file(tmp_path)
    with pytest.raises(DirectoryError, match="another tool"):
        ExportDirectory(tmp_path, writable=True).experiments.create(an_experiment())
    assert every_file(tmp_path) == before


def test_a_path_through_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match="cannot be written"):
        ExportDirectory(tmp_path / "file" / "export", writable=True).capabilities()
    with pytest.raises(WrongDirectory, match="is not a directory"):
        ExportDirectory(tmp_path / "file", writable=True).capabilities()


@pytest.mark.parametrize("holds_models", [True, False])
def test_what_opening_made_is_taken_back_only_while_nothing_else_was_written(
    tmp_path: Path, holds_models: bool
) -> None:
    (tmp_path / "empty").mkdir()
    for path, left in ((tmp_path / "a" / "b", []), (tmp_path / "empty", ["empty"])):
        directory = ExportDirectory(path, writable=True, holds_models=holds_models)
        directory.capabilities()
        assert list(path.rglob("experiments.json"))
        directory.withdraw()
        assert [str(found.relative_to(tmp_path)) for found in path.parent.rglob("*")] == left

    directory = ExportDirectory(tmp_path / "used", writable=True, holds_models=holds_models)
    directory.experiments.create(an_experiment())
    before = every_file(tmp_path)
    directory.withdraw()
    ExportDirectory(tmp_path / "used", writable=True).withdraw()
    opened_again = ExportDirectory(tmp_path / "used", writable=True, holds_models=holds_models)
    opened_again.capabilities()
    opened_again.withdraw()
    assert every_file(tmp_path) == before


def test_the_directory_is_made_with_its_parents_once(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with ThreadPoolExecutor(4) as pool:
        shared = ExportDirectory(path, writable=True)
        made = list(pool.map(lambda _: shared.capabilities().identity, range(8)))
    assert len(set(made)) == 1
    assert (path / "experiments.json").is_file()


def test_a_full_disk_is_named_and_what_was_there_stays(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: both are ``OSError`` of writing."""
    script = """
import resource, sys
from pathlib import Path
from migrate.endpoints.directory import ExportDirectory
from migrate.errors import StorageFull
from migrate.objects import Metric
from tests.endpoints.exports import a_run, an_experiment, put, write_run

target = ExportDirectory(Path(sys.argv[1]), writable=True)
target.experiments.create(an_experiment())
write_run(target, a_run("b" * 32))
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
long = [Metric("k", 0.5, step, step) for step in range(40_000)]
for step in range(3):
    writer = target.runs.create("7", a_run())
    try:
        if step == 0:
            put(target, writer.root, "big", b"x" * 70_000)
        elif step == 1:
            writer.write_metrics(long)  # too many to be held
        else:
            writer.write_metrics(long[:2_000])
            writer.finish(a_run(), "m")
        sys.exit(f"step {step} was not refused")
    except StorageFull as problem:
        assert "File too large" in problem.message, problem
        assert problem.hint
        writer.abandon()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer = target.runs.create("7", a_run())
assert target.artifacts.list(writer.root) == []
writer.write_metrics(long)
writer.finish(a_run(), "m")
"""
    command = [sys.executable, "-W", "error", "-c", script, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, timeout=120, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    source = ExportDirectory(tmp_path, writable=False)
    runs = {run.run_id: run for run in source.runs.list(["7"])}
    assert len(all_points(source, runs[RUN_ID])) == 40_000
    assert all_points(source, runs["b" * 32]) == POINTS
    assert source.unreadable.all() == []
