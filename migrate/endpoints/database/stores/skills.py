"""The skills of a database (MLflow 3.18), each with its versions, and the files of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, BinaryIO

from migrate.endpoints.artifacts.unserved import UnservedArtifacts, below_proxy
from migrate.endpoints.database.reading import Database, Row, is_
from migrate.endpoints.database.stores.entries import grouped, pairs
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import Object, version_number, word
from migrate.endpoints.skill_archives import archive_of
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import DirectoryError, EndpointError
from migrate.kinds import Kind, Ref
from migrate.objects import ArtifactRoot
from migrate.records.skills import KEPT, Skill, SkillFiles, SkillVersion, skill_identity

TAGS, ALIASES = "skill_tags", "skill_aliases"
VERSIONS, VERSION_TAGS = "skill_versions", "skill_version_tags"
DELETED = "deleted"
#: The words that MLflow knows: with another one it lists no skill at all.
STATES = ("draft", "active", "deprecated")
SOURCES = ("git", "oci", "zip", KEPT)
#: What the columns are called that say when one was made and changed.
MADE = {"creation_timestamp": "created_at", "last_updated_timestamp": "last_updated_at"}
#: What a skill is named by, beside its name, in every table.
_ORGANIZATION = "organization"
_TEXTS = ("source", "ref", "subpath", "digest", "created_by", "last_updated_by")
_DEFAULT = "default"


class SkillStore(RecordStore[Skill]):
    """Skills; ``HoldsContents`` too, as far as that reads. Rows of deleted versions stay."""

    kind = Kind.SKILL
    record = Skill
    table = "skills"
    key = "name"
    made = "created_at"
    columns = MADE
    json = ("icons",)
    others = (_ORGANIZATION,)

    def __init__(
        self, database: Database, unreadable: UnreadableObjects, artifacts: UnservedArtifacts
    ) -> None:
        super().__init__(database, unreadable)
        self._artifacts = artifacts

    def read(self, ids: Sequence[str]) -> Sequence[Skill]:
        """See ``Store.read``."""
        named = [Skill(identity=it) for it in ids]
        return [
            skill
            for it in named
            for skill in self._where(is_("name", it.name), is_(_ORGANIZATION, it.organization))
        ]

    def _id(self, row: Row) -> str:
        return skill_identity(str(row[_ORGANIZATION] or ""), str(row[self.key]))

    def _more(self, rows: Sequence[Row]) -> More:
        tags = self._below(rows, TAGS, (_ORGANIZATION, "key", "value"))
        aliases = self._below(rows, ALIASES, (_ORGANIZATION, "alias", "version"))
        told = ("version", "status", "source_type", *_TEXTS, *MADE.values())
        versions = self._below(rows, VERSIONS, (_ORGANIZATION, *told))
        of_versions = self._below(rows, VERSION_TAGS, (_ORGANIZATION, "version", "key", "value"))

        def more(row: Row) -> Object:
            def mine(found: Mapping[Any, Sequence[Row]]) -> Sequence[Row]:
                same = row[_ORGANIZATION]
                return [it for it in found[row[self.key]] if it[_ORGANIZATION] == same]

            said = grouped(mine(of_versions), "version")
            kept = [it for it in mine(versions) if it["status"] != DELETED]
            return {
                "identity": self._id(row),
                "tags": pairs(mine(tags)),
                "aliases": {str(it["alias"]): version_number(it) for it in mine(aliases)},
                "versions": sorted(
                    (_version(it, pairs(said[it["version"]])) for it in kept),
                    key=lambda it: int(it["version"]),
                ),
            }

        return more

    def contents(self, holder: Skill) -> Iterator[Sequence[SkillFiles]]:
        """See ``HoldsContents.contents``: its versions, in the order of their numbers."""
        for version in holder.versions:
            files = partial(self._archive, holder, version) if version.is_kept else None
            yield [SkillFiles(version, files)]

    def places(self) -> Sequence[str]:
        """Return where the server keeps the files of versions, as is told of experiments."""
        mine = (is_("source_type", KEPT), *self._database.here(VERSIONS))
        found = (row["source"] for row in self._database.rows(VERSIONS, ("source",), *mine))
        return [self._place(str(it)) for it in found if it]

    @contextmanager
    def _archive(self, skill: Skill, version: SkillVersion) -> Iterator[BinaryIO]:
        root = self._root(skill, version.source, version.subpath)
        with ExitStack() as stack:
            try:
                archive = stack.enter_context(archive_of(self._artifacts.store(root), root.uri))
            except DirectoryError as problem:  # of the source, which costs this version alone
                raise EndpointError(problem.message, problem.hint) from problem
            yield archive

    def _root(self, skill: Skill, source: str, subpath: str = "") -> ArtifactRoot:
        if not below_proxy(source):
            raise EndpointError(f"its files are at {source!r}, where MLflow keeps none of a skill")
        place = "/".join(it for it in (self._place(source), subpath) if it)
        return ArtifactRoot(Ref(self.kind, skill.identity), place)

    def _place(self, source: str) -> str:
        """Return where files are that MLflow keeps: behind its server, in the workspace.

        Of one that is not the default MLflow keeps them in its folder, which it leaves out where
        it says where they are (``_get_workspace_scoped_repo_path_if_enabled`` of 3.18.0).
        """
        below, workspace = below_proxy(source) or "", self._database.workspace
        around = "" if workspace == _DEFAULT else f"workspaces/{workspace}/"
        return f"mlflow-artifacts:/{around}{below.removeprefix(around)}"


def _version(row: Row, tags: Mapping[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {name: row[name] for name in _TEXTS}
    told |= {name: row[column] for name, column in MADE.items()}
    if row["source_type"] is not None:
        told["source_type"] = word(row, "source_type", SOURCES)
    said = {name: value for name, value in told.items() if value is not None}
    return {
        "version": version_number(row),
        "status": word(row, "status", STATES),
        **said,
        "tags": tags,
    }
