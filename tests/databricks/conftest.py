"""Workspaces in front of the shared servers, and ``migrate`` with their credentials."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import TERMINAL, everything_in
from tests.conftest import RunMigrate
from tests.databricks.workspace import Workspace

OTHER_TOKEN = "dapi-9876543210-hidden"

for _name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
    del os.environ[_name]


@pytest.fixture
def workspace(source_server: TrackingServerProcess) -> Iterator[Workspace]:
    """A workspace that is migrated from."""
    with Workspace(source_server.uri) as made:
        yield made


@pytest.fixture
def other(fresh_target: TrackingServerProcess) -> Iterator[Workspace]:
    """An empty workspace that is migrated to."""
    with Workspace(fresh_target.uri, token=OTHER_TOKEN) as made:
        yield made


@dataclass
class Migrate:
    """Runs ``migrate`` with two profiles, ``one`` and ``two``; no output may hold a token."""

    run_migrate: RunMigrate
    home: Path
    workspaces: Mapping[str, Workspace]
    env: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *args: str | Path, code: int = 0, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(self.home), **TERMINAL, **self.env, **(env or {})}
        result = self.run_migrate(*args, env=environment, timeout=120)
        assert result.returncode == code, f"{result.stdout}\n{result.stderr}"
        said = result.stdout + result.stderr
        assert "Traceback" not in said, said
        for made in self.workspaces.values():
            assert made.token not in said
        return result


@pytest.fixture
def migrate(
    run_migrate: RunMigrate, workspace: Workspace, other: Workspace, tmp_path: Path
) -> Iterator[Migrate]:
    """Runs ``migrate`` in ``tmp_path``; at the end no file there may hold a token."""
    home = tmp_path.parent / f"{tmp_path.name}-home"
    home.mkdir()
    sections = workspace.profile("one"), other.profile("two")
    (home / ".databrickscfg").write_text("\n".join(sections))
    yield Migrate(run_migrate, home, {"one": workspace, "two": other})
    written = everything_in(tmp_path)
    for token in (workspace.token, other.token):
        assert token.encode() not in written
    with contextlib.suppress(OSError):
        (home / ".databrickscfg").unlink()
