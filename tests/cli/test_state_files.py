"""State databases that are missing, not ours, too new, stale or on a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from state.store import StateStore
from tests.cli.conftest import TERMINAL, Migrate, Seeded, Typed
from tests.conftest import ROOT
from tests.seed import Source

KB = 1 << 10


@pytest.fixture
def ends(
    source_server: TrackingServerProcess, target_server: TrackingServerProcess
) -> tuple[str, str]:
    return source_server.uri, target_server.uri


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        yield connection


class TestNotOurs:
    @pytest.mark.parametrize(
        "command", [["run", "--resume"], ["status"], ["map"], ["verify"]], ids=" ".join
    )
    def test_none_at_all(self, typed: Typed, tmp_path: Path, command: list[str]) -> None:
        typed.fails(*command, code=1, says="there is no state database at", hints="--state")
        assert not (tmp_path / ".migrate").exists()

    def test_one_without_a_migration(self, typed: Typed, tmp_path: Path) -> None:
        StateStore.open(tmp_path / "state.db").close()
        for command in (["run", "--resume"], ["status"], ["verify"]):
            says = "there is no migration"
            typed.fails(*command, "--state", "state.db", code=2, says=says)

    def test_one_of_a_newer_version(self, typed: Typed, tmp_path: Path) -> None:
        path = tmp_path / "state.db"
        StateStore.open(path).close()
        with database(path) as connection:
            connection.execute("UPDATE state_version SET version = version + 1")
        for command in (["run", "--resume"], ["status"]):
            typed.fails(*command, "--state", path, code=1, says="newer", hints="mlflow-migrate")

    @pytest.mark.parametrize("content", [b"not a database at all " * 300, b"SQLite format 3\0..."])
    def test_one_that_is_damaged(self, typed: Typed, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "state.db"
        path.write_bytes(content)
        says = f"{path} is damaged, or no state database"
        for command in (["run", "--resume"], ["status"]):
            typed.fails(*command, "--state", path, code=1, says=says, hints="--state")
        assert path.read_bytes() == content

    def test_the_database_of_another_program(self, typed: Typed, tmp_path: Path) -> None:
        path = tmp_path / "mlflow.db"
        with database(path) as connection:
            connection.execute("CREATE TABLE experiments (name TEXT)")
        before = path.read_bytes()
        for command in (["run", "--resume"], ["status"]):
            typed.fails(*command, "--state", path, code=1, says=str(path))
        assert path.read_bytes() == before

    def test_places_where_none_can_be(self, typed: Typed, tmp_path: Path) -> None:
        typed.fails("status", "--state", tmp_path, code=1, says=str(tmp_path))
        typed.fails("status", "--state", "oracle://u:s3cret@h/x", code=2, says="oracle databases")
        (tmp_path / "file").write_text("")
        typed.fails("status", "--state", "file/state.db", code=1, says="file/state.db")

    def test_the_environment_names_one_too(self, typed: Typed, tmp_path: Path) -> None:
        says = f"there is no state database at {tmp_path}/named.db"
        typed.fails("status", code=1, says=says, env={"MIGRATE_STATE": "named.db"})


class TestStale:
    @pytest.fixture
    def replaced(self, target_server: TrackingServerProcess) -> Iterator[None]:
        """For this test another server is where the target was: one that began at another time."""
        path = target_server.directory / "mlflow.db"
        move = "UPDATE experiments SET creation_time = creation_time {} WHERE experiment_id = 0"
        with database(path) as connection:
            connection.execute(move.format("+ 5"))
        yield
        with database(path) as connection:
            connection.execute(move.format("- 5"))

    def test_a_plan_for_a_target_that_was_replaced_is_refused(
        self,
        migrate: Migrate,
        ends: tuple[str, str],
        seeded: Seeded,
        request: pytest.FixtureRequest,
    ) -> None:
        migrate("plan", *ends, "--experiments", seeded.name)
        request.getfixturevalue("replaced")
        for command in (["run", "--resume"], ["run", *ends, "--resume"]):
            migrate.fails(
                *command,
                code=4,
                says="the plan was made for another source or target",
                hints=f"migrate run {ends[0]} {ends[1]}",
            )
        # What the hint says works.
        report = migrate("run", *ends, "--experiments", seeded.name).stdout
        assert report.splitlines()[-1].startswith("Done: 1 experiment, 2 runs")

    def test_other_ends_have_nothing_to_resume(
        self, migrate: Migrate, ends: tuple[str, str], seeded: Seeded
    ) -> None:
        migrate("plan", *ends, "--experiments", seeded.name)
        says = "there is no migration to resume"
        migrate.fails("run", ends[1], ends[0], "--resume", code=2, says=says)


class TestFullDisk:
    """A limit on the size of files stands for a disk that is full."""

    def run(self, folder: Path, *args: str, most: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "migrate", *args],
            cwd=folder,
            env={**os.environ, **TERMINAL, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        )

    @pytest.mark.parametrize(
        ("most", "says"),
        [(8 * KB, "state.db cannot be opened or written"), (36 * KB, "state.db cannot grow")],
        ids=["at the start", "on the way"],
    )
    def test_the_state_stays_usable(
        self,
        migrate: Migrate,
        ends: tuple[str, str],
        seeded: Seeded,
        tmp_path: Path,
        most: int,
        says: str,
    ) -> None:
        selected = ("--experiments", seeded.name)
        migrate("plan", *ends, *selected)
        full = self.run(tmp_path, "run", *ends, most=most)
        assert full.returncode == 1, full.stderr
        assert "Traceback" not in full.stderr
        assert says in full.stderr
        assert full.stdout == ""

        status = json.loads(migrate("status", "--json").stdout)
        assert [stood["complete"] for stood in status] == [False]
        report = migrate("run", "--resume").stdout
        assert report.splitlines()[-1] == "Done: 1 experiment, 2 runs on the target, nothing lost."
        with Source(ends[1]) as target:
            names = f"name = '{seeded.name}'"
            body = {"max_results": 10, "filter": names}
            (copy,) = target.post("experiments/search", body)["experiments"]
            body = {"experiment_ids": [copy["experiment_id"]]}
            assert len(target.post("runs/search", body)["runs"]) == 2

    @pytest.mark.thorough
    def test_a_state_that_cannot_even_begin(
        self, migrate: Migrate, ends: tuple[str, str], seeded: Seeded, tmp_path: Path
    ) -> None:
        selected = ("--experiments", seeded.name)
        full = self.run(tmp_path, "run", *ends, *selected, most=2 * KB)
        assert full.returncode == 1, full.stderr
        assert "Traceback" not in full.stderr
        assert "Error: " in full.stderr
        # There is no state to resume from.
        assert "--resume" not in full.stderr
        migrate("run", *ends, *selected)

    def test_an_export_is_completed_when_there_is_room(
        self, migrate: Migrate, ends: tuple[str, str], seeded: Seeded, tmp_path: Path
    ) -> None:
        with Source(ends[0]) as source:
            big = source.run("big", seeded.experiment)
            source.artifact(big, "big", b"x" * (3 * 1024 * KB))
        selected = ("--experiments", seeded.name)
        full = self.run(tmp_path, "run", ends[0], "export", *selected, most=2 * 1024 * KB)
        assert full.returncode == 1, full.stderr
        assert "Traceback" not in full.stderr
        assert "Hint: free space, then resume" in full.stderr
        report = migrate("run", "--resume").stdout
        assert report.splitlines()[-1] == "Done: 1 experiment, 3 runs on the target, nothing lost."
        migrate("verify", ends[0], "export", *selected, "--contents")
