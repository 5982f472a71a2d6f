"""Skills in a database that is written to: what is not unpacked, and what is there by whose name.

Archives are what somebody else packed.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.skill_archives import tree_digest
from migrate.errors import AlreadyExists, NotPermitted, Refused
from migrate.kinds import Kind
from migrate.objects import Loss
from migrate.records.skills import KEPT, Skill, SkillFiles, SkillVersion
from tests.endpoints.databases import opened, rows, target_at
from tests.seed_skills import FILES, packed
from tests.servers import IS_3_18

pytestmark = pytest.mark.skipif(not IS_3_18, reason="MLflow has skills since 3.18")
_OUT = "may lead out of its folder"


@pytest.fixture
def target(new_database: Path) -> Iterator[DatabaseTarget]:
    with closing(target_at(new_database)) as opened_target:
        yield opened_target


def a_version(number: int = 1, archive: bytes = b"", **changes: Any) -> SkillFiles:
    """A version from git, or that whose files are in an archive."""
    version = SkillVersion(number, "active", "git", "https://h/a.git", creation_timestamp=5)
    if not archive:
        return SkillFiles(version._replace(**changes))
    source = f"mlflow-artifacts:/skills/theirs/{'0' * 32}"
    digest = tree_digest(io.BytesIO(archive), "it")
    kept = version._replace(source_type=KEPT, source=source, digest=digest)
    return SkillFiles(kept._replace(**changes), lambda: closing(io.BytesIO(archive)))


def put(target: DatabaseTarget, wanted: Skill, *files: SkillFiles) -> Sequence[Loss]:
    """Make a copy, or bring it up to date, as a task does; return what was refused."""
    store: Any = target.store(Kind.SKILL)
    wanted = dataclasses.replace(wanted, versions=tuple(it.version for it in files))
    found = store.find("", [wanted.identity])
    copy = found[wanted.identity][0].record if found else store.create("", wanted)
    there = {it.version for it in copy.versions}
    losses = [
        loss for it in files if it.version.version not in there for loss in store.add(copy, [it])
    ]
    return [*losses, *store.finish(copy, wanted, "m")]


def shown(path: Path, identity: str) -> Skill:
    store: Any = opened(path).store(Kind.SKILL)
    [skill] = store.read([identity])
    assert isinstance(skill, Skill)
    return skill


def below(folder: Path) -> dict[str, bytes]:
    return {
        str(it.relative_to(folder)): it.read_bytes() for it in folder.rglob("*") if it.is_file()
    }


def an_archive(*entries: tuple[str, bytes, str]) -> bytes:
    """An archive with entries of these names and types, which link to what is named third."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind, linked in (("SKILL.md", tarfile.REGTYPE, ""), *entries):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, linked
            entry.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(b"evil"))
    return out.getvalue()


def of_size(told: bytes) -> bytes:
    """An archive whose first file is said to be of this size."""
    header = bytearray(gzip.decompress(an_archive())[:512])
    header[124:136] = told
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + bytes(10240))


