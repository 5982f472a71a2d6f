"""A database as a target: what its rows are, and what it refuses."""

from __future__ import annotations

import io
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.store.db.utils import _get_latest_schema_revision

from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.errors import AlreadyExists, NotFound, Refused, StorageFull, UsageError
from migrate.kinds import Kind, run_ref
from migrate.objects import (
    DELETED,
    Artifact,
    ArtifactRoot,
    LoggedModel,
    Metric,
    ModelLinks,
    ModelMetric,
    ModelOutput,
    Run,
)
from migrate.origins import MARK, ORIGIN
from tests.endpoints.databases import rows, target_at, unpacked
from tests.endpoints.exports import (
    a_logged_model,
    a_registered_model,
    a_run,
    a_version,
    an_experiment,
)
from tests.servers import IS_3_18

RUN, OTHER_RUN = "a" * 32, "b" * 32
MODEL = "m-" + "c" * 32
AT = 1_700_000_000_000
NAN = float("nan")
INFINITE = float("inf")


@pytest.fixture
def path(new_database: Path) -> Path:
    return new_database


@pytest.fixture
def target(path: Path) -> Iterator[DatabaseTarget]:
    """A new database with experiment 7 in it."""
    with closing(target_at(path)) as opened:
        opened.experiments.create(an_experiment(artifact_location=""))
        yield opened


def a_copy(run_id: str = RUN, **changes: Any) -> Run:
    """A run as it is to be, with its origin."""
    tags = {"team": "blue", ORIGIN: run_id}
    return a_run(run_id, **{"tags": tags, "links": ModelLinks(), **changes})


def write(target: DatabaseTarget, run: Run, *points: Metric, mark: str = "mark") -> None:
    writer = target.runs.create("7", run)
    writer.write_params(run.params)
    writer.write_metrics(points)
    writer.write_inputs(run.inputs)
    assert writer.finish(run, mark) == ()


def a_model(**changes: Any) -> LoggedModel:
    tags = {"team": "blue", ORIGIN: MODEL}
    return a_logged_model(MODEL, **{"tags": tags, "metrics": (), **changes})


def test_a_missing_database_is_made_by_mlflow_itself_and_is_readable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "folder/new.db"
    with caplog.at_level(logging.INFO), closing(target_at(path)) as target:
        can = target.capabilities()
    assert "revision" in can.description
    assert not [it for it in caplog.records if it.name.startswith(("mlflow", "alembic"))]
    assert [it.name for it in path.parent.iterdir()] == ["new.db"]
    assert rows(path, "SELECT count(*) FROM experiments") == [(0,)]
    assert rows(path, "SELECT name FROM workspaces") == [("default",)]
    with closing(target_at(path)) as again:
        assert again.capabilities().identity == can.identity


def test_what_opening_has_made_is_taken_back_unless_something_was_written(tmp_path: Path) -> None:
    target = target_at(tmp_path / "new.db")
    target.capabilities()
    target.withdraw()
    assert list(tmp_path.iterdir()) == []
    target.experiments.create(an_experiment())
    target.withdraw()
    assert rows(tmp_path / "new.db", "SELECT count(*) FROM experiments") == [(1,)]


def test_an_older_revision_is_refused_with_the_command_that_upgrades_it(tmp_path: Path) -> None:
    path = unpacked("3.8.1", tmp_path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="not upgraded unasked") as refused:
        target_at(path).capabilities()
    assert "mlflow db upgrade sqlite:///" in refused.value.hint
    assert path.read_bytes() == before


def test_the_head_is_that_of_the_installed_mlflow_and_read_without_importing_it() -> None:
    said = "from migrate.endpoints.database.target.schema import installed_head as head; import sys"
    said += "; print(head(), 'mlflow' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [_get_latest_schema_revision(), "False"]


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="no database of an MLflow"):
        target_at(path).capabilities()
    assert path.read_bytes() == before


