"""Starts and stops a real ``mlflow server`` on a loopback port of this machine.

One server is two or more processes (the command, its web server, that one's workers). They share
a process group, which is how they are stopped, and how they go when this process is killed.
POSIX only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Protocol, Self

from filelock import FileLock

from migrate.errors import MigrateError

HOST = "127.0.0.1"
#: Seconds a server may take to answer: a start is 9 s on two idle cores, a minute on busy ones.
START_TIMEOUT = 120.0
#: Seconds between the request to stop and the end by force.
STOP_TIMEOUT = 10.0
#: Lines of the log that an error quotes.
QUOTED_LINES = 25

# The shell leaves a guard behind in the process group and becomes the server itself. The guard
# waits on a pipe that only the starting process holds open, so it wakes when that process is
# gone, however it went. PR_SET_PDEATHSIG would follow the starting thread instead of the
# process, and reach the first process of the server only.
_GUARDED = 'exec 3<&0 </dev/null; (read -r _ <&3; kill -s KILL 0) & exec "$@" 3<&-'


class ServerProcess(Protocol):
    """The first process of a server, the leader of its group. So are processes of the system's."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self) -> int: ...


class ServerDidNotStart(MigrateError):
    """The server ended, did not answer in time, or its port is taken; quotes the end of its log."""


