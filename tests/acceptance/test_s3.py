"""Artifacts in S3, behind the tracking server's proxy or beside the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.backing import S3
from tests.acceptance.commands import Migration
from tests.acceptance.s3_servers import (
    direct_server,
    proxied_server,
    seed_files,
    seed_files_beside,
)
from tests.comparison import differences
from tests.conftest import RunMigrate


@pytest.fixture(scope="module")
def s3_direct_source(
    s3: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServerProcess]:
    """A seeded server that sends clients to the bucket `direct-source`."""
    with direct_server(tmp_path_factory.mktemp("direct"), s3, "direct-source") as server:
        seed_files_beside(server.uri, s3, "direct-source")
        yield server


@pytest.fixture
def s3_proxied_source(s3: S3, tmp_path: Path) -> Iterator[TrackingServerProcess]:
    """A seeded server in front of the bucket `proxied-source`."""
    with proxied_server(tmp_path / "proxied-source", s3, "proxied-source") as server:
        seed_files(server.uri)
        yield server


def copy(
    run_migrate: RunMigrate, s3: S3, directory: Path, source: str | Path, target: str | Path
) -> None:
    """Migrates everything, twice, and has it verified."""
    migration = Migration(
        run_migrate=run_migrate,
        source=str(source),
        target=str(target),
        state=directory / "state.db",
        environment=s3.environment,
    )
    code, report = migration.run()
    assert (report["failures"], report["losses"]) == ([], [])
    assert code == 0
    code, verified = migration.verify()
    assert (verified["differences"], verified["declared"]) == ([], [])
    assert code == 0
    code, report = migration.run()
    assert sum(totals["wrote"] for totals in report["totals"].values()) == 0
    assert code == 0


def test_from_behind_the_proxy_to_beside_the_server(
    s3: S3, s3_proxied_source: TrackingServerProcess, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    source = s3_proxied_source
    with direct_server(tmp_path / "direct-target", s3, "direct-target") as target:
        copy(run_migrate, s3, tmp_path, source.uri, target.uri)

        assert differences(source.uri, target.uri) == []
    # No part of an upload, and nothing under a second name, stays behind.
    assert len(s3.keys("direct-target")) == len(s3.keys("proxied-source"))
    assert all(key.startswith("root/") for key in s3.keys("direct-target"))


def test_from_beside_the_server_to_behind_the_proxy(
    s3: S3, s3_direct_source: TrackingServerProcess, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    source = s3_direct_source
    with proxied_server(tmp_path / "proxied-target", s3, "proxied-target") as target:
        copy(run_migrate, s3, tmp_path, source.uri, target.uri)

        assert differences(source.uri, target.uri) == []
    assert len(s3.keys("proxied-target")) == len(s3.keys("direct-source"))
    assert all(key.startswith("behind/the proxy/") for key in s3.keys("proxied-target"))


def test_from_beside_the_server_through_a_directory_to_behind_the_proxy(
    s3: S3, s3_direct_source: TrackingServerProcess, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    source, exported = s3_direct_source, tmp_path / "exported"
    copy(run_migrate, s3, tmp_path, source.uri, exported)
    with proxied_server(tmp_path / "imported-target", s3, "imported-target") as target:
        copy(run_migrate, s3, tmp_path, exported, target.uri)

        assert differences(source.uri, target.uri) == []
    assert len(s3.keys("imported-target")) == len(s3.keys("direct-source"))
