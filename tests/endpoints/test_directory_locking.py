"""One process at a time writes into an export, and none holds it after its death."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.errors import TargetInUse
from tests.conftest import RunMigrate
from tests.endpoints.exports import a_run, an_experiment, write_run

_HOLD = """
import sys
from pathlib import Path
from migrate.endpoints.directory import ExportDirectory
target = ExportDirectory(Path(sys.argv[1]), writable=True)
target.claim()
print("holding", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def another_export_into(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that exports into a directory until it is killed."""
    command = [sys.executable, "-c", _HOLD, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "holding\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An export to copy from."""
    target = ExportDirectory(tmp_path / "source", writable=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run())
    target.publish()
    return tmp_path / "source"


def test_a_second_export_into_a_directory_is_told_of_the_first(
    tmp_path: Path, source: Path, run_migrate: RunMigrate
) -> None:
    target = tmp_path / "target"
    with another_export_into(target) as holder:
        second = run_migrate("run", source, target)
        assert second.returncode == 4, second.stderr
        where = f"is being written by process {holder.pid} on {socket.gethostname()}, since "
        assert f"{target} {where}" in " ".join(second.stderr.split())
        assert "Hint: wait for it or stop it" in second.stderr
        assert not (target / "7").exists()
        planned = run_migrate("plan", source, target, "--state", "plan.db")
        assert planned.returncode == 0, planned.stderr
        holder.kill()
        holder.wait()
        after = run_migrate("run", source, target)
        assert after.returncode == 0, after.stderr
    assert (target / "7" / "runs" / a_run().run_id / "run.json").exists()


def test_who_reads_a_directory_is_told_that_it_is_being_written_or_not_finished(
    tmp_path: Path, source: Path, run_migrate: RunMigrate
) -> None:
    with another_export_into(source) as writer:
        beside = run_migrate("run", source, tmp_path / "copy")
        verified = run_migrate("verify", source, tmp_path / "copy")
    for ended in (beside, verified):
        assert ended.returncode == 3, ended.stderr
        assert f"is being written by process {writer.pid}" in " ".join(ended.stdout.split())
    assert list((tmp_path / "copy").rglob(f"{a_run().run_id}/run.json"))
    unfinished = run_migrate("run", source, tmp_path / "copy")
    assert unfinished.returncode == 3
    assert f"process {writer.pid}" in " ".join(unfinished.stdout.split())
    assert "did not finish" in " ".join(unfinished.stdout.split())
    finishes = ExportDirectory(source, writable=True)
    finishes.claim()
    finishes.publish()
    finishes.close()
    assert run_migrate("run", source, tmp_path / "copy").returncode == 0


def test_the_first_of_two_that_make_the_same_directory_says_whose_it_is(tmp_path: Path) -> None:
    first = ExportDirectory(tmp_path, writable=True)
    identity = first.capabilities().identity
    first.claim()
    second = ExportDirectory(tmp_path, writable=True)
    assert second.capabilities().identity == identity
    with pytest.raises(TargetInUse):
        second.claim()
    first.close()
    second.claim()
    second.close()


def test_what_opening_made_stays_when_another_has_begun_to_write_there(tmp_path: Path) -> None:
    first = ExportDirectory(tmp_path / "export", writable=True)
    first.capabilities()
    with another_export_into(tmp_path / "export"):
        first.withdraw()
        assert (tmp_path / "export" / "experiments.json").exists()


@pytest.mark.thorough
def test_a_lock_that_was_copied_with_an_export_locks_nothing(
    tmp_path: Path, source: Path, run_migrate: RunMigrate
) -> None:
    (source / ".migrate.lock").write_text("")
    assert run_migrate("run", source, tmp_path / "copy").returncode == 0
    again = ExportDirectory(source, writable=True)
    again.claim()
    again.close()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path, source: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (source / ".migrate.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="symbolic link"):
        ExportDirectory(source, writable=True).claim()
    assert ExportDirectory(source, writable=False).unknown() == ()
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_a_directory_that_is_only_to_be_read_is_read_without_a_lock(
    tmp_path: Path, source: Path, run_migrate: RunMigrate
) -> None:
    for place in (*source.rglob("*"), source):
        place.chmod(place.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    before = sorted((it, os.lstat(it).st_mtime_ns) for it in (source, *source.rglob("*")))
    assert run_migrate("run", source, tmp_path / "copy").returncode == 0
    assert sorted((it, os.lstat(it).st_mtime_ns) for it in (source, *source.rglob("*"))) == before
    for place in (source, *source.rglob("*")):
        place.chmod(place.stat().st_mode | stat.S_IWUSR)
