"""A migration into a database that is killed, again and again, at transactions of every kind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cli.test_database_target import assert_same_rows
from tests.conftest import StartMigrate
from tests.endpoints.databases import rows, unpacked, unpacked_artifacts

PATIENCE = 150
#: What every object has that is there; its rows are the others.
_COMPLETE = {
    "runs": ("run_uuid", "tags", "key", ("params", "metrics", "latest_metrics")),
    "logged_models": (
        "model_id",
        "logged_model_tags",
        "tag_key",
        ("logged_model_params", "logged_model_metrics"),
    ),
    "trace_info": ("request_id", "trace_tags", "key", ()),
}


def assert_nothing_by_half(source: Path, new: Path) -> int:
    """Check that what is there of the source is whole, and marked so; return how much it is."""
    found = 0
    for table, (key, tags, name, others) in _COMPLETE.items():
        there = {ident for (ident,) in rows(new, f"SELECT {key} FROM {table}")}
        marked = f"SELECT {key} FROM {tags} WHERE {name} = 'mlflow-migrate.copied'"
        assert {ident for (ident,) in rows(new, marked)} == there
        for other in others:
            counted = f"SELECT {key}, count(*) FROM {other} GROUP BY {key}"
            originals = {it: count for it, count in rows(source, counted) if it in there}
            assert dict(rows(new, counted)) == originals, other
        found += len(there)
    counted = "SELECT trace_id, count(*) FROM {} GROUP BY trace_id"
    traces = {ident for (ident,) in rows(new, "SELECT request_id FROM trace_info")}
    for table in ("spans", "assessments"):
        originals = dict(rows(source, counted.format(table)))
        kept = {ident: count for ident, count in originals.items() if ident in traces}
        assert dict(rows(new, counted.format(table))) == kept, table
    origins = "WHERE key = 'mlflow-migrate.origin'"
    versions = "SELECT name, version FROM model_versions"
    assert rows(new, versions + " ORDER BY 1, 2") == rows(
        new, f"SELECT name, version FROM model_version_tags {origins} ORDER BY 1, 2"
    )
    return found


@pytest.mark.parametrize(
    "moment", ["writing-rows", pytest.param("rows-written", marks=pytest.mark.thorough)]
)
def test_no_object_is_ever_there_by_half_and_each_comes_once(
    start_migrate: StartMigrate, tmp_path: Path, moment: str
) -> None:
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    new = tmp_path / "new.db"
    places = ("--source-artifacts", files, "--target-artifacts", tmp_path / "copied")
    words = ("run", f"sqlite:///{source}", f"sqlite:///{new}", *places, "--include-deleted")
    there = deaths = 0
    while True:
        # Every other time nothing is known of what was done before.
        state = ("--state", tmp_path / f"state-{deaths // 2}.db")
        dying = start_migrate(moment, "6", *words, *state, entry="tests.crash.dying:main_and_die")
        ended = dying.ended(PATIENCE)
        before, there = there, assert_nothing_by_half(source, new)
        assert there >= before
        if ended.returncode != -signal.SIGKILL:
            break
        deaths += 1
    assert ended.returncode == 3, ended
    assert deaths > 3
    assert_same_rows(source, new)
