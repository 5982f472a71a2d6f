"""One virtual environment per MLflow version, built once under `.servers/` and kept.

The versions are the corners of what people still run: the last 1.x, the 2.x that has dataset
inputs but no traces, the last 2.x, the first 3.x with a metric history that pages, one in the
middle, and the newest.

    python -m tests.acceptance.environments           builds what is missing and prints the paths
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from uv import find_uv_bin

SERVERS = Path(__file__).parents[2] / ".servers"

# MLflow 1.30.1 runs on no Python newer than this one.
PYTHON = "3.11"

# MLflow up to 2.9 imports pkg_resources, which setuptools 81 removed.
_PKG_RESOURCES = "setuptools<81"
# MLflow up to 3.8 imports FallbackAsyncAdaptedQueuePool, which SQLAlchemy 2.1 removed, and does
# not declare that limit itself (1.30 does: it asks for SQLAlchemy 1.4).
_FALLBACK_POOL = "sqlalchemy<2.1"

NEWEST = "3.17.2"
# With ``[auth]``: those whose servers are started with passwords as well.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "1.30.1": ("mlflow==1.30.1", _PKG_RESOURCES),
    "2.9.2": ("mlflow==2.9.2", _PKG_RESOURCES, _FALLBACK_POOL),
    "2.22.5": ("mlflow[auth]==2.22.5", _FALLBACK_POOL),
    "3.1.4": ("mlflow==3.1.4", _FALLBACK_POOL),
    "3.8.1": ("mlflow[auth]==3.8.1", _FALLBACK_POOL),
    NEWEST: (f"mlflow[auth]=={NEWEST}", "psycopg2-binary", "boto3"),
}
# Between them, targets that keep traces in other ways: the first with spans of many, one before
# many are shown at once, and the first that takes a trace which is there already.
BETWEEN: dict[str, tuple[str, ...]] = {
    version: (f"mlflow=={version}", _FALLBACK_POOL) for version in ("3.6.0", "3.10.1", "3.13.0")
}


def python_of(version: str, servers: Path = SERVERS) -> Path:
    """The interpreter of the environment of this MLflow version, built at the first call.

    Several processes may ask at once: one builds, the others wait. An environment whose build
    was interrupted, or whose requirements have changed since, is built anew.

    Raises KeyError for a version without requirements, RuntimeError with uv's own words when the
    installation fails.
    """
    requirements = (REQUIREMENTS | BETWEEN)[version]
    return environment(f"mlflow-{version}", requirements, servers) / "bin" / "python"


def environment(name: str, requirements: Sequence[str], servers: Path = SERVERS) -> Path:
    """A virtual environment with these packages, built as ``python_of`` says."""
    wanted = "\n".join((PYTHON, *requirements))
    built = servers / name
    finished = built / "finished"
    servers.mkdir(parents=True, exist_ok=True)
    with FileLock(servers / f"{name}.lock"):
        if not finished.is_file() or finished.read_text() != wanted:
            _build(built, requirements)
            finished.write_text(wanted)
    return built


def _build(environment: Path, requirements: Sequence[str]) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    _uv("venv", "--quiet", "--python", PYTHON, str(environment))
    python = str(environment / "bin" / "python")
    # Importing MLflow compiles some thousand modules, in every process of every server, where the
    # machine forbids writing bytecode; compiled once, a server starts in half the time.
    _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", python, *requirements)


def _uv(*arguments: str) -> None:
    done = subprocess.run([find_uv_bin(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"uv {' '.join(arguments)} failed:\n{done.stderr}")


if __name__ == "__main__":
    for known in REQUIREMENTS:
        print(known, python_of(known))
