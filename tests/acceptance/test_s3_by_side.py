"""Two storages, to which each side has keys of its own and none of the other's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.backing import S3, s3_service
from tests.acceptance.commands import Migration
from tests.acceptance.s3_servers import direct_server, seed_files_beside
from tests.comparison import differences
from tests.conftest import RunMigrate


@pytest.fixture(scope="module")
def other_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A second S3 service, which does not take the keys of the first."""
    with s3_service(tmp_path_factory.mktemp("other-s3"), key="other-key") as service:
        yield service


@pytest.fixture(scope="module")
def source(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerProcess]:
    directory = tmp_path_factory.mktemp("by-side-source")
    with direct_server(directory, s3, "by-side-source") as server:
        seed_files_beside(server.uri, s3, "by-side-source")
        yield server


def of_side(side: str, s3: S3) -> dict[str, str]:
    """The variables by which a storage is reached, for one side."""
    return {f"MIGRATE_{side}_{name}": value for name, value in s3.environment.items()}


def migration(
    run_migrate: RunMigrate,
    directory: Path,
    source: TrackingServerProcess,
    target: TrackingServerProcess,
    environment: Mapping[str, str],
) -> Migration:
    return Migration(
        run_migrate=run_migrate,
        source=source.uri,
        target=target.uri,
        state=directory / "state.db",
        environment=environment,
    )


@pytest.mark.parametrize("shared", [{}, {"AWS_ACCESS_KEY_ID": "no", "AWS_SESSION_TOKEN": "no"}])
def test_each_side_is_reached_with_its_own_keys(
    s3: S3,
    other_s3: S3,
    source: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
    shared: Mapping[str, str],
) -> None:
    environment = {**shared, **of_side("SOURCE", s3), **of_side("TARGET", other_s3)}
    bucket = f"target-{len(shared)}"
    with direct_server(tmp_path / bucket, other_s3, bucket) as target:
        copying = migration(run_migrate, tmp_path, source, target, environment)
        code, report = copying.run()
        assert (report["failures"], report["losses"]) == ([], [])
        assert code == 0
        code, verified = copying.verify()
        assert (verified["differences"], verified["declared"]) == ([], [])
        assert code == 0
        assert differences(source.uri, target.uri) == []
    assert len(other_s3.keys(bucket)) == len(s3.keys("by-side-source"))


def test_a_side_without_keys_of_its_own_is_reached_with_the_shared_ones(
    s3: S3,
    other_s3: S3,
    source: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    environment = {**s3.environment, **of_side("TARGET", other_s3)}
    with direct_server(tmp_path / "half", other_s3, "half") as target:
        code, report = migration(run_migrate, tmp_path, source, target, environment).run()
    assert (report["failures"], report["losses"]) == ([], [])
    assert code == 0
    assert len(other_s3.keys("half")) == len(s3.keys("by-side-source"))


def test_the_keys_of_one_side_do_not_open_the_storage_of_the_other(
    s3: S3,
    other_s3: S3,
    source: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    # What the source keeps is read through its server where its storage refuses.
    environment = {**of_side("SOURCE", s3), **of_side("TARGET", other_s3)}
    environment["MIGRATE_TARGET_MLFLOW_S3_ENDPOINT_URL"] = s3.endpoint
    with direct_server(tmp_path / "wrong", s3, "wrong") as target:
        code, report = migration(run_migrate, tmp_path, source, target, environment).run()
    assert code == 3
    assert report["losses"] or report["failures"]
    assert s3.keys("wrong") == []