def test_a_workspace_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="no workspace 'team-a'"):
        target_at(path, workspace="team-a").capabilities()
    with pytest.raises(UsageError, match="no workspace 'team-a'"):
        target_at(path.with_name("missing.db"), workspace="team-a").capabilities()
    assert not path.with_name("missing.db").exists()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO workspaces (name) VALUES ('team-a')")
    with closing(target_at(path, workspace="team-a")) as target:
        target.capabilities()
        target.experiments.create(an_experiment())
        assert len(list(target.experiments.list())) == 1
    assert rows(path, "SELECT workspace FROM experiments") == [("team-a",)]


def test_one_that_is_only_compared_with_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        target_at(tmp_path / "new.db", reads_only=True).capabilities()
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_keeps_its_id_and_its_times(target: DatabaseTarget, path: Path) -> None:
    columns = "experiment_id, name, artifact_location, creation_time, last_update_time, workspace"
    assert rows(path, f"SELECT {columns} FROM experiments") == [
        (
            7,
            "experiment 7",
            str(path.parent / "artifacts/7"),
            1_700_000_000_000,
            1_700_000_100_000,
            "default",
        )
    ]
    assert target.experiments.create(an_experiment("0", name="Default")) == "0"


def test_an_id_that_is_taken_is_replaced_by_the_next_free_one(target: DatabaseTarget) -> None:
    assert target.experiments.create(an_experiment(name="another")) == "8"
    with pytest.raises(AlreadyExists):
        target.experiments.create(an_experiment("9", name="another"))


