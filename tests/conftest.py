"""Fixtures: real tracking servers, the proxy in front of them, and ``migrate`` as a command.

Choose the cheapest server that a test can live with. The first of a worker takes five seconds to
start, the others one, and ten those with options, which start by MLflow's own command:

- ``source_server``, ``target_server``: one each for all tests of a worker, which add to it under
  their ``unique_name`` and delete nothing of others;
- ``fresh_source``: the first of these, with nothing in it while the tests of a module run;
- ``fresh_target``: an empty server, emptied again for every test in a tenth of a second;
- ``server_factory``: servers of a module's own, for special options and for tests that kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from filelock import FileLock
from hypothesis import settings

from migrate.demo.server import TrackingServerProcess, copy_database, mlflow_version
from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.database.target.schema import make_file
from tests.endpoints.databases import target_at
from tests.memory import MEMORY
from tests.processes import ROOT, MigrateProcess
from tests.proxy import Proxy
from tests.seed_models import SeededModels, seed_models
from tests.servers import AppServer

for _name in [name for name in os.environ if name.startswith(("MLFLOW_", "MIGRATE_"))]:
    del os.environ[_name]

if MEMORY:
    # The root of all ``tmp_path``; what a test that passed wrote is removed, see pyproject.toml.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)

# Random examples may take as long as a busy machine needs.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

EMPTY_DATABASES = ROOT / ".servers" / "empty-databases"

#: Takes the keyword arguments of TrackingServerProcess; ``directory`` has a default here. Without
#: any other it starts an AppServer, with others ``mlflow server``.
ServerFactory = Callable[..., TrackingServerProcess]
#: Takes the arguments of Proxy.
ProxyFactory = Callable[..., Proxy]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the long files, which are those beside this one, before the many short ones.

    So no worker is still busy with one of them when the others have nothing left.
    """
    items.sort(key=lambda item: item.path.parent != ROOT / "tests")


@contextlib.contextmanager
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    with contextlib.ExitStack() as running:

        def start(**options: Any) -> TrackingServerProcess:
            kind = (
                AppServer
                if options.keys() <= {"directory", "environment"}
                else TrackingServerProcess
            )
            options.setdefault("directory", tmp_path_factory.mktemp("server"))
            options.setdefault("empty_databases", EMPTY_DATABASES)
            return running.enter_context(kind(**options))

        yield start


@pytest.fixture(scope="module")
def server_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    """Starts servers that live until the end of the module."""
    with _servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def source_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerProcess]:
    """A server that many tests write to: use names of your own, and delete nothing of others."""
    with _servers(tmp_path_factory) as start:
        yield start()


@pytest.fixture(scope="session")
def target_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerProcess]:
    """A second server like ``source_server``."""
    with _servers(tmp_path_factory) as start:
        yield start()


@pytest.fixture(scope="session")
def _own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerProcess]:
    with _servers(tmp_path_factory) as start:
        yield start()


@pytest.fixture
def own_source(_own_server: TrackingServerProcess) -> TrackingServerProcess:
    """An empty server for what one test writes; starting another takes longer than emptying it."""
    empty(_own_server)
    _own_server.start()
    return _own_server


@pytest.fixture(scope="session")
def _emptied_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerProcess]:
    with _servers(tmp_path_factory) as start:
        yield start()


def empty_database_of(server: TrackingServerProcess) -> Path:
    """What the database of a server was when it started for the first time."""
    return EMPTY_DATABASES / f"mlflow-{mlflow_version(server.python)}.db"


@pytest.fixture(scope="module")
def fresh_source(
    source_server: TrackingServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServerProcess]:
    """``source_server`` with nothing in it: what other modules wrote is back when this one ends."""
    database = source_server.directory / "mlflow.db"
    away = tmp_path_factory.mktemp("away") / "mlflow.db"
    copy_database(database, away)
    copy_database(empty_database_of(source_server), database)
    yield source_server
    copy_database(away, database)


