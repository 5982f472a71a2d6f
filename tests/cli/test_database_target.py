"""Everything is copied into a database, without a server: ids, times and numbers are kept."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.store.db.utils import _get_latest_schema_revision

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.database.target.schema import make_file
from migrate.traces import ARTIFACT_LOCATION_TAG
from tests.cli.conftest import Migrate, Seeded, Typed
from tests.comparison import differences
from tests.conftest import ServerFactory
from tests.endpoints.databases import manifest, rows, unpacked, unpacked_artifacts
from tests.servers import IS_3_18

#: Columns that hold where files are.
PLACES = {"artifact_location", "artifact_uri", "storage_location"}
#: Tables of what is copied into a database, without the columns that name rows only.
TABLES: dict[str, tuple[str, ...]] = {
    "experiments": (),
    "experiment_tags": (),
    "runs": (),
    "params": (),
    "tags": (),
    "metrics": (),
    "latest_metrics": (),
    "datasets": ("dataset_uuid",),
    "logged_models": (),
    "logged_model_params": (),
    "logged_model_tags": (),
    "logged_model_metrics": (),
    "registered_models": (),
    "registered_model_tags": (),
    "registered_model_aliases": (),
    "model_versions": ("source",),
    "model_version_tags": (),
    "trace_info": ("db_payload_generation",),
    "trace_tags": (),
    "trace_request_metadata": (),
    "assessments": (),
    "spans": (),
}
#: The same of what is copied as records.
RECORDS: dict[str, tuple[str, ...]] = {
    "evaluation_datasets": (),
    "evaluation_dataset_tags": (),
    "evaluation_dataset_records": (),
    "entity_associations": ("association_id", "created_time"),
    "scorers": (),
    "scorer_versions": (),
    "online_scoring_configs": ("online_scoring_config_id",),
    "issues": (),
    "label_schemas": (),
    "review_queues": (),
    "review_queue_users": (),
    "review_queue_label_schemas": (),
    "review_queue_items": (),
    "webhooks": ("secret", "status"),
    "webhook_events": (),
    "mcp_servers": (),
    "mcp_server_tags": (),
    "mcp_server_aliases": (),
    "mcp_server_versions": (),
    "mcp_server_version_tags": (),
    "mcp_access_endpoints": ("id", "created_at", "last_updated_at"),
    "skills": (),
    "skill_tags": (),
    "skill_aliases": (),
    "skill_versions": ("source",),
    "skill_version_tags": (),
    "secrets": ("encrypted_value", "wrapped_dek", "masked_value"),
    "model_definitions": (),
    "endpoints": (),
    "endpoint_model_mappings": ("mapping_id", "created_at"),
    "endpoint_tags": (),
    "endpoint_bindings": ("created_at", "last_updated_at"),
    "budget_policies": (),
    "guardrails": (),
    "guardrail_configs": ("created_at",),
}
if IS_3_18:
    RECORDS["issue_categories"] = ()
TABLES |= RECORDS
#: Tables whose rows are named by ids that a copy does not keep, with what these stand for.
_DATASET = "(SELECT experiment_id || name || digest FROM datasets WHERE dataset_uuid = source_id)"
STANDING_FOR = {
    "inputs": f"SELECT source_type, coalesce({_DATASET}, source_id) AS source, destination_type, "
    "destination_id, step FROM inputs",
    "input_tags": f"SELECT coalesce({_DATASET}, source_id) AS source, destination_id, name, value "
    "FROM input_tags JOIN inputs USING (input_uuid)",
}
#: Tables of which nothing is copied: of MLflow itself, and what a server reckons or does.
OF_SERVERS = {"alembic_version", "workspaces", "jobs", "job_locks", "scheduler_leases"}
OF_SERVERS |= {"sql_assessment_daily_rollups", "sql_span_cost_daily_rollups"}
OF_SERVERS |= {"sql_trace_metric_daily_rollups", "sql_trace_rollup_rebuild_queue"}
OF_SERVERS |= {"trace_metrics", "span_metrics"}
#: Columns of JSON, in which nothing may be said in two ways.
JSON = {"inputs", "outputs", "expectations", "tags", "icons", "tools", "connect_options"}
JSON |= {"server_json"}
Ends = tuple[Path, Path, tuple[str, ...]]


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    """A database with its files, a new one, and the options that name where files are."""
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    new = tmp_path / "new.db"
    places = ("--source-artifacts", str(files), "--target-artifacts", str(tmp_path / "copied"))
    return source, new, (f"sqlite:///{source}", f"sqlite:///{new}", *places, "--include-deleted")


def columns_of(path: Path, table: str) -> set[str]:
    """Return what columns a table has; none where there is no such table."""
    return {name for _, name, *_ in rows(path, f"PRAGMA table_info({table})")}


def content(
    path: Path, table: str, is_read: Callable[[dict[str, Any]], bool], but: Collection[str] = ()
) -> Counter[str]:
    """Return the rows of a table but for places and some columns, and for tags of this tool."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        every = STANDING_FOR.get(table, f"SELECT * FROM {table}")
        found = [dict(row) for row in connection.execute(every)]
    for row in found:
        row |= {name: None for name in JSON & row.keys() if row[name] == "null"}
        if row.get("metadata"):  # which a server gives in any order
            row["metadata"] = json.dumps(json.loads(row["metadata"]), sort_keys=True)
        if table == "spans":  # MLflow says it since 3.18 of each whose kind it does not know
            row["content"] = str(row["content"]).replace('"kind": "SPAN_KIND_INTERNAL", ', "")
    left_out = {*TABLES.get(table, ()), *PLACES, *but}
    return Counter(
        repr({key: value for key, value in row.items() if key not in left_out})
        for row in found
        if is_read(row)
        and not str(row.get("key") or row.get("tag_key")).startswith("mlflow-migrate.")
        and row.get("key") != ARTIFACT_LOCATION_TAG
    )


