"""Servers for the acceptance tests. Few run at a time: two cores carry two servers well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.backing import S3, MariaDB, mariadb, postgres, s3_service
from tests.acceptance.environments import NEWEST, REQUIREMENTS, python_of
from tests.acceptance.sources import OldSources
from tests.conftest import ServerFactory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all tests of this directory, and brings together those of one source version."""
    here = Path(__file__).parent
    ours = [item for item in items if item.path.is_relative_to(here)]
    for item in ours:
        item.add_marker(pytest.mark.acceptance)
        # The first test of a version builds its environment, which takes a minute or two.
        item.add_marker(pytest.mark.timeout(900))
    items[:] = [item for item in items if item not in ours] + sorted(ours, key=_source_version)


def _source_version(item: pytest.Item) -> int:
    callspec = getattr(item, "callspec", None)
    params = callspec.params if callspec else {}
    version = params.get("source_version", params.get("version", NEWEST))
    return list(REQUIREMENTS).index(version)


@pytest.fixture(scope="session")
def old_source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldSources]:
    """`old_source(version)`: the seeded source of a version; the one before is stopped."""
    sources = OldSources(tmp_path_factory.mktemp("sources"))
    yield sources
    sources.stop()


@pytest.fixture(scope="module")
def target_of(server_factory: ServerFactory) -> Callable[[str], TrackingServerProcess]:
    """`target_of(version)`: a new empty server of a version, stopped by the end of its `with`."""
    return lambda version: server_factory(python=python_of(version))


@pytest.fixture(scope="module")
def postgres_target(server_factory: ServerFactory) -> Iterator[TrackingServerProcess]:
    """A running empty server of the newest version whose database is on Postgres."""
    with (
        postgres() as uri,
        server_factory(python=python_of(NEWEST), backend_store_uri=uri) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """A running MariaDB without databases."""
    with mariadb() as server:
        yield server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A running S3 service without buckets."""
    with s3_service(tmp_path_factory.mktemp("s3")) as service:
        yield service
