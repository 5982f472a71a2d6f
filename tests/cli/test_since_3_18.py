"""What MLflow has since 3.18 arrives where that is installed, and is lost by name elsewhere."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.database.target.issues import category_hash
from tests.cli.conftest import Seeded, Typed
from tests.conftest import ProxyFactory, ServerFactory
from tests.endpoints.databases import rows, unpacked, unpacked_artifacts
from tests.guarded import ADMIN, Guarded, start_guarded
from tests.seed_records import Api
from tests.servers import IS_3_18

LOST = {"last_seen_timestamp", "last_updated_by", "metadata"}
#: What an issue says.
SEEN = {"last_seen_timestamp": 1_900_000_000_000, "last_updated_by": "eve"}
METADATA = {"team": "risk", "Ünï": "☃"}
CATEGORIES = ["Cost ", "cost", "tone"]


@pytest.fixture
def newer(tmp_path: Path) -> tuple[str, ...]:
    """A database of MLflow 3.17 with what one of 3.18 has besides, with the place of its files."""
    path, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE issues ADD COLUMN last_seen_timestamp BIGINT")
        connection.execute("ALTER TABLE issues ADD COLUMN last_updated_by VARCHAR(255)")
        connection.execute("ALTER TABLE issues ADD COLUMN metadata TEXT")
        issue = {
            "issue_id": "iss-1",
            "experiment_id": 1,
            "name": "rude",
            "description": "It is.",
            "status": "pending",
            "created_timestamp": 1_600_000_000_000,
            "last_updated_timestamp": 1_600_000_000_001,
            "created_by": "ada",
            "categories": json.dumps(CATEGORIES),
            "metadata": json.dumps(METADATA),
            **SEEN,
        }
        places = ", ".join("?" * len(issue))
        columns = ", ".join(issue)
        connection.execute(f"INSERT INTO issues ({columns}) VALUES ({places})", [*issue.values()])
        connection.execute(
            "INSERT INTO trace_tags (request_id, key, value) "
            "SELECT request_id, 'mlflow.trace.archivalFailure', 'too large' FROM trace_info"
        )
        connection.execute(
            "UPDATE spans SET content = json_set(content, '$.kind', 'SPAN_KIND_SERVER')"
        )
    return f"sqlite:///{path}", "--source-artifacts", str(files)


def losses(said: str) -> set[str]:
    """Return what is lost of issues and spans, by a report."""
    told = [it["what"] for it in json.loads(said)["losses"]]
    return {it.split(" of ")[0] for it in told if it in LOST or it.startswith("kinds of spans")}


def test_into_a_database(typed: Typed, newer: tuple[str, ...], tmp_path: Path) -> None:
    source, *files = newer
    new = tmp_path / "new.db"
    words = (source, f"sqlite:///{new}", *files, "--target-artifacts", str(tmp_path / "copied"))
    said = typed("run", *words, "--json", code=0 if IS_3_18 else 3).stdout
    assert losses(said) == (set() if IS_3_18 else {*LOST, "kinds"})
    [(categories,)] = rows(new, "SELECT categories FROM issues")
    assert json.loads(categories) == CATEGORIES
    kinds = rows(new, "SELECT DISTINCT json_extract(content, '$.kind') FROM spans")
    assert kinds == [("SPAN_KIND_SERVER",) if IS_3_18 else (None,)]
    if IS_3_18:
        shown = "SELECT last_seen_timestamp, last_updated_by, metadata FROM issues"
        assert rows(new, shown) == [(*SEEN.values(), json.dumps(METADATA))]
        of_each = rows(new, "SELECT category_hash, category FROM issue_categories")
        assert set(of_each) == {(category_hash(it), it) for it in ("cost", "tone")}
    typed("verify", *words)


def test_into_a_server(
    typed: Typed, newer: tuple[str, ...], fresh_target: TrackingServerProcess
) -> None:
    source, *files = newer
    words = (source, fresh_target.uri, *files)
    for _ in range(2):
        said = typed("run", *words, "--json", code=0 if IS_3_18 else 3).stdout
        assert losses(said) == (set() if IS_3_18 else {*LOST, "kinds"})
    [issue] = Api(fresh_target.uri)("POST", "issues/search")["issues"]
    assert (issue["name"], issue["categories"]) == ("rude", CATEGORIES)
    if IS_3_18:
        assert issue.items() >= {**SEEN, "issue_id": "iss-1", "metadata": METADATA}.items()
    typed("verify", *words)


@pytest.mark.skipif(not IS_3_18, reason="older servers take it")
def test_neither_a_run_of_another_experiment_nor_an_id_that_is_taken_costs_an_issue(
    typed: Typed, newer: tuple[str, ...], fresh_target: TrackingServerProcess
) -> None:
    source, *files = newer
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(
            "UPDATE issues SET source_run_id = (SELECT run_uuid FROM runs WHERE experiment_id != 1)"
        )
    api = Api(fresh_target.uri)
    own = {"experiment_id": api.experiment("own"), "name": "own", "description": "It is."}
    api("POST", "issues", {**own, "issue_id": "iss-1"})
    for _ in range(2):
        said = typed("run", source, fresh_target.uri, *files, "--json", code=3).stdout
        [loss] = json.loads(said)["losses"]
        assert (loss["what"], loss["kind"]) == ("source_run_id", "issue")
    shown = {it["name"]: it for it in api("POST", "issues/search")["issues"]}
    assert shown.keys() == {"own", "rude"}
    assert shown["rude"].items() >= {**SEEN, "created_by": "ada"}.items()
    assert "source_run_id" not in shown["rude"]
    assert (shown["own"]["issue_id"], shown["rude"]["issue_id"] != "iss-1") == ("iss-1", True)


@pytest.mark.thorough
@pytest.mark.skipif(not IS_3_18, reason="older servers take what they are told")
def test_a_server_with_users_puts_in_itself_who_writes_which_is_a_loss_and_written_once(
    typed: Typed,
    newer: tuple[str, ...],
    server_factory: ServerFactory,
    tmp_path: Path,
    proxy_factory: ProxyFactory,
) -> None:
    source, *files = newer
    guarded = Guarded(start_guarded(server_factory, directory=tmp_path / "guarded"))
    proxy = proxy_factory(guarded.server.uri)
    target = guarded.uri_as(ADMIN, at=proxy.uri)
    for _ in range(2):
        proxy.clear()
        said = typed("run", source, target, *files, "--json", code=3).stdout
        lost = {it["what"] for it in json.loads(said)["losses"] if it["kind"] == "issue"}
        assert lost == {"created_by", "last_updated_by"}
    assert [it for it in proxy.writes() if "/issues" in it.path and "search" not in it.path] == []
    [issue] = guarded.call("POST", "issues/search")["issues"]
    assert (issue["created_by"], issue["metadata"]) == (ADMIN, METADATA)


@pytest.mark.thorough
@pytest.mark.skipif(not IS_3_18, reason="MLflow has the setting since 3.18")
def test_a_server_whose_files_go_past_it_says_so_by_name(
    typed: Typed,
    seeded: Seeded,
    source_server: TrackingServerProcess,
    server_factory: ServerFactory,
) -> None:
    target = server_factory(environment={"MLFLOW_ARTIFACTS_PRESIGNED_ONLY": "true"})
    words = (source_server.uri, target.uri, "--experiments", seeded.name)
    said = typed("run", *words, code=3).stdout
    assert f'run "child" ({seeded.child})' in said
    assert "without MLFLOW_ARTIFACTS_PRESIGNED_ONLY" in said