_FILE = tarfile.REGTYPE
HOSTILE: dict[str, tuple[bytes, str]] = {
    "up": (an_archive(("../../evil", _FILE, "")), _OUT),
    "up and down": (an_archive(("a/../../evil", _FILE, "")), _OUT),
    "absolute": (an_archive(("/tmp/evil", _FILE, "")), _OUT),
    "of Windows": (an_archive(("..\\evil", _FILE, "")), _OUT),
    "of a drive": (an_archive(("C:/evil", _FILE, "")), _OUT),
    "here": (an_archive(("./evil", _FILE, "")), _OUT),
    "no name": (an_archive(("a//b", _FILE, "")), _OUT),
    "a link": (an_archive(("evil", tarfile.SYMTYPE, "/etc/passwd")), "a link or a device"),
    "a link through": (
        an_archive(("up", tarfile.SYMTYPE, "../.."), ("up/evil", _FILE, "")),
        "a link or a device",
    ),
    "a hard link": (an_archive(("evil", tarfile.LNKTYPE, "SKILL.md")), "a link or a device"),
    "a device": (an_archive(("evil", tarfile.CHRTYPE, "")), "a link or a device"),
    "a pipe": (an_archive(("evil", tarfile.FIFOTYPE, "")), "a link or a device"),
    "twice": (an_archive(("SKILL.md", _FILE, "")), "is there twice"),
    "twice in Unicode": (
        an_archive(("\u00fc", _FILE, ""), ("u\u0308", _FILE, "")),
        "is there twice",
    ),
    "no archive": (b"evil", "is no archive"),
    "of no size": (of_size(b"\x80" + b"\xff" * 11), "is no archive"),
    "cut": (packed(FILES)[:-30], "is no archive"),
    "empty": (gzip.compress(b""), "is no archive"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_is_not_to_be_unpacked_costs_its_version_by_name(
    target: DatabaseTarget, new_database: Path, tmp_path: Path, name: str
) -> None:
    archive, says = HOSTILE[name]
    before = sorted(it for it in tmp_path.rglob("*"))
    evil = SkillFiles(
        a_version(2, packed(FILES)).version._replace(digest=""),
        lambda: closing(io.BytesIO(archive)),
    )
    [loss] = put(target, Skill(identity="review"), a_version(1), evil, a_version(3))
    assert loss.what == "version 2"
    assert says in loss.reason
    assert sorted(it for it in tmp_path.rglob("*") if "new.db" not in it.name) == [
        it for it in before if "new.db" not in it.name
    ]
    assert [it.version for it in shown(new_database, "review").versions] == [1, 3]


def test_other_files_than_the_digest_tells_of_are_not_written(
    target: DatabaseTarget, new_database: Path, tmp_path: Path
) -> None:
    [loss] = put(target, Skill(identity="review"), a_version(1, packed(FILES), digest="ab" * 32))
    assert (loss.what, "digest" in loss.reason) == ("version 1", True)
    assert not (tmp_path / "artifacts").exists()
    assert shown(new_database, "review").versions == ()


@pytest.mark.parametrize("changes", [{"version": 0}, {"status": "odd"}, {"source_type": "ftp"}])
def test_what_mlflow_could_not_list_is_not_written(
    target: DatabaseTarget, new_database: Path, changes: dict[str, Any]
) -> None:
    [loss] = put(target, Skill(identity="review"), a_version(**changes))
    assert loss.what == f"version {changes.get('version', 1)}"
    assert rows(new_database, "SELECT count(*) FROM skill_versions") == [(0,)]


@pytest.mark.parametrize(
    "identity", ["../evil", "@../evil", "a/b", "A", "@acme/../evil", "", "@/a"]
)
def test_a_name_that_mlflow_does_not_take_is_refused(
    target: DatabaseTarget, new_database: Path, identity: str
) -> None:
    store: Any = target.store(Kind.SKILL)
    with pytest.raises(Refused):
        store.create("", Skill(identity=identity))


def test_files_are_there_before_the_row_is_and_are_written_once(
    target: DatabaseTarget, new_database: Path, tmp_path: Path
) -> None:
    store: Any = target.store(Kind.SKILL)
    wanted, files = Skill(identity="@acme/review"), a_version(1, packed(FILES))
    copy = store.create("", wanted)
    assert store.add(copy, [files]) == []
    written = below(tmp_path / "artifacts")
    assert {it.rpartition("/")[2] for it in written} == {"SKILL.md", "run.py", "ü.txt"}
    assert rows(new_database, "SELECT count(*) FROM skills") == [(0,)]
    # The next try finds them, and what an earlier one left by half is written again.
    sent = target.artifacts.transferred
    assert put(target, wanted, files) == []
    assert target.artifacts.transferred == sent
    [version] = shown(new_database, "@acme/review").versions
    place = tmp_path / "artifacts" / version.source.removeprefix("mlflow-artifacts:/")
    assert below(place) == {name: text.encode() for name, text in FILES.items()}
    store.delete(shown(new_database, "@acme/review"))
    (place / "SKILL.md").write_bytes(b"half")
    assert put(target, wanted, files) == []
    assert below(place) == {name: text.encode() for name, text in FILES.items()}
    assert shown(new_database, "@acme/review").versions == (version,)
    with pytest.raises(AlreadyExists):
        store.create("", wanted)


def test_no_link_among_the_folders_of_skills_leads_files_away(
    target: DatabaseTarget, new_database: Path, tmp_path: Path
) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "away").mkdir()
    (tmp_path / "artifacts/skills").symlink_to(tmp_path / "away")
    with pytest.raises(NotPermitted, match="not written to"):
        put(target, Skill(identity="review"), a_version(1, packed(FILES)))
    assert below(tmp_path / "away") == {}
    assert rows(new_database, "SELECT count(*) FROM skills") == [(0,)]


def test_skills_of_one_name_in_two_organizations_are_two(
    target: DatabaseTarget, new_database: Path
) -> None:
    names = ("review", "@acme/review", "@other/review")
    for number, name in enumerate(names, 1):
        wanted = Skill(identity=name, description=name, tags={"of": name}, aliases={"it": number})
        assert put(target, wanted, a_version(number, tags={"in": name})) == []
    for number, name in enumerate(names, 1):
        skill = shown(new_database, name)
        assert (skill.description, skill.tags, skill.aliases) == (
            name,
            {"of": name},
            {"it": number},
        )
        assert [(it.version, it.tags) for it in skill.versions] == [(number, {"in": name})]
    text = "SELECT search_text FROM skills WHERE organization = 'acme'"
    assert rows(new_database, text) == [("review @acme/review",)]
    store: Any = target.store(Kind.SKILL)
    assert store.find("").keys() == set(names)
    store.delete(shown(new_database, "@acme/review"))
    for table in ("skills", "skill_tags", "skill_aliases", "skill_versions", "skill_version_tags"):
        there = rows(new_database, f"SELECT organization FROM {table} ORDER BY 1")
        assert there == [("",), ("other",)]


def test_a_version_that_is_deleted_keeps_its_number(
    target: DatabaseTarget, new_database: Path
) -> None:
    wanted = Skill(identity="review", aliases={"last": 2})
    first, second = a_version(1), a_version(2, packed(FILES))
    assert put(target, wanted, first, second) == []
    [loss] = put(target, wanted, first)
    assert loss.what == "alias last"
    states = "SELECT version, status FROM skill_versions ORDER BY 1"
    assert rows(new_database, states) == [(1, "active"), (2, "deleted")]
    assert rows(new_database, "SELECT * FROM skill_aliases") == []
    losses = put(target, wanted, first, second)
    assert [it.what for it in losses] == ["version 2", "alias last"]
    assert "deleted on the target" in losses[0].reason
    before = new_database.read_bytes()
    put(target, wanted, first, second)
    assert new_database.read_bytes() == before


def test_what_a_version_is_made_of_is_never_changed(
    target: DatabaseTarget, new_database: Path
) -> None:
    wanted = Skill(identity="review")
    assert put(target, wanted, a_version(1)) == []
    changed = a_version(1, source="https://h/b.git", status="deprecated", tags={"a": "b"})
    assert put(target, wanted, changed) == []
    [version] = shown(new_database, "review").versions
    assert version == changed.version._replace(
        source="https://h/a.git", last_updated_timestamp=version.last_updated_timestamp
    )
