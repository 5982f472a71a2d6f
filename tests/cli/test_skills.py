"""Skills on their way: their files, and the numbers of their versions (MLflow 3.18)."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Faults, answer, every_nth, lose_response, on_nth
from tests.seed_records import Api
from tests.seed_skills import FILES, FULL, from_git, packed, seed_skills, skills_shown, upload
from tests.servers import IS_3_18

pytestmark = pytest.mark.skipif(not IS_3_18, reason="the installed MLflow has no skills")

ONLY = ("--kinds", "skills")


@pytest.fixture(scope="module")
def source(fresh_source: TrackingServerProcess) -> Api:
    """Read only."""
    api = Api(fresh_source.uri)
    seed_skills(api)
    return api


@pytest.fixture
def target(fresh_target: TrackingServerProcess) -> Api:
    return Api(fresh_target.uri)


def numbers(api: Api, skill: str = FULL) -> list[int]:
    found = api("GET", f"skills/{skill}/versions")["skill_versions"]
    return sorted(it["version"] for it in found)


def test_by_way_of_an_export_they_are_the_same(
    typed: Typed, source: Api, target: Api, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    typed("run", source.uri, export, *ONLY)
    typed("verify", source.uri, export, *ONLY)
    [archive] = export.rglob("review-code.skill.1.tar.gz")
    with tarfile.open(archive) as opened:
        assert sorted(opened.getnames()) == sorted(FILES)
    assert "Wrote nothing" in typed("run", source.uri, export, *ONLY).stdout
    typed("run", export, target.uri, *ONLY)
    assert skills_shown(target) == skills_shown(source)
    typed("verify", export, target.uri, *ONLY)


@pytest.mark.parametrize("damage", ["gone", "cut", "another"])
def test_an_archive_that_is_damaged_costs_its_version_by_name(
    typed: Typed, source: Api, target: Api, tmp_path: Path, damage: str
) -> None:
    export = tmp_path / "export"
    typed("run", source.uri, export, *ONLY)
    [archive] = export.rglob("review-code.skill.1.tar.gz")
    match damage:
        case "gone":
            archive.unlink()
        case "cut":
            archive.write_bytes(archive.read_bytes()[:-40])
        case "another":
            archive.write_bytes(packed({"SKILL.md": "another"}))
    ended = json.loads(typed("run", export, target.uri, *ONLY, "--json", code=3).stdout)
    [loss] = [it for it in ended["losses"] if "version 1" in str(it)]
    assert "review-code.skill.1.tar.gz" in str(loss)
    # The others have their own numbers all the same.
    assert numbers(target) == [3, 4]


def test_files_that_the_source_does_not_give_cost_their_version_and_no_other(
    typed: Typed, source: Api, target: Api, proxy_factory: ProxyFactory
) -> None:
    proxy = proxy_factory(source.uri)
    listing = ("GET", "/mlflow-artifacts/artifacts$")
    proxy.faults = Faults(on_nth(listing, 1, answer(403)))
    ends = (proxy.uri, target.uri, *ONLY, "--serial")
    ended = json.loads(typed("run", *ends, "--json", code=3).stdout)
    assert len([it for it in ended["losses"] if "not delivered" in str(it)]) == 1
    assert numbers(target) == [3, 4]
    proxy.faults = Faults()
    again = json.loads(typed("run", *ends, "--json", code=3).stdout)
    # A number that was passed over is not given again.
    assert "used up" in str(again["losses"])


def test_creates_without_an_answer_make_nothing_twice(
    typed: Typed, source: Api, target: Api, proxy_factory: ProxyFactory
) -> None:
    proxy = proxy_factory(target.uri)
    creates = ("POST", "/(skills|versions)$")
    proxy.faults = Faults(every_nth(creates, 3, lose_response()))
    typed("run", source.uri, proxy.uri, *ONLY)
    assert skills_shown(target) == skills_shown(source)


def test_a_number_that_the_target_has_used_up_is_told_and_later_ones_are_kept(
    typed: Typed, source: Api, target: Api
) -> None:
    api = target
    api("POST", "skills", {"name": FULL})
    for _ in range(3):
        from_git(api, FULL, "main", status="draft")
    for number in (1, 2, 3):
        api("DELETE", f"skills/{FULL}/versions/{number}")
    ended = json.loads(typed("run", source.uri, target.uri, *ONLY, "--json", code=3).stdout)
    assert "kept" in str(ended["losses"]) or "used up" in str(ended["losses"])


def test_what_the_target_has_itself_is_left_alone(typed: Typed, source: Api, target: Api) -> None:
    target("POST", "skills", {"name": FULL, "description": "another"})
    upload(target, FULL, {"SKILL.md": "mine"}, status="active")
    ended = json.loads(typed("run", source.uri, target.uri, *ONLY, "--json", code=3).stdout)
    assert "is kept, which differs in" in str(ended["losses"])
    assert numbers(target) == [1]
    assert target("GET", f"skills/{FULL}")["description"] == "another"


def test_what_was_added_on_the_target_stays_and_a_number_that_is_taken_is_lost_by_name(
    typed: Typed, own_source: TrackingServerProcess, target: Api
) -> None:
    here = Api(own_source.uri)
    here("POST", "skills", {"name": "tidy"})
    from_git(here, "tidy", "one")
    ends = (here.uri, target.uri)
    typed("run", *ends, *ONLY)
    from_git(target, "tidy", "mine")
    target("POST", "skills/tidy/tags", {"key": "mine", "value": "1"})
    target("POST", "skills/tidy/aliases", {"alias": "mine", "version": 2})
    target("PATCH", "skills/tidy", {"description": "said here"})
    before = skills_shown(target)
    assert "Wrote nothing" in typed("run", *ends, *ONLY).stdout
    assert skills_shown(target) == before

    for ref in ("two", "three"):
        from_git(here, "tidy", ref)
    report = json.loads(typed("run", *ends, *ONLY, "--json", code=3).stdout)
    assert [it["what"] for it in report["losses"]] == ["version 2"]
    [shown] = skills_shown(target)
    assert [it["ref"] for it in shown["versions"]] == ["one", "mine", "three"]
    assert (shown["description"], [*shown["tags"]]) == ("said here", ["mine"])
    assert [it["alias"] for it in shown["aliases"]] == ["mine"]
    assert "Wrote nothing" in typed("run", *ends, *ONLY, code=3).stdout
    typed("run", *ends, *ONLY, "--repair", code=3)
    [shown] = skills_shown(target)
    assert (shown.get("description"), shown.get("tags", {}), shown["aliases"]) == (None, {}, [])
