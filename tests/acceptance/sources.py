"""Sources of the versions people come from: seeded once, and running one at a time."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import requests

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.environments import SERVERS, python_of
from tests.seed import START, Seeded, Source, seed_everything

#: Several batches, and more than one page: histories at the limit of bulk reads are left to the
#: tests with one version, as every source here is copied by several tests.
HISTORY_POINTS = 3_000
#: The name of the registered and of the logged model.
MODEL = "churn"


@dataclass(frozen=True, slots=True)
class OldSource:
    """A running server of one version, what was written to it, and the kinds not copied yet."""

    version: str
    server: TrackingServerProcess
    seeded: Seeded
    #: Kinds of which it holds something that older targets do not take, in the words of a plan.
    other_kinds: frozenset[str]
    #: Id of a logged model with a run, where the version has such a thing.
    logged_model: str = ""

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
            other_kinds = seed_traces(server.uri, seeded.experiments["runs"])
            logged_model = seed_models(server.uri, seeded)
        except BaseException:
            server.stop()
            raise
        return OldSource(version, server, seeded, other_kinds, logged_model)


def seed_traces(uri: str, experiment_id: str) -> frozenset[str]:
    """Writes a trace where the version has such a thing; returns the kinds not copied to all."""
    with Source(uri) as source:
        if source.seeded.capabilities.version < (2, 14):
            return frozenset()
        source.post("traces", {"experiment_id": experiment_id, "timestamp_ms": START})
    return frozenset({"trace"})


def seed_models(uri: str, seeded: Seeded) -> str:
    """Writes a registered model of which version 3 is gone, and a logged model of a run.

    Returns the id of the logged model, empty where the version has none.
    """
    run_id = seeded.runs["long-tags"]
    with Source(uri) as source:
        source.post("registered-models/create", {"name": MODEL, "description": "d"})
        for number in range(1, 12):
            version = {"name": MODEL, "source": f"runs:/{run_id}/model", "run_id": run_id}
            source.post("model-versions/create", {**version, "description": f"no. {number}"})
        source.send("DELETE", "model-versions/delete", {"name": MODEL, "version": "3"})
        stage = {"stage": "Production", "archive_existing_versions": False}
        source.post("model-versions/transition-stage", {"name": MODEL, "version": "2", **stage})
        if source.seeded.capabilities.version < (3, 0):
            return ""
        experiment_id = seeded.experiments["runs"]
        body = {"experiment_id": experiment_id, "name": MODEL, "source_run_id": run_id}
        model_id: str = source.post("logged-models", body)["model"]["info"]["model_id"]
        return model_id


def versions_of(uri: str) -> list[tuple[int, str, str, str, str]]:
    """Number, description, stage, source and run of every version of the registered model."""
    address = f"{uri}/api/2.0/mlflow/model-versions/search"
    answer = requests.get(address, params={"filter": f"name = '{MODEL}'"}, timeout=60)
    answer.raise_for_status()
    return sorted(
        (int(it["version"]), it["description"], it["current_stage"], it["source"], it["run_id"])
        for it in answer.json()["model_versions"]
    )


def copy_of(uri: str, run_id: str) -> str:
    """The id of the copy of a run, by the tag that says so."""
    with Source(uri) as reader:
        found = reader.post("experiments/search", {"max_results": 1000, "view_type": "ALL"})
        body = {
            "experiment_ids": [it["experiment_id"] for it in found["experiments"]],
            "filter": f"tags.`mlflow-migrate.origin` = '{run_id}'",
            "run_view_type": "ALL",
        }
        (run,) = reader.post("runs/search", body)["runs"]
    ident: str = run["info"]["run_id"]
    return ident


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
