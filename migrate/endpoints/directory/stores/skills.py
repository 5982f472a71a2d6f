"""Skills of an export: a record as of other kinds, and beside it an archive for each version whose
files MLflow keeps itself.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.stores.simple import Simple, SimpleStore
from migrate.endpoints.disk import (
    DAMAGED,
    files_in,
    open_file,
    partial_file,
    refuse_links,
    sync,
    writing,
)
from migrate.endpoints.skill_archives import tree_digest
from migrate.errors import DirectoryError, EndpointError
from migrate.kinds import Kind
from migrate.outcomes import Loss, LossCode, loss_of
from migrate.records.skills import Skill, SkillFiles, SkillVersion

SIMPLE = Simple(kind=Kind.SKILL, record=Skill, ident="identity", created="creation_timestamp")
_BLOCK = 1 << 20
_END = ".tar.gz"


class SkillStore(SimpleStore[Skill]):
    """Implements ``Store`` and ``HoldsContents`` for skills."""

    def __init__(self, export: Export) -> None:
        super().__init__(SIMPLE, export)

    def create(self, container: str, wanted: Skill) -> Skill:
        """See ``Store.create``: without its versions, whose files follow."""
        return super().create(container, replace(wanted, versions=()))

    def finish(
        self, copy: Skill, wanted: Skill, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``: archives of versions that are no more go last."""
        refused = super().finish(copy, wanted, mark, losses)
        numbers = {it.version for it in wanted.versions if it.is_kept}
        with self._lock:
            self._remove(self._present(copy.identity).path, numbers)
        return refused

    def delete(self, copy: Skill) -> None:
        """See ``Store.delete``."""
        with self._lock:
            stored = self._stored_in(self._folder(""), copy.identity)
            super().delete(copy)
            if stored is not None:
                self._remove(stored.path, frozenset())

    def contents(self, holder: Skill) -> Iterator[Sequence[SkillFiles]]:
        """See ``HoldsContents.contents``: its versions, in the order of their numbers.

        To open an archive raises ``DirectoryError`` where it is missing or not as it was written.
        """
        stored = self._stored_in(self._folder(""), holder.identity)
        for version in holder.versions if stored else ():
            assert stored is not None
            path = self._archive(stored.path, version.version)
            opens: Callable[[], AbstractContextManager[BinaryIO]]
            opens = partial(self._opened, path, version)
            yield [SkillFiles(version, opens if version.is_kept else None)]

    def add(self, holder: Skill, contents: Sequence[SkillFiles]) -> Sequence[Loss]:
        """See ``HoldsContents.add``; the record of a version comes with ``finish``."""
        losses: list[Loss] = []
        with self._lock:
            described = self._present(holder.identity).path
        for version, opens in contents:
            if opens is None:
                continue
            try:
                with opens() as archive:
                    self._write_archive(self._archive(described, version.version), archive)
            except EndpointError as problem:
                if isinstance(problem, DirectoryError):
                    raise
                name = f"version {version.version}"
                losses.append(loss_of(LossCode.NOT_DELIVERED, name, problem))
        return losses

    def _opened(self, path: Path, version: SkillVersion) -> BinaryIO:
        file = open_file(self._export.top, path)
        try:
            if version.digest and tree_digest(file, str(path)) != version.digest:
                raise DirectoryError(f"{path} is not as it was written", DAMAGED)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def _write_archive(self, path: Path, archive: BinaryIO) -> None:
        refuse_links(self._export.top, path)
        unfinished = partial_file(path)
        with writing(path):
            with unfinished.open("wb") as file:
                shutil.copyfileobj(archive, file, _BLOCK)
            sync(unfinished)
            os.replace(unfinished, path)
            sync(path.parent)

    def _archive(self, described: Path, number: int) -> Path:
        """Return where the files of a version are of the skill that is described there."""
        return described.with_name(f"{described.name.removesuffix('.json')}.{number}{_END}")

    def _remove(self, described: Path, kept: frozenset[int] | set[int]) -> None:
        """Remove the archives beside a skill but those of these versions."""
        name = re.escape(described.name.removesuffix(".json"))
        for path in files_in(described.parent, _END):
            found = re.fullmatch(rf"{name}\.(\d+){re.escape(_END)}", path.name)
            if found and int(found[1]) not in kept:
                with writing(path):
                    path.unlink(missing_ok=True)
