"""Stores written by six MLflow versions, by every way: each target holds the same in the end."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from mlflow import MlflowClient
from mlflow.store.tracking.utils.trace_analytics import PROMOTED_TRACE_METADATA_KEYS

from migrate.demo.server import TrackingServerProcess
from migrate.traces import ARTIFACT_LOCATION_TAG
from tests.acceptance.backing import BY_CHARACTERS, MariaDB, postgres
from tests.acceptance.commands import Migration, reported_losses
from tests.cli.test_database_target import PLACES, TABLES
from tests.comparison import differences
from tests.conftest import RunMigrate, ServerFactory
from tests.endpoints import databases, filestores
from tests.endpoints.noted import assert_shown

SAMPLES = [
    *(pytest.param(databases, version, id=f"sqlite-{version}") for version in databases.VERSIONS),
    *(
        pytest.param(filestores, version, id=f"filestore-{version}")
        for version in filestores.VERSIONS
    ),
]
#: Keys of what MLflow 3.17 has moved from tags and metadata of traces into columns, or added.
#: What names experiments by ids, which may be others on the target, is compared by verify alone.
MOVED = {
    "_mlflow_experiment_ids",
    "mlflow.traceName",
    "mlflow.trace.infoFinalized",
    *PROMOTED_TRACE_METADATA_KEYS,
}
#: A column that 3.1 fills with 0 (of the metrics of logged models), whatever their experiment is.
UNFILLED = {"logged_model_metrics": {"experiment_id"}}
#: What a directory is not told: when runs were deleted.
UNTOLD = {"deleted_time"}


@pytest.fixture
def empty_postgres() -> Iterator[str]:
    with postgres() as uri:
        yield uri


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying:
    """Copies between ends, each time with a state database of its own."""

    run_migrate: RunMigrate
    folder: Path

    def copy(
        self, source: str, target: str, name: str, files: Path | None = None
    ) -> dict[str, Any]:
        """Copy everything, and once more, which writes nothing; compare; return the report.

        ``files`` has those of a source that is a database.
        """
        options = ["--source-artifacts", str(files)] if files else []
        if target.startswith(("sqlite", "postgres", "mysql")):
            options += ["--target-artifacts", str(self.folder / f"{name}-files")]
        migration = Migration(
            run_migrate=self.run_migrate,
            source=source,
            target=target,
            state=self.folder / f"{name}.state",
            options=tuple(options),
        )
        _, report = migration.run()
        assert report["failures"] == [], name
        _, verified = migration.verify()
        assert verified["differences"] == [], name
        _, again = migration.run()
        assert sum(totals["wrote"] for totals in again["totals"].values()) == 0, name
        return report


def rows_of(uri: str, table: str) -> list[dict[str, Any]]:
    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            if not sqlalchemy.inspect(engine).has_table(table):
                return []
            found = connection.exec_driver_sql(f"SELECT * FROM {table}")
            return [dict(it) for it in found.mappings()]
    finally:
        engine.dispose()


def content(
    uri: str, table: str, columns: set[str], is_asked: Callable[[dict[str, Any]], bool]
) -> Counter[str]:
    """Return the rows of a table without what this tool adds to them."""
    return Counter(
        repr(sorted((key, _plain(value)) for key, value in row.items() if key in columns))
        for row in rows_of(uri, table)
        if not str(row.get("key") or row.get("tag_key")).startswith("mlflow-migrate.")
        and row.get("key") not in {ARTIFACT_LOCATION_TAG, *MOVED}
        and is_asked(row)
    )


def _plain(value: Any) -> Any:
    """A value as every database has it: SQLite has JSON as text and truth values as numbers."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and value[:1] in ("{", "[", '"', "n"):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    return value if isinstance(value, str | int | float | bytes | None) else _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, dict) and value.get("links") == []:
        del value["links"]  # of spans, where only newer versions write an empty list
    return json.dumps(value, sort_keys=True)


def assert_same_tables(one: str, other: str, *, but: Collection[str] = ()) -> None:
    """Compare what both have columns for, row by row; places of files are the target's own."""
    gone = {
        (row["name"], row["version"])
        for row in rows_of(one, "model_versions")
        if row["current_stage"] == "Deleted_Internal"
    }

    def is_copied(row: dict[str, Any]) -> bool:
        return (row.get("name"), row.get("version")) not in gone

    for table in TABLES:
        shared = [set(found[0]) for uri in (one, other) if (found := rows_of(uri, table))]
        columns = set.intersection(*shared) if shared else set()
        columns -= {*TABLES[table], *PLACES, *but, *UNFILLED.get(table, ())}
        mine, theirs = (content(uri, table, columns, is_copied) for uri in (one, other))
        assert mine == theirs, table


@pytest.mark.acceptance
@pytest.mark.parametrize(("store", "version"), SAMPLES)
def test_a_store_is_the_same_by_every_way(
    store: Any,
    version: str,
    run_migrate: RunMigrate,
    tmp_path: Path,
    empty_postgres: str,
    fresh_target: TrackingServerProcess,
    server_factory: ServerFactory,
) -> None:
    unpacked, noted = store.unpacked(version, tmp_path), store.manifest(version)
    is_database = store is databases
    source = f"sqlite:///{unpacked}" if is_database else str(unpacked)
    files = None
    if is_database:
        files = databases.unpacked_artifacts(tmp_path, version)
    copying = Copying(run_migrate=run_migrate, folder=tmp_path)
    before = unpacked.read_bytes() if is_database else filestores.listing(unpacked)

    first = f"sqlite:///{tmp_path / 'copy.db'}"
    report = copying.copy(source, first, "first", files)
    if is_database:
        assert_same_tables(source, first)
    copying.copy(first, empty_postgres, "postgres", tmp_path / "first-files")
    # Ids of the experiments of file stores are too large for Postgres.
    assert_same_tables(first, empty_postgres, but=() if is_database else {"experiment_id"})
    copying.copy(source, str(tmp_path / "export"), "export", files)
    through = f"sqlite:///{tmp_path / 'through.db'}"
    copying.copy(str(tmp_path / "export"), through, "through")
    assert_same_tables(first, through, but=UNTOLD)
    copying.copy(source, fresh_target.uri, "server", files)

    with server_factory(backend_store_uri=first) as served:
        # It names the places of both; verify has compared what it should say.
        lost = {(it["id"], "artifact model/MLmodel") for it in noted["runs"].values()}
        lost |= reported_losses(report)
        assert differences(served.uri, fresh_target.uri, expected_losses=lost) == []
        assert_shown(MlflowClient(served.uri), noted)
    assert_shown(MlflowClient(fresh_target.uri), noted)
    after = unpacked.read_bytes() if is_database else filestores.listing(unpacked)
    assert after == before


@pytest.mark.acceptance
@pytest.mark.parametrize(("store", "version"), SAMPLES)
def test_a_store_is_the_same_in_mariadb(
    store: Any, version: str, run_migrate: RunMigrate, tmp_path: Path, mariadb_server: MariaDB
) -> None:
    unpacked = store.unpacked(version, tmp_path)
    is_database = store is databases
    source = f"sqlite:///{unpacked}" if is_database else str(unpacked)
    files = databases.unpacked_artifacts(tmp_path, version) if is_database else None
    copying = Copying(run_migrate=run_migrate, folder=tmp_path)
    there = mariadb_server.database(BY_CHARACTERS)
    copying.copy(source, there, "mariadb", files)
    back = f"sqlite:///{tmp_path / 'back.db'}"
    copying.copy(there, back, "back", tmp_path / "mariadb-files")
    assert_same_tables(there, back)
    if is_database:
        assert_same_tables(source, there)
