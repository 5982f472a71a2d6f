"""Sources of the versions people come from: seeded once, and running one at a time."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.environments import SERVERS, python_of
from tests.seed import START, Seeded, Source, seed_everything

#: Several batches, and more than one page: histories at the limit of bulk reads are left to the
#: tests with one version, as every source here is copied by several tests.
HISTORY_POINTS = 3_000


@dataclass(frozen=True, slots=True)
class OldSource:
    """A running server of one version, what was written to it, and the kinds not copied yet."""

    version: str
    server: TrackingServerProcess
    seeded: Seeded
    other_kinds: frozenset[str]

    @property
    def uri(self) -> str:
        """The tracking URI."""
        return self.server.uri


class OldSources:
    """Starts the source of a version when it is asked for, and stops the one before.

    A source keeps its data and its port, so one asked for again is there again in seconds.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seeded: dict[str, OldSource] = {}

    def __call__(self, version: str) -> OldSource:
        """The running, seeded source of an MLflow version."""
        for other in self._seeded.values():
            if other.version != version:
                other.server.stop()
        if version not in self._seeded:
            self._seeded[version] = self._new(version)
        source = self._seeded[version]
        source.server.start()
        return source

    def stop(self) -> None:
        """Stops the one that is running."""
        for source in self._seeded.values():
            source.server.stop()

    def _new(self, version: str) -> OldSource:
        server = TrackingServerProcess(
            directory=self._directory / version,
            python=python_of(version),
            empty_databases=SERVERS / "empty",
        )
        server.start()
        try:
            seeded = seed_everything(server.uri, history_points=HISTORY_POINTS)
            other_kinds = seed_other_kinds(server.uri, seeded.experiments["runs"])
        except BaseException:
            server.stop()
            raise
        return OldSource(version, server, seeded, other_kinds)


def seed_other_kinds(uri: str, experiment_id: str) -> frozenset[str]:
    """Writes one object of each kind that is not copied and that the server's version has.

    Returns these kinds in the words of a plan.
    """
    with Source(uri) as source:
        version = source.seeded.capabilities.version
        source.post("registered-models/create", {"name": "churn"})
        kinds = {"registered model"}
        if version >= (2, 14):
            start = {"experiment_id": experiment_id, "timestamp_ms": START}
            source.post("traces", start)
            kinds.add("trace")
        if version >= (3, 0):
            source.post("logged-models", {"experiment_id": experiment_id, "name": "churn"})
            kinds.add("logged model")
    return frozenset(kinds)


def contents(server: TrackingServerProcess) -> str:
    """The digest of all that a server with its own SQLite file and artifact directory holds."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(server.directory / "mlflow.db")) as database:
        for statement in database.iterdump():
            digest.update(statement.encode("utf-8", "surrogatepass"))
    for file in sorted((server.directory / "artifacts").rglob("*")):
        digest.update(bytes(file))
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