def with_rows(path: Path) -> set[str]:
    """Return which tables of MLflow have any."""
    named = rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
    own = {table for (table,) in named if not table.startswith("sqlite_")}
    return {table for table in own if rows(path, f"SELECT 1 FROM {table} LIMIT 1")}


def follow(originals: Sequence[int], *, after: int) -> list[int]:
    """Return the numbers that versions get: their own, or the next where that is taken."""
    numbers: list[int] = []
    for number in sorted(originals):
        after = max(number, after + 1)
        numbers.append(after)
    return numbers


def assert_same_rows(
    source: Path, new: Path, tables: Iterable[str] = (*TABLES, *STANDING_FOR)
) -> None:
    """Compare all that is copied, or some tables of it, as far as both have room for it.

    Deleted versions are gaps.
    """
    gone = "SELECT name, version FROM model_versions WHERE current_stage = 'Deleted_Internal'"
    versions = set(rows(source, gone))

    def is_read(row: dict[str, Any]) -> bool:
        if row.get("status") == "deleted":
            return False
        return (row.get("name"), row.get("version")) not in versions

    for table in tables:
        of_both = columns_of(new, table), columns_of(source, table)
        if table in STANDING_FOR or all(of_both):
            but = of_both[0] ^ of_both[1]
            mine, theirs = (content(it, table, is_read, but) for it in (source, new))
            assert theirs == mine, table


def test_a_database_is_copied_into_another_row_by_row(typed: Typed, ends: Ends) -> None:
    source, new, words = ends
    typed("run", *words)
    assert_same_rows(source, new)
    [(place,)] = rows(new, "SELECT artifact_uri FROM runs WHERE name = 'in beta'")
    assert place.startswith(str(new.parent / "copied/2/"))
    assert (Path(place) / "deep/empty.txt").read_bytes() == b""
    [(model,)] = rows(new, "SELECT artifact_location FROM logged_models WHERE name = 'codemodel'")
    assert f"artifact_path: {model}\n" in (Path(model) / "MLmodel").read_text()
    typed("verify", *words, "--contents")

    before = new.read_bytes()
    again = typed("run", *words, "--state", str(new.parent / "another.db"))
    assert "Wrote nothing" in again.stdout
    assert new.read_bytes() == before


def test_it_arrives_the_same_by_way_of_an_export(typed: Typed, ends: Ends) -> None:
    source, new, (uri, target, _, files, *places) = ends
    export = str(new.parent / "export")
    typed("run", uri, export, "--source-artifacts", files, "--include-deleted")
    typed("run", export, target, *places)
    deleted = "UPDATE runs SET deleted_time = NULL"  # which no export tells
    for path in (source, new):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(deleted)
    assert_same_rows(source, new)
    before = new.read_bytes()
    assert "Wrote nothing" in typed("run", export, target, *places).stdout
    assert new.read_bytes() == before


