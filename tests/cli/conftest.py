"""Small things to migrate, and checks that hold for every command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from migrate.demo.server import TrackingServerProcess
from tests.commands import app
from tests.conftest import RunMigrate
from tests.seed import START, Source

#: What a shell says that is left alone: no wrapped lines, no colours.
TERMINAL = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}

Result = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Migrate:
    """Runs ``migrate`` and holds every end of it to what all of them promise."""

    run_migrate: RunMigrate
    home: Path

    def __call__(
        self,
        *args: str | Path,
        code: int = 0,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> Result:
        """Run to the end, which has to have this exit code; ``timeout`` is in seconds."""
        environment = {"HOME": str(self.home), **TERMINAL, **(env or {})}
        result = self.run_migrate(*args, env=environment, timeout=timeout)
        assert result.returncode == code, f"{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stdout
        if "--debug" not in args:
            assert "Traceback" not in result.stderr
        return result

    def fails(
        self,
        *args: str | Path,
        code: int,
        says: str = "",
        hints: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> Result:
        """Run to an error that says this, with this in its hint, and nothing on stdout."""
        result = self(*args, code=code, env=env, timeout=timeout)
        error, _, hint = result.stderr.rpartition("Error: ")[2].partition("Hint: ")
        assert says in error, result.stderr
        assert hints in hint, result.stderr
        assert result.stdout == ""
        return result


class Typed(Migrate):
    """The same within this process, where a command takes no second to start."""

    def __call__(
        self,
        *args: str | Path,
        code: int = 0,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> Result:
        environment = {"HOME": str(self.home), **TERMINAL, **(env or {})}
        words: Sequence[str] = [str(arg) for arg in args]
        typed = CliRunner().invoke(app, words, env=environment, prog_name="migrate")
        assert isinstance(typed.exception, SystemExit | None), typed.exception
        assert typed.exit_code == code, typed.output
        return subprocess.CompletedProcess(words, code, typed.stdout, typed.stderr)


@pytest.fixture
def typed(run_migrate: RunMigrate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types commands in ``tmp_path``; for mistakes that are found before anything is asked."""
    monkeypatch.chdir(tmp_path)
    return Typed(run_migrate, tmp_path / "home")


@pytest.fixture
def migrate(run_migrate: RunMigrate, tmp_path_factory: pytest.TempPathFactory) -> Migrate:
    return Migrate(run_migrate, tmp_path_factory.mktemp("home"))


@dataclass(frozen=True)
class Seeded:
    """One experiment with two runs, one of them the parent of the other."""

    name: str
    experiment: str
    parent: str
    child: str


def seed(uri: str, name: str) -> Seeded:
    with Source(uri) as source:
        experiment = source.experiment(name, tags={"team": "risk"})
        parent = source.run("parent", experiment)
        source.params(parent, {"depth": "3"})
        source.metrics(parent, [("loss", 0.5, START, 0), ("loss", 0.25, START + 1, 1)])
        child = source.run("child", experiment, tags={"mlflow.parentRunId": parent})
        source.artifact(child, "model/weights", b"abc")
    return Seeded(name, experiment, parent, child)


@pytest.fixture
def seeded(source_server: TrackingServerProcess, unique_name: str) -> Seeded:
    return seed(source_server.uri, unique_name)


def everything_in(folder: Path) -> bytes:
    """Return the bytes of all files below a folder, one after the other."""
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return b"\n".join(path.read_bytes() for path in found)
