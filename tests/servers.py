"""Tracking servers that start in a moment: a process that has imported MLflow forks for each.

A new interpreter needs five seconds to import what a server of MLflow imports, and the tests start
fifty. A forked server is real in all that tests do to it: it has its own process group,
environment, working directory and log, and is stopped, killed and started again.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

from migrate.demo.server import HOST, ServerProcess, TrackingServerProcess
from migrate.endpoints.tracking.versions import release_of

#: The version of MLflow whose servers are started, and whose databases are made.
INSTALLED = release_of(version("mlflow"))
assert INSTALLED is not None
IS_3_18 = INSTALLED.reaches((3, 18))

#: What the web server of ``mlflow server`` serves.
APP = "mlflow.server.fastapi_app"


class AppServer(TrackingServerProcess):
    """The web server that ``mlflow server`` starts, without the command that starts it.

    The command imports all of MLflow, tells the web server by variables what it was asked for, and
    then waits for its end. Here the variables are set without it; their names are those of
    ``mlflow/server/constants.py`` of MLflow 3.17. Takes ``directory``, ``environment``
    and ``empty_databases``. Where these have no database to copy yet, the command makes one: it
    alone does so at its start. With an ``environment``, which an import may look at, nothing is
    imported before.
    """

    def _launched(self) -> ServerProcess:
        if self._environment or not self._has_database():
            return super()._launched()
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        return _forking().fork(self.directory, self._clean_environment(), self.log, self.port)

    def _command(self) -> list[str]:
        if not self._has_database():
            return super()._command()
        served = ["-m", "uvicorn", "--host", HOST, "--port", str(self.port)]
        return [str(self.python), *served, f"{APP}:app"]

    def _has_database(self) -> bool:
        assert self._database is not None
        return self._database.exists()

    def _clean_environment(self) -> dict[str, str]:
        return super()._clean_environment() | {
            "_MLFLOW_SERVER_FILE_STORE": self._backend_store_uri,
            "_MLFLOW_SERVER_REGISTRY_STORE": self._backend_store_uri,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": self._artifacts,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        }


class _ForkedServer:
    """A child of the forking process, which alone can say when it has ended."""

    def __init__(self, pid: int, forking: _Forking) -> None:
        self.pid = pid
        self._forking = forking
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._forking.asked("poll", self.pid)
        return self._code

    def wait(self) -> int:
        if self._code is None:
            self._code = self._forking.asked("wait", self.pid)
        assert self._code is not None
        return self._code


class _Forking:
    """The process that forks. It and all its servers end with the one that holds this, however."""

    def __init__(self) -> None:
        told, self._alive = os.pipe()
        environment = {k: v for k, v in os.environ.items() if "MLFLOW_" not in k}
        environment |= {"PYTHONPATH": str(Path(__file__).parent.parent)}
        # A pool of threads does not live on in a fork.
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import forks; forks({told})"],
            env=environment | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
            pass_fds=[told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(told)
        self._one_at_a_time = Lock()

    def fork(
        self, directory: Path, environment: Mapping[str, str], log: Path, port: int
    ) -> _ForkedServer:
        pid = self.asked("fork", str(directory), dict(environment), str(log), port)
        return _ForkedServer(pid, self)

    def asked(self, *question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


@cache
def _forking() -> _Forking:
    return _Forking()


def forks(alive: int) -> None:
    """Answers what a _Forking asks, a line of JSON each, until it asks no more.

    ``alive`` is the end of a pipe whose other end closes when the asking process is gone.
    """
    # By the first of them MLflow knows that it is a server that imports it.
    for module in ("uvicorn", APP):
        importlib.import_module(module)
    for line in sys.stdin.buffer:
        match json.loads(line):
            case ["fork", directory, environment, log, port]:
                answer = os.fork()
                if not answer:
                    _serve(alive, directory, environment, log, port)
            case ["poll", pid]:
                ended, status = os.waitpid(pid, os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if ended else None
            case ["wait", pid]:
                answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _serve(alive: int, directory: str, environment: Mapping[str, str], log: str, port: int) -> None:
    """Becomes a web server of MLflow, with all that a shell would set up for a command."""
    import uvicorn

    os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        file = os.open(path, flags, 0o644)
        os.dup2(file, number)
        os.close(file)
    os.dup2(1, 2)
    if not os.fork():
        os.read(alive, 1)
        os.killpg(0, signal.SIGKILL)
    sys.argv = ["uvicorn"]
    uvicorn.run(f"{APP}:app", host=HOST, port=port)
    os._exit(0)