def test_an_export_is_imported_into_a_database_by_the_commands_of_other_tools(
    typed: Typed, ends: Ends
) -> None:
    source, new, (uri, target, _, files, *places, _) = ends
    export = str(new.parent / "export")
    typed("export-all", "--output-dir", export, "--source", uri, "--source-artifacts", files)
    typed("import-all", "--input-dir", export, "--target", target, *places)
    exported = "SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' ORDER BY 1"
    assert rows(new, exported) == rows(source, exported)


def test_what_is_there_already_stays_and_takes_no_ids_away(typed: Typed, ends: Ends) -> None:
    source, new, words = ends
    make_file(new)
    with closing(sqlite3.connect(new)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage, artifact_location, "
            "creation_time) VALUES (1, 'their own', 'active', '/elsewhere', 5)"
        )
        connection.execute("INSERT INTO registered_models (name) VALUES ('modelA')")
        connection.execute(
            "INSERT INTO model_versions (name, version, current_stage, status, source) "
            "VALUES ('modelA', 1, 'None', 'READY', 's3://theirs')"
        )
    typed("run", *words)
    ids = dict(rows(new, "SELECT name, experiment_id FROM experiments"))
    assert (ids["their own"], ids["Default"]) == (1, 0)
    assert (ids["alpha"], ids["beta/with slash"], ids["gone"]) == (4, 2, 3)
    alpha = {name for (name,) in rows(source, "SELECT name FROM runs WHERE experiment_id = 1")}
    copied = rows(new, "SELECT name, artifact_uri FROM runs WHERE experiment_id = ?", ids["alpha"])
    assert {name for name, _ in copied} == alpha
    assert all(f"/copied/{ids['alpha']}/" in place for _, place in copied)
    versions = rows(new, "SELECT version, source FROM model_versions WHERE name = 'modelA'")
    assert (1, "s3://theirs") in versions
    numbers = "SELECT version FROM model_versions WHERE name = 'modelA' AND current_stage <> ?"
    originals = [it for (it,) in rows(source, numbers, "Deleted_Internal")]
    assert sorted(it for it, _ in versions) == [1, *follow(originals, after=1)]
    [(named,)] = rows(
        new, "SELECT value FROM registered_model_tags WHERE key = '_mlflow_experiment_ids'"
    )
    assert named == f",{ids['alpha']},"
    before = new.read_bytes()
    assert "Wrote nothing" in typed("run", *words).stdout
    assert new.read_bytes() == before


def test_a_run_id_that_something_else_has_is_named_and_left_alone(typed: Typed, ends: Ends) -> None:
    source, new, words = ends
    make_file(new)
    [(run_id,)] = rows(source, "SELECT run_uuid FROM runs WHERE name = 'full'")
    with closing(sqlite3.connect(new)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage) "
            "VALUES (9, 'theirs', 'active')"
        )
        connection.execute(
            "INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id, "
            "source_type) VALUES (?, 'theirs', 'FINISHED', 'active', 9, 'UNKNOWN')",
            [run_id],
        )
    told = typed("run", *words, code=3)
    assert f"run {run_id} is in experiment 9" in told.stdout + told.stderr
    assert rows(new, "SELECT name, experiment_id FROM runs WHERE run_uuid = ?", run_id) == [
        ("theirs", 9)
    ]
    assert rows(new, "SELECT count(*) FROM params WHERE run_uuid = ?", run_id) == [(0,)]
    for state, what in ((".migrate/state.db", "failed"), ("none.db", "missing")):
        verified = typed("verify", *words, "--json", "--state", state, code=3)
        [told] = (it for it in json.loads(verified.stdout)["differences"] if it["id"] == run_id)
        assert told["what"] == what
        assert ("is in experiment 9" in told["detail"]) is (what == "failed")
        held_up = [
            it for it in json.loads(verified.stdout)["differences"] if it["what"] == "blocked"
        ]
        assert {it["detail"] for it in held_up} == (
            {"it needs run 'full', which failed"} if what == "failed" else set()
        )


def test_the_same_store_under_another_name_is_refused(typed: Typed, ends: Ends) -> None:
    _, new, (uri, target, *places) = ends
    typed("run", uri, target, *places)
    linked = new.parent / "linked.db"
    linked.symlink_to(new)
    before = new.read_bytes()
    for same in (f"sqlite:///{linked}", f"sqlite:////{new}"):
        typed.fails("run", target, same, *places, code=2, says="same")
    assert new.read_bytes() == before


