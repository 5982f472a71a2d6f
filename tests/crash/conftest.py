"""The migration of a test."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.conftest import ProxyFactory, StartMigrate
from tests.crash.migrations import Migration
from tests.crash.registries import RegistryMigration
from tests.seed import Source
from tests.seed_models import ModelSource

#: Takes what is to be migrated.
MigrationOf = Callable[[Source], Migration]
RegistryMigrationOf = Callable[[ModelSource], RegistryMigration]


@pytest.fixture(scope="module")
def prefix(request: pytest.FixtureRequest) -> str:
    """Begins the names of what a module's tests write to the shared source."""
    return f"{request.module.__name__.rpartition('_')[2]}-{uuid.uuid4().hex[:6]}-"


@pytest.fixture
def migration_of(
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    tmp_path: Path,
) -> MigrationOf:
    """Makes a migration from the shared source to an empty target, each behind a proxy."""
    return lambda seeded: Migration(
        seeded=seeded,
        source=proxy_factory(source_server.uri),
        target=proxy_factory(fresh_target.uri),
        directory=tmp_path,
        starter=start_migrate,
    )


@pytest.fixture
def registry_migration_of(
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    tmp_path: Path,
) -> RegistryMigrationOf:
    """Makes a migration of a whole server to an empty target, each behind a proxy."""
    return lambda source: RegistryMigration(
        seeded=source,
        source=proxy_factory(source.seeded.uri),
        target=proxy_factory(fresh_target.uri),
        directory=tmp_path,
        starter=start_migrate,
    )
