"""The six commands as processes of their own, started by their scripts."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess, copy_database
from tests.bulk.exported import Exported
from tests.bulk.worlds import seed_world
from tests.cli.conftest import TERMINAL
from tests.conftest import StartMigrate
from tests.processes import MigrateProcess
from tests.seed_models import ModelSource, SeededModels

Result = subprocess.CompletedProcess[str]


def one_of(*commands: str) -> pytest.MarkDecorator:
    """A parameter ``command``: the first every day, the others, which share its code, thorough."""
    first, *others = commands
    marked = [pytest.param(command, marks=pytest.mark.thorough) for command in others]
    return pytest.mark.parametrize("command", [first, *marked])


@dataclass(frozen=True)
class Bulk:
    """Runs command lines such as ``export-all --output-dir out`` in a directory of the test's.

    ``at`` is the tracking server, as MLFLOW_TRACKING_URI names it.
    """

    starter: StartMigrate
    directory: Path
    home: Path

    def __call__(
        self,
        line: str,
        at: str = "",
        *,
        code: int = 0,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> Result:
        """Run to the end, which has to have this exit code; ``timeout`` is in seconds."""
        process = self.start(line, at, env=env)
        ended = process.ended(timeout)
        process.stdout_file.unlink()
        process.stderr_file.unlink()
        assert ended.returncode == code, f"{line}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stdout + ended.stderr or "--debug" in line
        return ended

    def start(
        self, line: str, at: str = "", *, env: Mapping[str, str] | None = None, entry: str = ""
    ) -> MigrateProcess:
        """Start a command line; ``entry`` is called in place of the command's script."""
        # As a shell: a line goes on behind a backslash.
        command, *args = shlex.split(line.replace("\\\n", " "))
        script = "migrate.cli:main"
        if command != "migrate":
            script = f"migrate.cli.scripts:{command.replace('-', '_')}"
        named = {"MLFLOW_TRACKING_URI": at} if at else {}
        environment = {"HOME": str(self.home), **TERMINAL, **named, **(env or {})}
        return self.starter(*args, env=environment, entry=entry or script)

    def write(self, name: str, text: str) -> Path:
        """Write a file that a command line names."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def exported(self, name: str = "out") -> Exported:
        """What a directory holds."""
        return Exported(self.directory / name)


@pytest.fixture
def bulk(
    start_migrate: StartMigrate, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bulk:
    return Bulk(start_migrate, tmp_path, tmp_path_factory.mktemp("home"))


@dataclass
class Kept:
    """The world as it was written once, for the modules that come after."""

    directory: Path
    seeded: SeededModels | None = None


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def world(fresh_source: TrackingServerProcess, kept: Kept) -> Iterator[ModelSource]:
    """A whole server to export from, see ``tests.bulk.worlds``; a module's tests may add to it."""
    database, copy = fresh_source.directory / "mlflow.db", kept.directory / "mlflow.db"
    with ModelSource(fresh_source.uri) as source:
        if kept.seeded is None:
            seed_world(source)
            copy_database(database, copy)
            kept.seeded = deepcopy(source.seeded)
        else:
            # The files are still where the server keeps them.
            copy_database(copy, database)
            source.seeded = deepcopy(kept.seeded)
        yield source


@pytest.fixture(scope="module")
def whole(world: ModelSource, kept: Kept) -> Path:
    """An export of the whole world; all tests share it and none changes it."""
    return _export("export-all", world, kept.directory / "whole")


@pytest.fixture(scope="module")
def wine_and_iris(world: ModelSource, kept: Kept) -> Path:
    """An export of two registered models and their one experiment, shared likewise."""
    return _export("export-models --models sklearn-*", world, kept.directory / "wine-and-iris")


def _export(line: str, world: ModelSource, path: Path) -> Path:
    if path.exists():
        return path
    command, *args = line.split()
    process = MigrateProcess(
        [*args, "--output-dir", path],
        path.parent,
        {"HOME": str(path.parent), "MLFLOW_TRACKING_URI": world.seeded.uri},
        f"migrate.cli.scripts:{command.replace('-', '_')}",
    )
    ended = process.ended(120)
    assert ended.returncode == 0, ended.stderr
    return path