def test_where_the_server_serves_files_new_experiments_do_as_its_own(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments VALUES (0, 'Default', 'mlflow-artifacts:/0', 'active', 1, 1, "
            "'default')"
        )
    with closing(target_at(path)) as target:
        target.capabilities()
        target.experiments.create(an_experiment(artifact_location=""))
        writer = target.runs.create("7", a_copy())
        assert writer.root.uri == f"mlflow-artifacts:/7/{RUN}/artifacts"
        target.artifacts.put(writer.root, Artifact("a/b.txt", 3), io.BytesIO(b"abc"))
    assert (path.parent / f"artifacts/7/{RUN}/artifacts/a/b.txt").read_bytes() == b"abc"


def test_a_run_is_written_as_mlflow_would_have(target: DatabaseTarget, path: Path) -> None:
    write(
        target,
        a_copy(lifecycle_stage=DELETED, deleted_time=AT + 9),
        Metric("loss", 0.5, AT, 1),
        Metric("loss", NAN, AT, 2),
        Metric("loss", 0.5, AT, 1),
        Metric("odd", INFINITE, AT, 0),
        Metric("odd", 7.0, AT - 1, 0),
    )
    assert rows(path, "SELECT * FROM runs") == [
        (
            RUN,
            "brave-fox-1",
            "UNKNOWN",
            "",
            "",
            "ada",
            "FINISHED",
            AT,
            AT + 60_000,
            "",
            "deleted",
            str(path.parent / f"artifacts/7/{RUN}/artifacts"),
            7,
            AT + 9,
        )
    ]
    assert rows(path, "SELECT key, value FROM params") == [("lr", "0.1")]
    assert dict(rows(path, "SELECT key, value FROM tags")) == {
        "team": "blue",
        "mlflow.runName": "brave-fox-1",
        ORIGIN: RUN,
        MARK: "mark",
    }
    points = "SELECT key, value, timestamp, step, is_nan FROM metrics ORDER BY key, step, timestamp"
    largest = 1.7976931348623157e308
    assert rows(path, points) == [
        ("loss", 0.5, AT, 1, 0),
        ("loss", 0.0, AT, 2, 1),
        ("odd", 7.0, AT - 1, 0, 0),
        ("odd", largest, AT, 0, 0),
    ]
    latest = "SELECT key, value, timestamp, step, is_nan FROM latest_metrics ORDER BY key"
    assert rows(path, latest) == [("loss", 0.0, AT, 2, 1), ("odd", largest, AT, 0, 0)]


def test_runs_of_an_experiment_share_a_dataset(target: DatabaseTarget, path: Path) -> None:
    write(target, a_copy())
    write(target, a_copy(OTHER_RUN))
    [(dataset,)] = rows(path, "SELECT dataset_uuid FROM datasets WHERE name = 'wine'")
    named = rows(path, "SELECT source_id, destination_id FROM inputs ORDER BY destination_id")
    assert named == [(dataset, RUN), (dataset, OTHER_RUN)]
    assert rows(path, "SELECT DISTINCT name, value FROM input_tags") == [
        ("mlflow.data.context", "training")
    ]


def test_before_it_is_finished_nothing_of_a_run_is_there(
    target: DatabaseTarget, path: Path
) -> None:
    before = path.read_bytes()
    writer = target.runs.create("7", a_copy())
    writer.write_params({"lr": "0.1"})
    writer.write_metrics([Metric("loss", 0.5, AT, 1)])
    assert path.read_bytes() == before
    # What fails in the middle of the transaction leaves nothing either.
    broken = {"dataset": {"name": None, "digest": "d"}, "tags": []}
    writer.write_inputs([broken])
    with pytest.raises(Refused, match="NOT NULL"):
        writer.finish(a_copy(), "mark")
    writer.abandon()
    for table in ("runs", "params", "metrics", "tags"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_copy_is_found_and_completed_under_its_id(target: DatabaseTarget, path: Path) -> None:
    write(target, a_copy(), Metric("loss", 0.5, AT, 5), mark="")
    [copy] = target.runs.find("7")[RUN]
    assert (copy.target_id, copy.mark) == (RUN, "")
    [there] = target.runs.read_in("7", [copy.target_id])
    run = a_copy(name="renamed", status="FAILED")
    writer = target.runs.adopt("7", there, run)
    writer.remove_tags(["team"])
    writer.write_params({"lr": "0.2"})
    writer.write_metrics([Metric("loss", 0.1, AT, 4), Metric("loss", 0.5, AT, 5)])
    writer.finish(replace(run, tags={}), "mark")
    assert rows(path, "SELECT name, status, user_id FROM runs") == [("renamed", "FAILED", "ada")]
    assert rows(path, "SELECT value, step FROM latest_metrics") == [(0.5, 5)]
    assert rows(path, "SELECT count(*) FROM metrics") == [(2,)]
    assert rows(path, "SELECT value FROM params") == [("0.2",)]
    assert target.runs.find("7", [RUN])[RUN][0].mark == "mark"
    assert target.runs.find("7", [OTHER_RUN]) == {}


def test_an_id_that_something_else_has_is_named_and_left_alone(
    target: DatabaseTarget, path: Path
) -> None:
    write(target, a_copy())
    before = path.read_bytes()
    with pytest.raises(AlreadyExists, match=f"run {RUN} is in experiment 7"):
        target.runs.create("7", a_copy())
    assert path.read_bytes() == before


@pytest.mark.parametrize("run_id", ["../../etc", "a" * 31, "A" * 32, "a" * 31 + "\n", ""])
def test_an_id_that_is_no_runs_is_refused(target: DatabaseTarget, run_id: str) -> None:
    with pytest.raises(Refused, match="no id of a run"):
        target.runs.create("7", a_copy(run_id))


def test_what_has_no_experiment_is_refused(target: DatabaseTarget) -> None:
    with pytest.raises(NotFound):
        target.runs.create("8", a_copy())


def test_files_go_below_the_root_and_nowhere_else(target: DatabaseTarget, path: Path) -> None:
    outside = ArtifactRoot(run_ref(RUN), str(path.parent / "elsewhere"))
    with pytest.raises(Exception, match="is not written to"):
        target.artifacts.put(outside, Artifact("a", 1), io.BytesIO(b"a"))
    writer = target.runs.create("7", a_copy())
    for name in ("../a", "/a"):
        with pytest.raises(Refused):
            target.artifacts.put(writer.root, Artifact(name, 1), io.BytesIO(b"a"))
    assert not (path.parent / "artifacts").exists()
    assert target.artifacts.list(writer.root) == []


def test_a_logged_model_comes_whole_with_what_runs_say_of_it(
    target: DatabaseTarget, path: Path
) -> None:
    write(target, a_copy())
    copy = target.logged_models.create("7", a_model())
    assert copy.artifact_uri == str(path.parent / f"artifacts/7/models/{MODEL}/artifacts")
    target.logged_models.log_metrics(MODEL, [ModelMetric("acc", 0.5, AT, 0, RUN, "wine", "d1")])
    target.model_links.write(RUN, ModelLinks((), (ModelOutput(MODEL, 3),)))
    assert rows(path, "SELECT count(*) FROM logged_models") == [(0,)]
    assert rows(path, "SELECT count(*) FROM inputs WHERE source_type != 'DATASET'") == [(0,)]
    target.logged_models.finish(copy, a_model(), "mark")
    columns = "name, status, creation_timestamp_ms, last_updated_timestamp_ms, source_run_id"
    assert rows(path, f"SELECT {columns} FROM logged_models") == [
        ("forest", 2, AT, AT + 100_000, RUN)
    ]
    assert dict(rows(path, "SELECT tag_key, tag_value FROM logged_model_tags")) == {
        "team": "blue",
        ORIGIN: MODEL,
        MARK: "mark",
    }
    links = "SELECT source_id, destination_id, step FROM inputs WHERE source_type = 'RUN_OUTPUT'"
    assert rows(path, links) == [(RUN, MODEL, 3)]
    assert rows(path, "SELECT metric_name, run_id, dataset_name FROM logged_model_metrics") == [
        ("acc", RUN, "wine")
    ]
    [found] = target.logged_models.find("7")[MODEL]
    assert found.mark == "mark"
    target.logged_models.delete("7", MODEL, MODEL)
    assert target.logged_models.find("7")[MODEL][0].lifecycle_stage == DELETED


def test_points_of_a_logged_model_are_those_that_mlflow_would_have_written(
    target: DatabaseTarget, path: Path
) -> None:
    target.experiments.create(an_experiment(experiment_id="8", name="of the run"))
    target.runs.create("8", a_copy()).finish(a_copy(), "mark")
    copy = target.logged_models.create("7", a_model(source_run_id=""))
    values = enumerate((NAN, INFINITE, 0.5))
    points = [ModelMetric("acc", value, AT, step, RUN) for step, value in values]
    target.logged_models.log_metrics(MODEL, points)
    target.logged_models.finish(copy, a_model(source_run_id=""), "mark")
    columns = "metric_value, experiment_id"
    assert rows(path, f"SELECT {columns} FROM logged_model_metrics ORDER BY metric_step") == [
        (0.0, 8),
        (1.7976931348623157e308, 8),
        (0.5, 8),
    ]
    assert rows(path, "SELECT source_run_id FROM logged_models") == [("",)]


def test_points_of_a_logged_model_that_the_database_takes_for_one_are_told(
    target: DatabaseTarget,
) -> None:
    write(target, a_copy())
    copy = target.logged_models.create("7", a_model())
    points = [ModelMetric("acc", value, AT, 0, RUN) for value in (0.5, 0.75)]
    target.logged_models.log_metrics(MODEL, points)
    [loss] = target.logged_models.finish(copy, a_model(), "mark")
    assert loss.what == "1 metric points"


def test_a_version_keeps_its_number_and_what_mlflow_lets_nobody_set(
    target: DatabaseTarget, path: Path
) -> None:
    write(target, a_copy())
    model = target.logged_models.create("7", a_model())
    target.logged_models.finish(model, a_model(), "mark")
    target.registered_models.create(a_registered_model())
    version = a_version(4, source=f"models:/{MODEL}", model_id=MODEL, aliases=("best",))
    assert target.model_versions.create(version) == 4
    target.model_versions.update(replace(version, aliases=()), version)
    columns = "version, creation_time, last_updated_time, user_id, current_stage, run_id"
    assert rows(path, f"SELECT {columns} FROM model_versions") == [
        (4, AT + 4, AT + 100_004, "ada", "Staging", RUN)
    ]
    assert rows(path, "SELECT storage_location FROM model_versions") == [(model.artifact_uri,)]
    assert rows(path, "SELECT alias, version FROM registered_model_aliases") == [("best", 4)]
    told = "SELECT tag_value FROM logged_model_tags WHERE tag_key = 'mlflow.modelVersions'"
    assert rows(path, told) == [('[{"name": "fraud", "version": 4}]',)]
    assert rows(path, "SELECT creation_time, last_updated_time FROM registered_models") == [
        (AT, AT + 100_000)
    ]
    assert target.model_versions.create(replace(version, version=0)) == 5


def test_a_logged_model_names_its_versions_in_the_order_in_which_they_were_made(
    target: DatabaseTarget, path: Path
) -> None:
    write(target, a_copy())
    target.logged_models.finish(target.logged_models.create("7", a_model()), a_model(), "mark")
    for name in ("first", "fraud"):
        target.registered_models.create(a_registered_model(name))
    made = {("first", 3): AT + 2, ("fraud", 2): AT + 3, ("fraud", 9): AT + 1}
    for (name, number), time in made.items():
        version = a_version(number, source=f"models:/{MODEL}", model_id=MODEL)
        tags = {ORIGIN: f"{name}/{number}@{time}"}
        target.model_versions.create(replace(version, name=name, creation_time=time, tags=tags))
    [(told,)] = rows(path, "SELECT tag_value FROM logged_model_tags WHERE tag_key LIKE '%Versions'")
    named = [(it["name"], it["version"]) for it in json.loads(told)]
    assert named == [("fraud", 9), ("first", 3), ("fraud", 2)]


def test_a_number_that_another_version_has_is_named_and_left_alone(
    target: DatabaseTarget, path: Path
) -> None:
    target.registered_models.create(a_registered_model())
    ours = a_version(2, model_id="", source="s3://b/x", tags={ORIGIN: "fraud/2@1"})
    target.model_versions.create(ours)
    before = path.read_bytes()
    assert target.model_versions.create(ours) == 2, "a try whose end nobody saw"
    assert target.model_versions.create(replace(ours, version=0)) == 2
    with pytest.raises(AlreadyExists, match="number 2 of 'fraud'"):
        target.model_versions.create(replace(ours, tags={ORIGIN: "fraud/2@9"}))
    assert path.read_bytes() == before


def test_a_registered_model_is_deleted_with_all_that_is_in_it(
    target: DatabaseTarget, path: Path
) -> None:
    target.registered_models.create(a_registered_model())
    version = a_version(1, model_id="", source="s3://b/x", aliases=("best",))
    target.model_versions.create(version)
    target.model_versions.update(replace(version, aliases=()), version)
    target.registered_models.delete("fraud")
    for table in ("registered_models", "model_versions", "model_version_tags"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)]
    with pytest.raises(NotFound):
        target.model_versions.create(version)


def test_what_a_server_writes_is_seen_at_once_and_it_is_never_kept_waiting(
    target: DatabaseTarget, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as server:
        for name in ("once", "twice"):
            server.execute("UPDATE experiments SET name = ?", [name])
            assert [it.name for it in target.experiments.list()] == [name]
        target.experiments.set_tags("7", {"team": "red"})
        server.execute("UPDATE experiments SET name = 'last'")


def test_a_full_disk_is_said_so_and_leaves_nothing_by_half(
    target: DatabaseTarget, path: Path
) -> None:
    database = WrittenDatabase(f"sqlite:///{path}", "default")

    def fill() -> None:
        long = ({"experiment_id": 7, "key": f"k{n}", "value": "v" * 8000} for n in range(9))
        with database.transaction() as transaction:
            transaction.insert_missing("experiment_tags", long)

    with closing(database):
        with database.transaction() as transaction:  # as small as the disk could be
            transaction.run(f"PRAGMA max_page_count = {path.stat().st_size // 4096 + 1}")
        with pytest.raises(StorageFull, match="no space is left"):
            fill()
    assert rows(path, "SELECT count(*) FROM experiment_tags WHERE key LIKE 'k%'") == [(0,)]
    write(target, a_copy())


@pytest.mark.skipif(IS_3_18, reason="the installed MLflow has skills")
def test_a_database_of_an_mlflow_without_skills_says_that_it_takes_none(new_database: Path) -> None:
    with closing(target_at(new_database)) as target:
        assert target.store(Kind.SKILL) is None
        why = target.capabilities().without[Kind.SKILL]
    assert "does not take skills: MLflow has them since 3.18" in why
