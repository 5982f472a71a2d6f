"""Tracking servers that keep artifacts in S3: in front of it (proxied), or beside it (direct)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.backing import S3
from tests.acceptance.environments import NEWEST, SERVERS, python_of
from tests.seed import (
    Seeded,
    Source,
    seed_artifacts,
    seed_deleted_experiment,
    seed_experiments,
    seed_statuses,
)


def proxied_server(directory: Path, s3: S3, bucket: str) -> TrackingServerProcess:
    """A server that clients send artifacts through; it alone knows S3. Not started yet."""
    return TrackingServerProcess(
        directory=directory,
        python=python_of(NEWEST),
        artifacts_destination=f"{s3.create_bucket(bucket)}/behind/the proxy",
        environment=s3.environment,
        empty_databases=SERVERS / "empty-databases",
    )


def direct_server(directory: Path, s3: S3, bucket: str) -> TrackingServerProcess:
    """A server that sends clients to S3, which have to know it themselves. Not started yet."""
    return TrackingServerProcess(
        directory=directory,
        python=python_of(NEWEST),
        serve_artifacts=False,
        default_artifact_root=f"{s3.create_bucket(bucket)}/root",
        environment=s3.environment,
    )


def seed_files(uri: str) -> Seeded:
    """Writes experiments and runs whose artifacts go through the server."""
    with Source(uri) as source:
        return _seed(source)


def seed_files_beside(uri: str, s3: S3, bucket: str) -> Seeded:
    """Writes the same, with artifacts put into the bucket as a client of a direct server does."""
    with DirectSource(uri, s3, bucket) as source:
        return _seed(source)


def _seed(source: Source) -> Seeded:
    seed_experiments(source)
    experiment = source.experiment("runs")
    seed_statuses(source, experiment)
    seed_artifacts(source, experiment)
    seed_deleted_experiment(source)
    return source.seeded


class DirectSource(Source):
    """Writes to a server that does not proxy artifacts."""

    def __init__(self, uri: str, s3: S3, bucket: str) -> None:
        super().__init__(uri)
        self._client = s3.client()
        self._bucket = bucket

    def experiment(
        self,
        label: str,
        name: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        location: str | None = None,
    ) -> str:
        """Creates an experiment; a location of the proxy becomes one in the bucket."""
        if location is not None:
            location = location.replace("mlflow-artifacts:", f"s3://{self._bucket}")
        return super().experiment(label, name, tags=tags, location=location)

    def artifact(self, run_id: str, path: str, content: bytes) -> None:
        """Puts one file where the run's artifact URI says."""
        root = self.seeded.artifact_uris[run_id].removeprefix(f"s3://{self._bucket}/")
        self._client.put_object(Bucket=self._bucket, Key=f"{root}/{path}", Body=content)
