"""Large files of servers before S3: in parts past the server, by URLs that it signs."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.backing import S3
from tests.acceptance.environments import NEWEST, SERVERS, python_of
from tests.comparison import differences
from tests.conftest import ProxyFactory, RunMigrate, StartMigrate
from tests.faults import Faults, always, answer, lose_response
from tests.seed import Source

MB = 1 << 20
#: What is large here.
LARGE = {"MIGRATE_LARGE_FILE_MB": "20"}
SIZES = {"model/weights.bin": 64 * MB, "data/odd name 実験.bin": 30 * MB + 1, "small.txt": 5}
STRAIGHT = {"files": 2, "bytes": 94 * MB + 1}
PYTHON_3_18 = SERVERS / "mlflow-3.18.0" / "bin" / "python"


def server(
    directory: Path, s3: S3, bucket: str, python: Path | None = None, **environment: str
) -> TrackingServerProcess:
    """A server whose files are in this bucket, which is there."""
    return TrackingServerProcess(
        directory=directory,
        python=python or python_of(NEWEST),
        artifacts_destination=f"s3://{bucket}/files of it",
        environment={**s3.environment, **environment},
        empty_databases=SERVERS / "empty-databases",
    )


def seed(uri: str, *, prefix: str = "") -> None:
    noise = random.Random(11)
    with Source(uri, prefix=prefix) as source:
        run = source.run("large", source.experiment("large"))
        for path, size in SIZES.items():
            source.artifact(run, path, noise.randbytes(size))
        source.artifact(run, "empty", b"")


@pytest.fixture(scope="module")
def origin(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerProcess]:
    """A server with large files."""
    s3.create_bucket("signed-source")
    with server(tmp_path_factory.mktemp("signed"), s3, "signed-source") as started:
        seed(started.uri)
        yield started


@pytest.fixture
def bucket(s3: S3, request: pytest.FixtureRequest) -> str:
    name = f"signed-{abs(hash(request.node.name))}"
    s3.create_bucket(name)
    return name


def named(s3: S3, *sides: str) -> list[str]:
    return [word for side in sides for word in (f"--{side}-artifacts", s3.endpoint)]


def run(
    run_migrate: RunMigrate, *words: str | Path, code: int = 0, **environment: str
) -> tuple[dict[str, Any], str]:
    ended = run_migrate("run", *words, "--json", env={**LARGE, **environment}, timeout=300)
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    assert "X-Amz-" not in ended.stdout + ended.stderr
    return json.loads(ended.stdout), ended.stderr


def uploads(s3: S3, bucket: str) -> list[str]:
    """The uploads that were begun and not ended."""
    return [
        it["Key"] for it in s3.client().list_multipart_uploads(Bucket=bucket).get("Uploads", ())
    ]


def parts_of(s3: S3, bucket: str) -> dict[str, int]:
    """Of how many parts each object was put together, by the end of its key: S3 says it so."""
    client, found = s3.client(), {}
    for key in s3.keys(bucket):
        tag = client.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
        found[key.rpartition("artifacts/")[2]] = int(tag.partition("-")[2] or 0)
    return found


@pytest.mark.parametrize("options", [(), ("--processes", "2"), ("--workers", "1")])
def test_large_files_go_in_parts_past_both_servers(
    s3: S3,
    bucket: str,
    origin: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
    options: tuple[str, ...],
) -> None:
    with server(tmp_path / "target", s3, bucket) as target:
        words = [origin.uri, target.uri, *named(s3, "source", "target"), *options]
        report, _ = run(run_migrate, *words)
        assert report["straight"] == {"source": STRAIGHT, "target": STRAIGHT}
        assert report["bytes_sent"] == sum(SIZES.values())
        assert report["warnings"] == []
        assert parts_of(s3, bucket) == {
            "model/weights.bin": 8,
            "data/odd name 実験.bin": 4,
            "small.txt": 0,
            "empty": 0,
        }
        assert uploads(s3, bucket) == []
        assert differences(origin.uri, target.uri) == []

        report, _ = run(run_migrate, *words, "--state", tmp_path / "another.db")
        assert (report["bytes_sent"], report["straight"]) == (0, {})
        verified = run_migrate("verify", *words[:6], "--contents", "--json", env=LARGE, timeout=300)
        assert verified.returncode == 0, verified.stdout
        shown = run_migrate("status", "--json", env=LARGE)
        assert json.loads(shown.stdout)[0]["straight"] == {"source": STRAIGHT, "target": STRAIGHT}
    for log in (tmp_path / "state.db", tmp_path / ".migrate" / "state.db"):
        assert not log.exists() or b"X-Amz-Sig" not in log.read_bytes()


def test_a_storage_that_nobody_named_is_not_called(
    s3: S3, bucket: str, origin: TrackingServerProcess, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    with server(tmp_path / "target", s3, bucket) as target:
        report, said = run(run_migrate, origin.uri, target.uri, *named(s3, "target"))
        assert report["straight"] == {"target": STRAIGHT}
        assert said.count(f"name it: --source-artifacts {s3.endpoint}") == 1
        assert differences(origin.uri, target.uri) == []


def test_a_storage_that_is_not_reached_from_here_is_left_to_the_server(
    s3: S3, bucket: str, origin: TrackingServerProcess, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    elsewhere = s3.endpoint.replace("127.0.0.1", "localhost")
    away = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
    with server(tmp_path / "target", s3, bucket, MLFLOW_S3_ENDPOINT_URL=elsewhere) as target:
        words = [origin.uri, target.uri, *named(s3, "source"), "--target-artifacts", elsewhere]
        report, _ = run(run_migrate, *words, **away)
        assert report["straight"] == {"source": STRAIGHT}
        assert uploads(s3, bucket) == []
        assert differences(origin.uri, target.uri) == []


def test_killed_meanwhile_it_goes_on(
    s3: S3,
    bucket: str,
    origin: TrackingServerProcess,
    start_migrate: StartMigrate,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    with server(tmp_path / "target", s3, bucket) as target:
        words = [origin.uri, target.uri, *named(s3, "source", "target")]
        process = start_migrate("run", *words, "--max-requests-per-second", "20", env=LARGE)
        deadline = time.monotonic() + 60
        while not uploads(s3, bucket) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert uploads(s3, bucket)
        process.signal_group(signal.SIGKILL)
        process.wait(30)

        report, _ = run(run_migrate, "--resume")
        assert report["complete"]
        assert differences(origin.uri, target.uri) == []
        report, _ = run(run_migrate, *words)
        assert (report["bytes_sent"], report["straight"]) == (0, {})


def test_an_upload_whose_end_is_not_answered_is_looked_for(
    s3: S3,
    bucket: str,
    origin: TrackingServerProcess,
    run_migrate: RunMigrate,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
) -> None:
    with server(tmp_path / "target", s3, bucket) as target:
        lost = always(("POST", "/mpu/complete/"), lose_response())
        proxy = proxy_factory(target.uri, faults=Faults(lost))
        report, _ = run(run_migrate, origin.uri, proxy.uri, *named(s3, "source", "target"))
        assert report["straight"] == {"source": STRAIGHT, "target": STRAIGHT}
        assert [len(proxy.matching(("POST", f"/mpu/{it}/"))) for it in ("create", "abort")] == [
            2,
            0,
        ]
        assert differences(origin.uri, target.uri) == []


def test_an_upload_that_fails_leaves_nothing_and_the_next_one_goes_on(
    s3: S3,
    bucket: str,
    origin: TrackingServerProcess,
    run_migrate: RunMigrate,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
) -> None:
    with server(tmp_path / "target", s3, bucket) as target:
        refused = always(("POST", "/mpu/complete/"), answer(400))
        proxy = proxy_factory(target.uri, faults=Faults(refused))
        words = [origin.uri, proxy.uri, *named(s3, "source", "target")]
        run(run_migrate, *words, code=3)
        assert proxy.matching(("POST", "/mpu/abort/"))
        assert uploads(s3, bucket) == []
        proxy.faults = Faults()
        run(run_migrate, *words)
        assert differences(origin.uri, target.uri) == []


@pytest.mark.skipif(not PYTHON_3_18.exists(), reason="MLflow has the setting since 3.18")
@pytest.mark.parametrize("sides", [("source",), ("target",), ("source", "target")])
def test_servers_that_let_no_file_through_themselves(
    s3: S3, bucket: str, run_migrate: RunMigrate, tmp_path: Path, sides: tuple[str, ...]
) -> None:
    only = {"MLFLOW_ARTIFACTS_PRESIGNED_ONLY": "true"}
    s3.create_bucket(f"{bucket}-s")
    places = {"source": (tmp_path / "source", f"{bucket}-s"), "target": (tmp_path / "t", bucket)}
    files = {"files": len(SIZES) + 1, "bytes": sum(SIZES.values())}

    def started(side: str, **environment: str) -> TrackingServerProcess:
        folder, files = places[side]
        return server(folder, s3, files, PYTHON_3_18, **environment)

    with started("source") as source:
        seed(source.uri)
    with (
        started("source", **(only if "source" in sides else {})) as source,
        started("target", **(only if "target" in sides else {})) as target,
    ):
        ends = [source.uri, target.uri]
        report, _ = run(run_migrate, *ends, code=3)
        assert "without MLFLOW_ARTIFACTS_PRESIGNED_ONLY" in str(
            report["failures"] + report["losses"]
        )

        report, _ = run(run_migrate, *ends, *named(s3, *sides))
        if "source" in sides:
            # Before it was sent, one of those that were not delivered was read on trial.
            assert report["straight"]["source"]["files"] == files["files"] + 1
        if "target" in sides:
            assert report["straight"]["target"] == files
        assert report["bytes_sent"] == files["bytes"]
        report, _ = run(run_migrate, *ends, *named(s3, *sides))
        assert report["bytes_sent"] == 0
    with started("source") as source, started("target") as target:
        assert differences(source.uri, target.uri) == []
