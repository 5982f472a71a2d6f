"""A migration into a database that is killed again and again, and other faults there."""

from __future__ import annotations

import io
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from migrate.endpoints.database.target.schema import make_file
from migrate.endpoints.skill_archives import tree_digest
from migrate.kinds import Kind
from tests.cli.test_database_target import assert_same_rows
from tests.conftest import StartMigrate
from tests.endpoints.databases import rows, unpacked, unpacked_artifacts
from tests.endpoints.test_database_records import SEEDED, insert
from tests.seed_skills import packed
from tests.servers import IS_3_18

PATIENCE = 150
#: Answers a statement of SQL with rows.
Answer = Callable[[str], list[tuple[Any, ...]]]
#: What every object has that is there; its rows are the others.
_COMPLETE = {
    "runs": ("run_uuid", "tags", "key", ("params", "metrics", "latest_metrics")),
    "logged_models": (
        "model_id",
        "logged_model_tags",
        "tag_key",
        ("logged_model_params", "logged_model_metrics"),
    ),
    "evaluation_datasets": (
        "dataset_id",
        "evaluation_dataset_tags",
        "key",
        ("evaluation_dataset_records",),
    ),
    "trace_info": ("request_id", "trace_tags", "key", ()),
}

#: The tables below those of objects without a mark: each has the same column for whose a row is.
_WHOLE = {
    "scorers": ("scorer_id", ("scorer_versions",)),
    "issues": ("issue_id", ()),
    "label_schemas": ("schema_id", ()),
    "review_queues": ("queue_id", ("review_queue_items", "review_queue_users")),
    "webhooks": ("webhook_id", ("webhook_events",)),
    "mcp_servers": ("name", ("mcp_server_versions",)),
    "secrets": ("secret_id", ()),
    "model_definitions": ("model_definition_id", ()),
    "endpoints": ("endpoint_id", ("endpoint_model_mappings", "endpoint_tags")),
    "budget_policies": ("budget_policy_id", ()),
    "guardrails": ("guardrail_id", ("guardrail_configs",)),
}


def filled(folder: Path) -> Path:
    """A database with something of each kind, one of each that is a record."""
    path = unpacked("3.17.2", folder)
    [(trace,)] = rows(path, "SELECT request_id FROM trace_info WHERE experiment_id = 1 LIMIT 1")
    for of_kind in (SEEDED[kind] for kind in SEEDED if kind is not Kind.SKILL):
        changed: dict[str, dict[str, Any]] = {
            "review_queue_items": {"item_id": trace},
            "guardrails": {"scorer_version": 2},
            "mcp_server_versions": {"version": "1.0.0"},
        }
        insert(path, {table: {**row, **changed.get(table, {})} for table, row in of_kind.items()})
    user = {"queue_id": "q", "user_id": "ada"}
    tag = {"endpoint_id": "e", "key": "team", "value": "risk"}
    insert(path, {"review_queue_users": user, "endpoint_tags": tag})
    return path


def assert_nothing_by_half(source: Path, new: Answer) -> int:
    """Check that what is there of the source is whole, and marked so; return how much it is."""
    found = 0
    for table, (key, tags, name, others) in _COMPLETE.items():
        there = {ident for (ident,) in new(f"SELECT {key} FROM {table}")}
        marked = f"SELECT {key} FROM {tags} WHERE {tags}.{name} = 'mlflow-migrate.copied'"
        assert {ident for (ident,) in new(marked)} == there
        for other in others:
            counted = f"SELECT {key}, count(*) FROM {other} GROUP BY {key}"
            originals = {it: count for it, count in rows(source, counted) if it in there}
            assert dict(new(counted)) == originals, other
        found += len(there)
    for table, (key, others) in _WHOLE.items():
        there = {ident for (ident,) in new(f"SELECT {key} FROM {table}")}
        for other in others:
            counted = f"SELECT {key}, count(*) FROM {other} GROUP BY {key}"
            originals = {it: count for it, count in rows(source, counted) if it in there}
            assert dict(new(counted)) == originals, other
        found += len(there)
    counted = "SELECT trace_id, count(*) FROM {} GROUP BY trace_id"
    traces = {ident for (ident,) in new("SELECT request_id FROM trace_info")}
    for table in ("spans", "assessments"):
        originals = dict(rows(source, counted.format(table)))
        kept = {ident: count for ident, count in originals.items() if ident in traces}
        assert dict(new(counted.format(table))) == kept, table
    origins = "FROM model_version_tags t WHERE t.key = 'mlflow-migrate.origin'"
    versions = "SELECT name, version FROM model_versions"
    assert sorted(new(versions)) == sorted(new(f"SELECT name, version {origins}"))
    return found


