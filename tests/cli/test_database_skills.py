"""Skills go with their files from a server into databases, and from one to the next."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.cli.test_database_target import assert_same_rows
from tests.cli.test_workspaces import HEADER, WITH_WORKSPACES
from tests.conftest import ServerFactory
from tests.endpoints.databases import assert_the_same, rows
from tests.seed_records import Api, Json
from tests.seed_skills import (
    FILES,
    FULL,
    OF_TEAM,
    change_skill,
    packed,
    seed_skills,
    skills_shown,
    upload,
)
from tests.servers import IS_3_18

pytestmark = pytest.mark.skipif(not IS_3_18, reason="MLflow has skills since 3.18")
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
        typed("run", *words, "--repair")  # takes off what is there no more
        onwards = ("--target-artifacts", more, "--kinds", "skills", "--state", "s.db")
        typed("run", *ends, *onwards, "--repair")
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


@pytest.mark.thorough
def test_in_a_workspace_files_are_where_its_server_looks(
    typed: Typed, tmp_path: Path, server_factory: ServerFactory
) -> None:
    old, new = (server_factory(environment=WITH_WORKSPACES) for _ in range(2))
    for server, team in ((old, "team-a"), (new, "team-b")):
        Api(server.uri)("POST", "workspaces", {"name": team})
    made, content = InTeam(old.uri, "team-a"), {"SKILL.md": "# In a team"}
    made("POST", "skills", {"name": FULL})
    form = {"metadata": (None, "{}", "application/json"), "content": ("c", packed(content))}
    answer = made.send("POST", f"api/3.0/mlflow/skills/{FULL}/versions", files=form)
    assert answer.ok, answer.text
    files = [server.directory / "artifacts" for server in (old, new)]
    words = (f"sqlite:///{kept(old)}", f"sqlite:///{kept(new)}", "--source-artifacts", files[0])
    words += ("--target-artifacts", files[1], "--source-workspace", "team-a")
    words += ("--target-workspace", "team-b", "--kinds", "skills")
    typed("run", *words)
    shown = InTeam(new.uri, "team-b")
    [version] = shown("GET", f"skills/{FULL}/versions")["skill_versions"]
    place = version["source"].removeprefix("mlflow-artifacts:/")
    assert place.startswith(f"skills/{FULL}/")
    delivered = shown.send("GET", f"api/2.0/mlflow-artifacts/artifacts/{place}/SKILL.md")
    assert delivered.text == content["SKILL.md"]
    # From a server, too, which says not in which folder of its own they are.
    arrived = (old.uri, f"sqlite:///{tmp_path / 'another.db'}", "--target-artifacts", tmp_path)
    typed("run", *arrived, "--source-workspace", "team-a", "--kinds", "skills", "--state", "s.db")
    [(name, number, _)] = places(tmp_path / "another.db")
    assert (name, number) == (FULL, 1)


class InTeam(Api):
    """The REST API of a server, in one workspace of it."""

    def __init__(self, uri: str, team: str) -> None:
        super().__init__(uri)
        self._header = {HEADER: team}

    def send(self, method: str, path: str, **sent: Any) -> requests.Response:
        url = f"{self.uri}/{path}"
        return requests.request(method, url, headers=self._header, timeout=60, **sent)

    def __call__(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, api: str = "3.0"
    ) -> Json:
        answer = self.send(method, f"api/{api}/mlflow/{path}", **({"json": body} if body else {}))
        assert answer.ok, answer.text
        found: Json = answer.json()
        return found
