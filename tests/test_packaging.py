"""The wheel holds what a user needs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import migrate
from tests.conftest import ROOT

COMMANDS = ["export-all", "export-models", "export-experiments"]
COMMANDS += ["import-all", "import-models", "import-experiments"]
SCRIPTS = {name: f"migrate.cli.scripts:{name.replace('-', '_')}" for name in COMMANDS}


def pip(*args: str | Path) -> None:
    """Runs pip without an index: whatever it needs has to be there."""
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", directory, ROOT)
    (built,) = directory.iterdir()
    return built


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("migrate", "state")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    metadata = f"mlflow_migrate-{migrate.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(metadata)} == files
    assert f"{metadata}licenses/LICENSE" in names


def test_the_wheel_describes_itself(wheel: Path) -> None:
    metadata = f"mlflow_migrate-{migrate.__version__}.dist-info"
    assert wheel.name == f"mlflow_migrate-{migrate.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"{metadata}/entry_points.txt").decode()
        described = archive.read(f"{metadata}/METADATA").decode()
    rows = entry_points.replace("[console_scripts]", "").strip().splitlines()
    assert dict(row.split(" = ") for row in rows) == {"migrate": "migrate.cli:main", **SCRIPTS}
    headers, _, text = described.partition("\n\n")
    assert f"\nVersion: {migrate.__version__}\n" in headers
    assert text.strip() == (ROOT / "README.md").read_text().strip()


@pytest.mark.thorough
def test_the_installed_commands_run(wheel: Path, tmp_path: Path) -> None:
    pip("install", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel)

    def said(*command: str) -> str:
        done = subprocess.run(
            [tmp_path / "site" / "bin" / command[0], *command[1:]],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "80"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert said("migrate", "--version").strip() == f"mlflow-migrate {migrate.__version__}"
    for command in SCRIPTS:
        assert f"Usage: {command} [OPTIONS]" in said(command, "--help")