def of_file(path: Path) -> Answer:
    """Ask a SQLite database that may not be there yet."""
    return lambda statement: rows(path, statement)


def add_runs(path: Path, number: int) -> None:
    """Put so many runs without files into a database, each like the run that has everything."""
    with closing(sqlite3.connect(path)) as connection, connection:
        [(full,)] = connection.execute("SELECT run_uuid FROM runs WHERE name = 'full'").fetchall()
        for table in ("runs", "params", "tags", "metrics", "latest_metrics"):
            columns = [it[1] for it in connection.execute(f"PRAGMA table_info({table})")]
            taken = {
                **{name: f'"{name}"' for name in columns},
                "run_uuid": ":new",
                **(
                    {"artifact_uri": "'mlflow-artifacts:/1/none/' || :new"}
                    if table == "runs"
                    else {}
                ),
            }
            copied = f"INSERT INTO {table} SELECT {', '.join(taken[it] for it in columns)} "
            copied += f"FROM {table} WHERE run_uuid = :full"
            for run in range(number):
                connection.execute(copied, {"new": f"{run:032x}", "full": full})


def die_until_done(
    start_migrate: StartMigrate,
    words: tuple[object, ...],
    folder: Path,
    moment: str,
    check: Answer,
    code: int = 3,
) -> int:
    """Migrate, dying at every sixth transaction, until all is there; return how often it died."""
    source = Path(str(words[1]).removeprefix("sqlite:///"))
    there = deaths = 0
    while True:
        # Every other time nothing is known of what was done before.
        state = ("--state", folder / f"state-{deaths // 2}.db")
        dying = start_migrate(moment, "6", *words, *state, entry="tests.crash.dying:main_and_die")
        ended = dying.ended(PATIENCE)
        before, there = there, assert_nothing_by_half(source, check)
        assert there >= before
        if ended.returncode != -signal.SIGKILL:
            break
        deaths += 1
    assert ended.returncode == code, ended
    assert "Failed" not in ended.stdout
    return deaths


