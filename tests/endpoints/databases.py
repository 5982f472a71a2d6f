"""Databases written by servers of six MLflow versions, and what each holds, as was noted then."""

from __future__ import annotations

import dataclasses
import gzip
import json
import sqlite3
import tarfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source
from migrate.endpoints.database.endpoint import DatabaseSource
from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.database.target.files import PlacedFiles
from migrate.endpoints.protocols import Source
from migrate.endpoints.record_json import record_to_json
from migrate.kinds import Kind
from migrate.traces import Trace

DATA = Path(__file__).parents[1] / "data/databases"
VERSIONS = ("1.30.1", "2.9.2", "2.22.5", "3.1.4", "3.8.1", "3.17.2")


def unpacked(version: str, folder: Path) -> Path:
    """Return the file of a database of its own, below a folder."""
    path = folder / "mlflow.db"
    path.write_bytes(gzip.decompress((DATA / f"sqlite-{version}.db.gz").read_bytes()))
    return path


def manifest(version: str) -> dict[str, Any]:
    """Return what was noted of a database when it was filled."""
    found: dict[str, Any] = json.loads((DATA / f"sqlite-{version}.json").read_text())
    return found


def unpacked_artifacts(folder: Path, version: str = "3.17.2") -> Path:
    """Return what was behind the proxy of the server of a version."""
    with tarfile.open(DATA / f"sqlite-{version}.artifacts.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "artifacts"


@contextmanager
def both(server: TrackingServerProcess) -> Iterator[tuple[Source, Source]]:
    """Open a server as a source, and its own database."""
    uris = (server.uri, f"sqlite:///{server.directory / 'mlflow.db'}")
    ends = [open_source(Address(uri=uri, side="source")) for uri in uris]
    for end in ends:
        end.capabilities()
    try:
        yield ends[0], ends[1]
    finally:
        for end in ends:
            end.close()


def as_written(record: Any) -> str:
    """A record as the text that is compared: a number is not a float of the same value."""
    return json.dumps(record_to_json(record), sort_keys=True)


def in_order(trace: Trace) -> Trace:
    """A trace with its assessments in the order of their ids: a server has none."""
    said = sorted(trace.assessments, key=lambda it: str(it["assessment_id"]))
    return dataclasses.replace(trace, assessments=tuple(said))


def assert_the_same(server: TrackingServerProcess, kinds: Collection[str]) -> None:
    """Compare the records of these kinds as a server gives them and as its database does."""
    with both(server) as (served, kept):
        experiments = [it.experiment_id for it in served.experiments.list()]
        for kind in map(Kind, kinds):
            shown, read = served.store(kind), kept.store(kind)
            assert shown is not None, kind
            assert read is not None, kind
            wanted, found = ([*it.list(experiments)] for it in (shown, read))
            assert wanted, kind
            assert sorted(map(as_written, found)) == sorted(map(as_written, wanted))
            if kind is Kind.EVALUATION_DATASET:
                for dataset in found:
                    assert _contents(read, dataset) == _contents(shown, dataset)
            assert kept.unsupported(experiments).get(kind, 0) == 0
        assert kept.unreadable.all() == []


def _contents(store: Any, holder: Any) -> list[str]:
    return sorted(as_written(it) for page in store.contents(holder) for it in page)


def opened(path: Path) -> DatabaseSource:
    """Return a database as a source."""
    return DatabaseSource(f"sqlite:///{path}", side="source")


def target_at(path: Path, **options: Any) -> DatabaseTarget:
    """Return a database as a target, with its files beside it; it is made if it is missing."""
    files = PlacedFiles(str(path.parent / "artifacts"))
    return DatabaseTarget(f"sqlite:///{path}", files=files, **options)


def rows(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Return what a SQLite database answers."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(statement, values).fetchall()