class TrackingServerProcess:
    """A tracking server with its data in a directory; a context manager that starts and stops it.

    ``directory`` is created if need be, is the server's working directory, and holds
    ``mlflow.db``, ``artifacts/`` and ``server.log`` unless the options say otherwise:

    - ``python``: interpreter of the environment whose MLflow is served (default: this one);
    - ``workers``: number of worker processes;
    - ``backend_store_uri``: database instead of the SQLite file in ``directory``;
    - ``artifacts_destination``: where proxied artifacts are stored (a path, ``s3://...``);
    - ``serve_artifacts=False``: no proxying of artifacts; clients are sent to
      ``default_artifact_root`` (default: ``artifacts/`` in ``directory``);
    - ``app_name``: an app to serve instead of the plain one, such as ``basic-auth``;
    - ``environment``: variables for the server, on top of this process's own without any that
      begin with ``MLFLOW_`` or ``MIGRATE_``; background jobs and telemetry are off by default;
    - ``port``: a fixed port (default: a free one, the same one after every restart);
    - ``empty_databases``: a directory that keeps one empty SQLite database of every MLflow
      version; with it, all but the first server of a version skip two seconds of migrations.
      It may be shared by processes.
    """

    def __init__(
        self,
        *,
        directory: Path,
        python: Path | None = None,
        workers: int = 1,
        backend_store_uri: str | None = None,
        artifacts_destination: str | None = None,
        serve_artifacts: bool = True,
        default_artifact_root: str | None = None,
        app_name: str | None = None,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        empty_databases: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.python = python or Path(sys.executable)
        self.workers = workers
        self.port = port or 0
        self.log = self.directory / "server.log"
        self._database = None if backend_store_uri else self.directory / "mlflow.db"
        self._backend_store_uri = backend_store_uri or f"sqlite:///{self._database}"
        self._artifacts = artifacts_destination or str(self.directory / "artifacts")
        self._serve_artifacts = serve_artifacts
        self._default_artifact_root = default_artifact_root
        self._app_name = app_name
        self._environment = dict(environment or {})
        self._empty_databases = empty_databases
        self._process: ServerProcess | None = None
        self._log_start = 0
        self._port_holder: socket.socket | None = None
        if not port:
            self._hold_port()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def uri(self) -> str:
        """The tracking URI, such as ``http://127.0.0.1:5000``; known before the start."""
        return f"http://{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the server has been started and its first process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The server's first process, of which its workers are children; 0 when it is stopped."""
        return self._process.pid or 0 if self._process is not None else 0

    def start(self) -> None:
        """Starts the server and returns when it answers; does nothing if it runs already.

        Raises ServerDidNotStart if the port is taken, or the server ends or stays silent for
        120 seconds; nothing of it is running then.
        """
        if self.running:
            return
        self.kill()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._hold_port()
        try:
            with self._prepared_database():
                self._process = self._launched()
                self._wait_until_healthy()
        except BaseException:
            self.kill()
            self._release_port()
            raise

    def stop(self) -> None:
        """Ends all processes of the server: by request, after ten seconds by force."""
        self._end_politely()
        self._release_port()

    def kill(self) -> None:
        """Kills all processes of the server at once, as a power cut would."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        if isinstance(self._process, subprocess.Popen):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait()
        self._process = None
        self._wait_while(self._accepts, STOP_TIMEOUT)

    def restart(self) -> None:
        """Stops the server if it runs, and starts it on the same port with the same data."""
        self._end_politely()
        self.start()

    def _launched(self) -> ServerProcess:
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            return subprocess.Popen(
                ["/bin/sh", "-c", _GUARDED, "sh", *self._command()],
                cwd=self.directory,
                env=self._clean_environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _command(self) -> list[str]:
        # MLflow 1 has no ``python -m mlflow``, and an environment that was moved no ``bin/mlflow``.
        command = [str(self.python), "-c", "from mlflow.cli import cli; cli()", "server"]
        command += ["--host", HOST, "--port", str(self.port), "--workers", str(self.workers)]
        command += ["--backend-store-uri", self._backend_store_uri]
        root = self._default_artifact_root
        if self._serve_artifacts:
            # The default of MLflow 2 and later, spelt out for MLflow 1.
            command += ["--serve-artifacts", "--artifacts-destination", self._artifacts]
        else:
            command += ["--no-serve-artifacts"]
            root = root or self._artifacts
        if root:
            command += ["--default-artifact-root", root]
        if self._app_name:
            command += ["--app-name", self._app_name]
        return command

    def _clean_environment(self) -> dict[str, str]:
        ours = ("MLFLOW_", "_MLFLOW_", "MIGRATE_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        # Without bytecode files every start compiles all of MLflow again, twice.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # Older versions start gunicorn by its bare name.
        path = environment.get("PATH", os.defpath)
        environment["PATH"] = f"{self.python.absolute().parent}{os.pathsep}{path}"
        environment |= {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        return environment | self._environment

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._healthy():
            assert self._process is not None
            if (exit_code := self._process.poll()) is not None:
                raise self._did_not_start(f"ended with exit code {exit_code}")
            if time.monotonic() > deadline:
                raise self._did_not_start(f"did not answer within {START_TIMEOUT:.0f} seconds")
            time.sleep(0.05)

    def _healthy(self) -> bool:
        connection = HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _did_not_start(self, what: str) -> ServerDidNotStart:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        quoted = "\n".join(f"  {line}" for line in lines[-QUOTED_LINES:])
        return ServerDidNotStart(
            f"mlflow server on port {self.port} {what}. The end of its log:\n{quoted}",
            hint=f"The whole log is {self.log}.",
        )

    def _end_politely(self) -> None:
        if (process := self._process) is None:
            return
        self._signal(signal.SIGTERM)
        # Older versions leave their web server to end by itself, which first gives up the port.
        # (Not until the group is empty: a slow init keeps dead processes in it for seconds.)
        self._wait_while(lambda: process.poll() is None or self._accepts(), STOP_TIMEOUT)
        self.kill()

    @staticmethod
    def _wait_while(condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while condition() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        # macOS answers with a PermissionError where only dead processes are left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _hold_port(self) -> None:
        """Keeps the port from being handed to anybody else while the server is not listening.

        Where none is known yet, takes a free one.

        On Linux a socket that is bound, but does not listen, lets the server bind as well, and
        is passed over when the kernel looks for a free port; elsewhere it would be in the way.
        """
        if self._port_holder is not None:
            return
        holder = socket.socket()
        if self.port:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((HOST, self.port))
        except OSError as error:
            holder.close()
            raise ServerDidNotStart(
                f"Port {self.port} of {HOST} cannot be used: {error.strerror}.",
                hint="Choose another port, or stop the program that uses this one.",
            ) from error
        self.port = holder.getsockname()[1]
        # A free one is asked for without: two holders could be given the same.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            self._port_holder = holder
        else:
            holder.close()

    def _release_port(self) -> None:
        if self._port_holder is not None:
            self._port_holder.close()
            self._port_holder = None

    @contextlib.contextmanager
    def _prepared_database(self) -> Iterator[None]:
        """Brings a copy of an empty database; keeps the new one if there is none to copy yet."""
        database = self._database
        if (
            database is None
            or database.exists()
            or self._empty_databases is None
            # The database holds an artifact root: that of the Default experiment.
            or self._default_artifact_root is not None
            or not self._serve_artifacts
        ):
            yield
            return
        self._empty_databases.mkdir(parents=True, exist_ok=True)
        kept = self._empty_databases / f"mlflow-{mlflow_version(self.python)}.db"
        with FileLock(f"{kept}.lock"):
            if not kept.exists():
                yield
                partial = kept.with_suffix(".partial")
                copy_database(database, partial)
                partial.replace(kept)
                return
        copy_database(kept, database)
        yield


def copy_database(source: Path, target: Path) -> None:
    """Copies a SQLite database in one transaction; servers may have both files open.

    A server that has the target open sees the new content with its next request.
    """
    with (
        contextlib.closing(sqlite3.connect(source)) as from_database,
        contextlib.closing(sqlite3.connect(target, timeout=30)) as to_database,
    ):
        from_database.backup(to_database)


@lru_cache
def mlflow_version(python: Path) -> str:
    """Returns the version of MLflow in an interpreter's environment.

    Raises MigrateError if there is none, or no such interpreter.
    """
    code = "from importlib.metadata import version; print(version('mlflow'))"
    try:
        answer = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MigrateError(
            f"There is no mlflow to be found by {python}.",
            hint="Give the interpreter of an environment in which mlflow is installed.",
        ) from error
    return answer.stdout.strip()
