"""The skills of a database that is written to, each whole with its versions and their files."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from threading import Lock
from typing import BinaryIO, NamedTuple

from sqlalchemy import column

from migrate.endpoints.database.reading import Database, Row, is_
from migrate.endpoints.database.stores.skills import (
    ALIASES,
    DELETED,
    MADE,
    SOURCES,
    STATES,
    TAGS,
    VERSION_TAGS,
    VERSIONS,
    SkillStore,
)
from migrate.endpoints.database.target.below import Below, tag_rows
from migrate.endpoints.database.target.files import KeptFiles, PlacedFiles
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.importing import IMPORTING
from migrate.endpoints.skill_archives import archive_of, require_safe, tree_digest, unpacked
from migrate.endpoints.stores import Found
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import AlreadyExists, EndpointError, NotFound, Refused
from migrate.objects import Loss
from migrate.outcomes import LossCode, loss_of
from migrate.records.skills import Skill, SkillFiles, SkillVersion, skill_identity

_MADE = tuple(MADE.values())
_MADE_OF = ("source_type", "source", "ref", "subpath", "digest")
_LIVING = column("status") != DELETED
_ARCHIVE = "its archive"
_LARGEST = 2_147_483_647


@dataclass(slots=True)
class _Begun:
    """What is given of a skill, until it is written as a whole: whether it is new, and versions."""

    is_new: bool = False
    versions: dict[int, SkillVersion] = field(default_factory=dict)


class _Archive(NamedTuple):
    """The files of a version, and their digest."""

    file: BinaryIO
    digest: str


class WrittenSkillStore(WrittenRecordStore[Skill], SkillStore):
    """Implements ``Store`` and ``HoldsContents``.

    Files of a version are there before its row is; rows are held, and written by ``finish`` in one
    transaction. What a version is made of is never changed. One that is not wanted any more is
    marked as deleted, as on a server, and keeps its number.
    """

    within = ("organization",)
    times = _MADE
    below = (
        Below(TAGS, "name", ("key",)),
        Below(
            VERSIONS,
            "name",
            ("version",),
            times=_MADE,
            once=_MADE_OF,
            listed=(_LIVING,),
            stays=True,
        ),
        Below(VERSION_TAGS, "name", ("version", "key")),
        Below(ALIASES, "name", ("alias",)),
    )

    def __init__(
        self, database: Database, unreadable: UnreadableObjects, files: PlacedFiles | KeptFiles
    ) -> None:
        super().__init__(database, unreadable, files)
        self._files = files
        self._lock = Lock()
        self._begun: dict[str, _Begun] = {}

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Skill]]]:
        """See ``Store.find``."""
        found = self._where() if keys is None else self.read(sorted(keys))
        return {it.identity: [Found(it)] for it in found}

    def create(self, container: str, wanted: Skill) -> Skill:
        """See ``Store.create``: without its versions; nothing is there before ``finish``."""
        _require_named(wanted)
        if self.read([wanted.identity]):
            raise AlreadyExists(self._taken(wanted.identity))
        with self._lock:
            self._begun[wanted.identity] = _Begun(is_new=True)
        return replace(wanted, versions=())

    def add(self, holder: Skill, contents: Sequence[SkillFiles]) -> Sequence[Loss]:
        """See ``HoldsContents.add``: versions that are not there yet."""
        losses: list[Loss] = []
        for files in contents:
            made, name = files.version, f"version {files.version.version}"
            with ExitStack() as stack:
                try:
                    self._require_free_number(holder, made)
                    archive = self._opened(files, stack)
                except Refused as problem:
                    losses.append(Loss(name, problem.message))
                    continue
                except EndpointError as problem:
                    losses.append(loss_of(LossCode.NOT_DELIVERED, name, problem))
                    continue
                if archive is not None:
                    made = made._replace(source=self._put(holder, made, archive), subpath="")
            with self._lock:
                self._begun.setdefault(holder.identity, _Begun()).versions[made.version] = made
        return losses

    def _require_free_number(self, holder: Skill, version: SkillVersion) -> None:
        """Raise ``Refused`` for a version that MLflow would not have made."""
        words = {"status": STATES, "source_type": ("", *SOURCES)}
        for name, known in words.items():
            if getattr(version, name) not in known:
                raise Refused(f"{name} {getattr(version, name)[:60]!r} is none of MLflow's")
        if not 0 < version.version <= _LARGEST:
            raise Refused("that is no number of a version")
        mine = self._mine({"name": holder.name, "organization": holder.organization})
        same = (is_("version", version.version), is_("status", DELETED))
        if self._written.rows(VERSIONS, ("version",), *mine, *same):
            raise Refused("it was deleted on the target, where its number is had by no other")

    def _opened(self, files: SkillFiles, stack: ExitStack) -> _Archive | None:
        """Return the archive of a version as it should be; None where no files are to be written.

        Raises ``Refused`` for an archive that is not to be unpacked, and for files that cannot stay
        where they are.
        """
        version = files.version
        if not version.is_kept:
            return None
        if self._files.keeps:
            self._files.behind_proxy(version.source, "")
            return None
        if files.open is None:
            raise EndpointError("its files are nowhere")
        file = stack.enter_context(files.open())
        require_safe(file, _ARCHIVE)
        archive = _Archive(file, tree_digest(file, _ARCHIVE))
        if version.digest and archive.digest != version.digest:
            raise EndpointError("its files are not those that its digest tells of")
        return archive

    def _put(self, holder: Skill, version: SkillVersion, archive: _Archive) -> str:
        """Write the files of a version, unless they are there; return where they are.

        The last folder has a name that no other version of any database has, and the next try the
        same (``mlflow.store.tracking.skill_registry.artifact_paths`` of 3.18.0: 32 hex digits).
        """
        told = [self._written.identity(), self._written.workspace, holder.identity]
        whole = json.dumps([*told, version.version, archive.digest]).encode()
        path = f"skills/{holder.identity}/{blake2b(whole, digest_size=16).hexdigest()}"
        source = self._files.behind_proxy(version.source, path)
        root = self._root(holder, source)
        files = self._files.store(root)
        if files.list_files():  # of a try that ended before the row was there
            with archive_of(files, root.uri) as there:
                if tree_digest(there, root.uri) == archive.digest:
                    return source
        for artifact, stream in unpacked(archive.file, _ARCHIVE):
            self._files.put(root, artifact, stream)
        return source

    def finish(
        self, copy: Skill, wanted: Skill, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``: all that was given is there at once."""
        with self._lock:
            begun = self._begun.pop(copy.identity, _Begun())
        there = copy
        if not begun.is_new:
            shown = self.read([copy.identity])
            if not shown:
                place = self._written.shown
                raise NotFound(f"{self.kind} {copy.identity} is not in {place} any more")
            [there] = shown
        whole, refused = _fitted(wanted, there, begun.versions)
        if begun.is_new:
            self._make(whole)
        else:
            self._bring(there, whole)
        return refused

    def _require_free(self, transaction: Transaction, row: Row) -> None:
        """A name is an id here, and of each workspace: the table itself refuses another."""

    def _given(self, transaction: Transaction, record: Skill) -> Row:
        with IMPORTING:
            from mlflow.store.tracking.skill_registry_search_text import build_skill_search_text

        return {"search_text": build_skill_search_text(record.name, record.description)}

    def _rows_below(
        self, transaction: Transaction, record: Skill, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        versions = [*map(_version_row, record.versions)]
        wanted = {it.version for it in record.versions}
        there = transaction.rows(VERSIONS, _COLUMNS, *self._mine(row), _LIVING)
        now = {"last_updated_at": int(time.time() * 1000), "last_updated_by": None}
        gone = [{**it, **now, "status": DELETED} for it in there if it["version"] not in wanted]
        return {
            TAGS: tag_rows(record.tags),
            VERSIONS: [*versions, *gone],
            VERSION_TAGS: [
                {"version": it.version, **tag}
                for it in record.versions
                for tag in tag_rows(it.tags)
            ],
            ALIASES: [{"alias": key, "version": it} for key, it in record.aliases.items()],
        }


def _require_named(skill: Skill) -> None:
    """Raise ``Refused`` for a name that MLflow does not take: it is one of folders too."""
    with IMPORTING:
        from mlflow.exceptions import MlflowException
        from mlflow.utils.validation import _validate_organization_name, _validate_skill_name

    try:
        _validate_skill_name(skill.name)
        _validate_organization_name(skill.organization)
    except MlflowException as problem:
        raise Refused(problem.message) from None
    if skill.identity != skill_identity(skill.organization, skill.name):
        raise Refused(f"{skill.identity[:60]!r} names no skill")


def _fitted(
    wanted: Skill, there: Skill, added: Mapping[int, SkillVersion]
) -> tuple[Skill, Sequence[Loss]]:
    """Return what can be had of a skill: versions that are there, or were added; and what not."""
    existing = {it.version: it for it in there.versions}
    versions = {}
    for it in wanted.versions:
        if it.version in existing:
            versions[it.version] = _changed(existing[it.version], it)
        elif it.version in added:
            versions[it.version] = added[it.version]
    aliases = {name: it for name, it in wanted.aliases.items() if it in versions}
    losses = [
        Loss(f"alias {name}", f"version {wanted.aliases[name]} is not there")
        for name in sorted(wanted.aliases.keys() - aliases.keys())
    ]
    in_order = tuple(versions[number] for number in sorted(versions))
    return replace(wanted, versions=in_order, aliases=aliases), losses


def _changed(there: SkillVersion, wanted: SkillVersion) -> SkillVersion:
    """Return a version as it is to be: what it is made of stays, and what is not known anew."""
    times = {name: getattr(wanted, name) for name in MADE if getattr(wanted, name) is not None}
    by = {name: getattr(wanted, name) for name in ("created_by", "last_updated_by")}
    return there._replace(status=wanted.status, tags=wanted.tags, **times, **by)


def _version_row(version: SkillVersion) -> Row:
    texts = (*_MADE_OF, "created_by", "last_updated_by")
    return {
        "version": version.version,
        "status": version.status,
        **{name: getattr(version, name) or None for name in texts},
        **{column: getattr(version, name) for name, column in MADE.items()},
    }


_COLUMNS = tuple(_version_row(SkillVersion(0)))
