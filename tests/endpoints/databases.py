"""Databases written by servers of six MLflow versions, and what each holds, as was noted then."""

from __future__ import annotations

import gzip
import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

from migrate.endpoints.database import DatabaseSource, DatabaseTarget

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


def unpacked_artifacts(folder: Path) -> Path:
    """Return what was behind the proxy of the server of 3.17.2."""
    with tarfile.open(DATA / "sqlite-3.17.2.artifacts.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "artifacts"


def opened(path: Path) -> DatabaseSource:
    """Return a database as a source."""
    return DatabaseSource(f"sqlite:///{path}", side="source")


def target_at(path: Path, **options: Any) -> DatabaseTarget:
    """Return a database as a target, with its files beside it; it is made if it is missing."""
    root = str(path.parent / "artifacts")
    return DatabaseTarget(f"sqlite:///{path}", **{"root": root, **options})


def rows(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Return what a SQLite database answers."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(statement, values).fetchall()