def test_without_a_place_for_files_a_database_is_refused(typed: Typed, tmp_path: Path) -> None:
    source = unpacked("1.30.1", tmp_path)
    words = ("run", f"sqlite:///{source}", f"sqlite:///{tmp_path / 'new.db'}")
    typed.fails(*words, code=2, says="one place", hints="--target-artifacts")
    assert not (tmp_path / "new.db").exists()


def test_an_older_database_is_not_upgraded_unasked(typed: Typed, tmp_path: Path) -> None:
    older = unpacked("2.22.5", tmp_path)
    before = older.read_bytes()
    target = f"sqlite:///{older}"
    export = tmp_path / "export"
    typed("run", target, export, code=3)
    words = ("run", export, target, "--target-artifacts", tmp_path / "files")
    typed.fails(*words, code=2, says="not upgraded unasked", hints="mlflow db upgrade sqlite:")
    assert older.read_bytes() == before


def test_a_server_on_the_target_shows_what_the_source_does_and_counts_on(
    migrate: Migrate,
    source_server: TrackingServerProcess,
    seeded: Seeded,
    tmp_path: Path,
    server_factory: ServerFactory,
) -> None:
    new = f"sqlite:///{tmp_path / 'new.db'}"
    client = MlflowClient(source_server.uri)
    client.create_registered_model(seeded.name)
    [parent] = client.search_runs([seeded.experiment], "run_name = 'parent'")
    for _ in range(2):
        client.create_model_version(seeded.name, parent.info.artifact_uri, parent.info.run_id)
    client.delete_model_version(seeded.name, "1")
    chosen = ("--experiments", seeded.name, "--models", seeded.name)
    places = ("--target-artifacts", str(tmp_path / "files"))
    migrate("run", source_server.uri, new, *chosen, *places)
    with server_factory(backend_store_uri=new, artifacts_destination=str(tmp_path)) as target:
        assert not differences(source_server.uri, target.uri, experiments=[seeded.name])
        there = MlflowClient(target.uri)
        experiment = there.get_experiment_by_name(seeded.name)
        original = client.get_experiment(seeded.experiment)
        assert experiment.experiment_id == seeded.experiment
        assert experiment.creation_time == original.creation_time
        shown = there.get_run(seeded.child)
        assert shown.info.experiment_id == seeded.experiment
        assert shown.data.tags["mlflow.parentRunId"] == seeded.parent
        [version] = there.search_model_versions(f"name = '{seeded.name}'")
        [before] = client.search_model_versions(f"name = '{seeded.name}'")
        assert (version.version, version.run_id) == (before.version, seeded.parent)
        assert version.creation_timestamp == before.creation_timestamp

        run = there.create_run(experiment.experiment_id)
        there.log_metric(run.info.run_id, "loss", 1.0)
        following = there.create_model_version(seeded.name, "s3://b/x", run.info.run_id)
        assert following.version == str(int(before.version) + 1)
        assert int(there.create_experiment("new")) > int(experiment.experiment_id)

        more = client.create_run(seeded.experiment, run_name="made meanwhile")
        client.log_metric(more.info.run_id, "loss", 0.5)
        migrate("run", source_server.uri, new, *chosen, *places)
        arrived = there.get_run(more.info.run_id)
        assert (arrived.info.run_name, arrived.data.metrics) == ("made meanwhile", {"loss": 0.5})
        assert there.get_run(run.info.run_id).data.metrics == {"loss": 1.0}


def test_the_revision_that_is_made_is_that_of_the_installed_mlflow(
    typed: Typed, tmp_path: Path
) -> None:
    source = unpacked("1.30.1", tmp_path)
    new = tmp_path / "new.db"
    words = (f"sqlite:///{source}", f"sqlite:///{new}", "--target-artifacts", str(tmp_path / "f"))
    typed("run", *words, code=3)
    assert rows(new, "SELECT version_num FROM alembic_version") == [
        (_get_latest_schema_revision(),)
    ]
    noted = manifest("1.30.1")["runs"]["full"]
    columns = "experiment_id, start_time, user_id"
    assert rows(new, f"SELECT {columns} FROM runs WHERE run_uuid = ?", noted["id"]) == [
        (int(noted["experiment"]), noted["start"], noted["user"])
    ]
