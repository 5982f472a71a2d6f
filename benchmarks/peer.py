"""The tools to compare with, each in an environment of its own.

mlflow-migration wants Python 3.12. Both come with the light `mlflow-skinny`, here of the servers'
version, and have the same commands.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stage import KEPT


class PeerUnavailable(RuntimeError):
    """The environment of a peer cannot be made here."""


@dataclass(frozen=True)
class Peer:
    """A tool that exports and imports; `prefix` begins the names of its commands."""

    requirement: str
    folder: str
    prefix: str = ""

    def export_command(self, directory: Path) -> list[str]:
        """Export all experiments of the server in MLFLOW_TRACKING_URI to `directory`."""
        chosen = ("--experiments", "all", "--output-dir", f"{directory}")
        return [self.tool("export-experiments"), *chosen, *_THREADS]

    def import_command(self, directory: Path) -> list[str]:
        """Import what `directory` holds into the server in MLFLOW_TRACKING_URI."""
        return [self.tool("import-experiments"), "--input-dir", f"{directory}", *_THREADS]

    @property
    def environment(self) -> Path:
        """Where it is installed."""
        return KEPT / self.folder

    def tool(self, name: str) -> str:
        """One of its commands, such as `export-all`."""
        return str(self.environment / "bin" / f"{self.prefix}{name}")

    def build(self) -> None:
        """Make the environment if it is not there; bytecode too, so that no start pays for it.

        Raises PeerUnavailable without a Python 3.12, or if the package index does not answer.
        """
        if Path(self.tool("import-experiments")).exists():
            return
        uv = [sys.executable, "-m", "uv"]
        python = str(self.environment / "bin" / "python")
        try:
            venv = [*uv, "venv", "-q", "--clear", "-p", _python(), str(self.environment)]
            subprocess.run(venv, check=True)
            install = [*uv, "pip", "install", "-q", "--compile-bytecode", "-p", python]
            subprocess.run([*install, self.requirement, MLFLOW], check=True)
        except subprocess.CalledProcessError as error:
            raise PeerUnavailable(f"{self.requirement} cannot be installed: {error}") from error


MLFLOW = "mlflow-skinny==3.17.2"
MIGRATION = Peer("mlflow-migration==1.2.2", "peer", "mlflow-migration-")
EXPORT_IMPORT = Peer("databricks-mlflow-export-import==1.2.1", "peer-export-import")
#: By the names of those who are measured.
PEERS = {"peer": MIGRATION, "export-import": EXPORT_IMPORT}

_THREADS = ("--use-threads", "True")


def _python() -> str:
    # A shim of pyenv is found on the path also where its version is not chosen, and then fails.
    candidates = [shutil.which("python3.12")]
    candidates += map(str, sorted(Path.home().glob(".pyenv/versions/3.12.*/bin/python")))
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    raise PeerUnavailable("there is no Python 3.12, which mlflow-migration needs")
