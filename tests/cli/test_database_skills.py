"""Skills go with their files from a server into databases, and from one to the next."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.cli.test_database_target import assert_same_rows
from tests.comparison_records import HAS_SKILLS
from tests.conftest import ServerFactory
from tests.endpoints.databases import assert_the_same, rows
from tests.seed_records import Api
from tests.seed_skills import FILES, FULL, OF_TEAM, change_skill, seed_skills, skills_shown, upload

pytestmark = pytest.mark.skipif(not HAS_SKILLS, reason="MLflow has skills since 3.18")
TABLES = ("skills", "skill_tags", "skill_aliases", "skill_versions", "skill_version_tags")
#: Of versions whose files MLflow keeps, where these are.
PLACES = "SELECT name, version, source FROM skill_versions WHERE source_type = 'mlflow' "


@pytest.fixture(scope="module")
def skilled(fresh_source: TrackingServerProcess) -> TrackingServerProcess:
    """A server with skills."""
    seed_skills(Api(fresh_source.uri))
    return fresh_source


def kept(server: TrackingServerProcess) -> Path:
    return server.directory / "mlflow.db"


def places(path: Path) -> list[tuple[str, int, str]]:
    return rows(path, f"{PLACES} AND status <> 'deleted' ORDER BY 1, 2")


def files_in(folder: Path) -> dict[str, str]:
    found = (it for it in folder.rglob("*") if it.is_file())
    return {it.relative_to(folder).as_posix(): it.read_text() for it in found}


def test_a_database_gives_skills_as_its_server_does(skilled: TrackingServerProcess) -> None:
    assert_the_same(skilled, ["skill"])


def test_skills_arrive_whole_and_what_changes_follows(
    typed: Typed, skilled: TrackingServerProcess, tmp_path: Path, server_factory: ServerFactory
) -> None:
    new, files = tmp_path / "new.db", tmp_path / "files"
    words = (skilled.uri, f"sqlite:///{new}", "--target-artifacts", files, "--kinds", "skills")
    typed("run", *words)
    assert_same_rows(kept(skilled), new, TABLES)
    for name, version, source in places(new):
        assert (version, name) in {(1, FULL), (4, FULL), (2, "summarize")}
        found = re.fullmatch(
            rf"mlflow-artifacts:/(skills/(@acme\.io/)?{name}/[0-9a-f]{{32}})", source
        )
        assert found
        there = files_in(files / found[1])
        assert there == {**FILES, **({"SKILL.md": "# Two\n"} if version == 4 else {})}
    before = new.read_bytes(), files_in(files)
    assert "Wrote nothing" in typed("run", *words, "--state", "another.db").stdout
    assert "no difference" in typed("verify", *words).stdout
    assert (new.read_bytes(), files_in(files)) == before

    second, more = tmp_path / "second.db", tmp_path / "more"
    ends = (f"sqlite:///{new}", f"sqlite:///{second}", "--source-artifacts", files)
    typed("run", *ends, "--target-artifacts", more, "--kinds", "skills", "--state", "s.db")
    assert_same_rows(kept(skilled), second, TABLES)
    assert {it[2] for it in places(second)}.isdisjoint(it[2] for it in places(new))
    assert (new.read_bytes(), files_in(files)) == before

    with server_factory(
        backend_store_uri=f"sqlite:///{second}", artifacts_destination=str(more)
    ) as target:
        assert skills_shown(Api(target.uri)) == skills_shown(Api(skilled.uri))
        change_skill(Api(skilled.uri))
        typed("run", *words)
        typed("run", *ends, "--target-artifacts", more, "--kinds", "skills", "--state", "s.db")
        assert skills_shown(Api(target.uri)) == skills_shown(Api(skilled.uri))
        # A number that was deleted is no other's, and the next one follows.
        numbers = f"SELECT max(version) FROM skill_versions WHERE name = '{FULL}'"
        highest = rows(second, numbers)[0][0]
        assert upload(Api(target.uri), FULL, FILES)["version"] == highest + 1
    assert rows(second, "PRAGMA foreign_key_check") == []


def test_files_stay_where_they_are_if_that_is_asked_for(
    typed: Typed, skilled: TrackingServerProcess, tmp_path: Path
) -> None:
    new = tmp_path / "new.db"
    words = (f"sqlite:///{kept(skilled)}", f"sqlite:///{new}", "--artifacts", "keep")
    words += ("--kinds", "skills")
    typed("run", *words)
    assert places(new) == places(kept(skilled))
    assert_same_rows(kept(skilled), new, TABLES)
    before = new.read_bytes()
    assert "Wrote nothing" in typed("run", *words, "--state", "another.db").stdout
    assert new.read_bytes() == before


def test_files_that_cannot_be_read_are_lost_by_name_and_come_later(
    typed: Typed, skilled: TrackingServerProcess, tmp_path: Path
) -> None:
    old, new, files = tmp_path / "old.db", tmp_path / "new.db", tmp_path / "files"
    shutil.copy(kept(skilled), old)
    files.mkdir()
    words = (f"sqlite:///{old}", f"sqlite:///{new}", "--target-artifacts", tmp_path / "copied")
    words = ("run", *words, "--kinds", "skills", "--json")
    report = json.loads(typed(*words, code=3).stdout)
    lost = {(it["id"], it["what"]): it["reason"] for it in report["losses"]}
    assert "--source-artifacts" not in str(lost)
    assert "behind the server of this source" in lost[OF_TEAM, "version 2"]
    report = json.loads(typed(*words, "--source-artifacts", files, code=3).stdout)
    lost = {(it["id"], it["what"]): it["reason"] for it in report["losses"]}
    assert "there are no files at mlflow-artifacts:/skills/@acme.io" in lost[OF_TEAM, "version 2"]
    assert rows(new, "SELECT version FROM skill_versions WHERE name = 'summarize'") == [(1,)]
    before = new.read_bytes()
    typed(*words, "--source-artifacts", files, "--state", "another.db", code=3)
    assert new.read_bytes() == before
    artifacts = skilled.directory / "artifacts"
    typed(*words, "--source-artifacts", artifacts)
    assert_same_rows(old, new, TABLES)