@pytest.fixture(scope="session")
def made_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as a target makes it; tests use copies, which takes no second each."""
    path = tmp_path_factory.mktemp("made") / "empty.db"
    make_file(path)
    return path


@pytest.fixture
def new_database(made_database: Path, tmp_path: Path) -> Path:
    """A database without an experiment, of the test's own."""
    return Path(shutil.copy(made_database, tmp_path / "new.db"))


@pytest.fixture
def database_target(new_database: Path) -> Iterator[DatabaseTarget]:
    """A new database as a target, with its files beside it."""
    with contextlib.closing(target_at(new_database)) as target:
        yield target


#: A server, and what was written to it.
OfAllModels = tuple[TrackingServerProcess, SeededModels]


@pytest.fixture(scope="module")
def of_all_models(
    server_factory: ServerFactory, tmp_path_factory: pytest.TempPathFactory
) -> OfAllModels:
    """A server of a module's own that holds what ``seed_models`` writes.

    That takes half a minute, so it is done once for all workers, and copied.
    """
    session = tmp_path_factory.getbasetemp()
    # A worker's own directory lies in one for all.
    shared = session.parent if "PYTEST_XDIST_WORKER" in os.environ else session
    kept = shared / "of-all-models"
    directory = tmp_path_factory.mktemp("server")
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            making = kept.with_suffix(".making")
            server = server_factory(directory=directory)
            seeded = seed_models(server.uri)
            making.mkdir()
            copy_database(directory / "mlflow.db", making / "mlflow.db")
            shutil.copytree(directory / "artifacts", making / "artifacts")
            (making / "seeded").write_bytes(pickle.dumps(seeded))
            making.rename(kept)
            return server, seeded
    seeded = pickle.loads((kept / "seeded").read_bytes())
    copy_database(kept / "mlflow.db", directory / "mlflow.db")
    shutil.copytree(kept / "artifacts", directory / "artifacts")
    server = server_factory(directory=directory)
    return server, dataclasses.replace(seeded, uri=server.uri)


@pytest.fixture
def fresh_target(_emptied_server: TrackingServerProcess) -> TrackingServerProcess:
    """A server with nothing in it but what every new one has; only this test's while it runs."""
    empty(_emptied_server)
    _emptied_server.start()
    return _emptied_server


def empty(server: TrackingServerProcess) -> None:
    """Take out of a server whatever is in it."""
    # SQLite swaps the content in one transaction; the running server keeps no copy of any.
    copy_database(empty_database_of(server), server.directory / "mlflow.db")
    shutil.rmtree(server.directory / "artifacts", ignore_errors=True)


@pytest.fixture
def proxy_factory() -> Iterator[ProxyFactory]:
    """Starts proxies that live until the end of the test."""
    with contextlib.ExitStack() as running:
        yield lambda *args, **options: running.enter_context(Proxy(*args, **options))


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> str:
    """A name, or prefix of names, that nothing else in this session has."""
    test = re.sub(r"\W+", "-", request.node.name)[:60]
    return f"{test}-{uuid.uuid4().hex[:8]}"


class RunMigrate(Protocol):
    def __call__(
        self, *args: str | Path, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def run_migrate(start_migrate: StartMigrate) -> RunMigrate:
    """Runs ``migrate`` in the test's ``tmp_path`` to its end; ``timeout`` is in seconds."""

    def run(
        *args: str | Path, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        process = start_migrate(*args, env=env)
        ended = process.ended(timeout)
        process.stdout_file.unlink()
        process.stderr_file.unlink()
        return ended

    return run


class StartMigrate(Protocol):
    def __call__(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        entry: str = "migrate.cli:main",
    ) -> MigrateProcess: ...


@pytest.fixture
def start_migrate(tmp_path: Path) -> Iterator[StartMigrate]:
    """Starts ``migrate`` in the test's ``tmp_path``; it is killed with the test's end."""
    started: list[MigrateProcess] = []

    def start(
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        entry: str = "migrate.cli:main",
    ) -> MigrateProcess:
        started.append(MigrateProcess(args, tmp_path, env, entry))
        return started[-1]

    yield start
    for process in started:
        process.signal_group(signal.SIGKILL)
        process.wait()