def kill_at_random(
    start_migrate: StartMigrate, words: tuple[object, ...], folder: Path, times: int
) -> int:
    """Migrate, killed so often at random moments, then to the end; return how often it was hit."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    hits = 0
    for _ in range(times):
        process = start_migrate(*words, "--state", folder / "state.db")
        timer = Timer(moments.uniform(0.3, 3), process.send_signal, [signal.SIGKILL])
        timer.start()
        hits += process.ended(PATIENCE).returncode == -signal.SIGKILL
        timer.cancel()
    ended = start_migrate(*words, "--state", folder / "state.db").ended(PATIENCE)
    assert ended.returncode == 3, ended
    return hits


@pytest.mark.parametrize(
    "moment", ["writing-rows", pytest.param("rows-written", marks=pytest.mark.thorough)]
)
def test_no_object_is_ever_there_by_half_and_each_comes_once(
    start_migrate: StartMigrate, tmp_path: Path, moment: str
) -> None:
    source, files = filled(tmp_path), unpacked_artifacts(tmp_path)
    new = tmp_path / "new.db"
    places = ("--source-artifacts", files, "--target-artifacts", tmp_path / "copied")
    words = ("run", f"sqlite:///{source}", f"sqlite:///{new}", *places, "--include-deleted")
    assert die_until_done(start_migrate, words, tmp_path, moment, of_file(new)) > 3
    assert_same_rows(source, new)


@pytest.mark.skipif(not IS_3_18, reason="MLflow has skills since 3.18")
@pytest.mark.parametrize(
    "moment", ["writing-rows", pytest.param("rows-written", marks=pytest.mark.thorough)]
)
def test_no_skill_is_ever_there_by_half_and_its_files_come_once(
    start_migrate: StartMigrate, tmp_path: Path, made_database: Path, moment: str
) -> None:
    source, new = Path(shutil.copy(made_database, tmp_path / "old.db")), tmp_path / "new.db"
    originals = filled_with_skills(source, tmp_path / "files", 20)
    copied = tmp_path / "copied"
    places = ("--source-artifacts", tmp_path / "files", "--target-artifacts", copied)
    words = ("run", f"sqlite:///{source}", f"sqlite:///{new}", *places)

    def check(statement: str) -> list[tuple[Any, ...]]:
        kept = "SELECT source FROM skill_versions WHERE source_type = 'mlflow'"
        for (place,) in rows(new, kept):
            folder = copied / place.removeprefix("mlflow-artifacts:/")
            assert (folder / "SKILL.md").read_text() == originals[folder.parent.name]
        whole = "SELECT count(*) FROM skill_versions JOIN skill_tags USING (name) GROUP BY name"
        assert {count for (count,) in rows(new, whole)} <= {2}
        return rows(new, statement)

    assert die_until_done(start_migrate, words, tmp_path, moment, check, code=0) > 1
    assert_same_rows(source, new)
    assert len([*copied.rglob("SKILL.md")]) == len(originals)


def filled_with_skills(path: Path, files: Path, number: int) -> dict[str, str]:
    """Put skills into a database, with a version from git and one with files each.

    Return the content of these files by the names of skills.
    """
    originals = {f"skill-{number}": f"# {number}\n" for number in range(number)}
    of_kind = SEEDED[Kind.SKILL]
    for name, content in originals.items():
        named = {**of_kind["skill_versions"], "organization": "", "name": name}
        place = f"skills/{name}/{'0' * 32}"
        (files / place).mkdir(parents=True)
        (files / place / "SKILL.md").write_text(content)
        digest = tree_digest(io.BytesIO(packed({"SKILL.md": content})), name)
        kept = {"source_type": "mlflow", "source": f"mlflow-artifacts:/{place}", "digest": digest}
        whose = {key: named[key] for key in ("workspace", "organization", "name")}
        made = {**of_kind["skills"], **whose, "search_text": name}
        tag = {**whose, "key": "team", "value": "risk"}
        insert(path, {"skills": made, "skill_tags": tag, "skill_versions": named})
        insert(path, {"skill_versions": {**named, "version": 2, **kept}})
    return originals


@pytest.mark.thorough
def test_killed_at_random_moments_each_comes_once(
    start_migrate: StartMigrate, tmp_path: Path
) -> None:
    source, files = filled(tmp_path), unpacked_artifacts(tmp_path)
    add_runs(source, 400)
    new = tmp_path / "new.db"
    places = ("--source-artifacts", files, "--target-artifacts", tmp_path / "copied")
    words = ("run", f"sqlite:///{source}", f"sqlite:///{new}", *places, "--include-deleted")
    before = source.read_bytes()
    assert kill_at_random(start_migrate, words, tmp_path, 20) > 3
    assert_nothing_by_half(source, of_file(new))
    assert_same_rows(source, new)
    assert source.read_bytes() == before


@pytest.mark.thorough
def test_a_lock_that_is_held_for_a_minute_is_waited_for(
    start_migrate: StartMigrate, tmp_path: Path
) -> None:
    source, files = filled(tmp_path), unpacked_artifacts(tmp_path)
    new = tmp_path / "new.db"
    make_file(new)
    places = ("--source-artifacts", files, "--target-artifacts", tmp_path / "copied")
    words = ("run", f"sqlite:///{source}", f"sqlite:///{new}", *places, "--include-deleted")
    with closing(sqlite3.connect(new, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        process = start_migrate(*words, "--state", tmp_path / "state.db")
        while time.monotonic() - began < 60:
            assert process.poll() is None
            time.sleep(0.5)
        other.execute("ROLLBACK")
    ended = process.ended(PATIENCE)
    assert ended.returncode == 3, ended
    assert_same_rows(source, new)
