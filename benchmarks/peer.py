"""The tool to compare with: mlflow-migration, in an environment of its own.

It wants Python 3.12 and comes with the light `mlflow-skinny`, here of the servers' version.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.stage import KEPT

REQUIREMENTS = ("mlflow-migration==1.2.2", "mlflow-skinny==3.17.2")
ENVIRONMENT = KEPT / "peer"


class PeerUnavailable(RuntimeError):
    """The environment of the peer cannot be made here."""


def export_command(directory: Path) -> list[str]:
    """Export all experiments of the server in MLFLOW_TRACKING_URI to `directory`."""
    chosen = ("--experiments", "all", "--output-dir", f"{directory}")
    return [tool("export-experiments"), *chosen, *_THREADS]


def import_command(directory: Path) -> list[str]:
    """Import what `directory` holds into the server in MLFLOW_TRACKING_URI."""
    return [tool("import-experiments"), "--input-dir", f"{directory}", *_THREADS]


_THREADS = ("--use-threads", "True")


def tool(name: str) -> str:
    """One of its commands, such as `export-all`."""
    return str(ENVIRONMENT / "bin" / f"mlflow-migration-{name}")


def build() -> None:
    """Make the environment if it is not there; bytecode too, so that no start pays for it.

    Raises PeerUnavailable without a Python 3.12, or if the package index does not answer.
    """
    if Path(tool("import-experiments")).exists():
        return
    uv = [sys.executable, "-m", "uv"]
    try:
        subprocess.run([*uv, "venv", "-q", "--clear", "-p", _python(), ENVIRONMENT], check=True)
        install = [*uv, "pip", "install", "-q", "--compile-bytecode"]
        subprocess.run([*install, "-p", ENVIRONMENT / "bin" / "python", *REQUIREMENTS], check=True)
    except subprocess.CalledProcessError as error:
        raise PeerUnavailable(f"{REQUIREMENTS[0]} cannot be installed: {error}") from error


def _python() -> str:
    # A shim of pyenv is found on the path also where its version is not chosen, and then fails.
    candidates = [shutil.which("python3.12")]
    candidates += map(str, sorted(Path.home().glob(".pyenv/versions/3.12.*/bin/python")))
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    raise PeerUnavailable("there is no Python 3.12, which mlflow-migration needs")
