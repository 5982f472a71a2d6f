"""Prompts of an export: directories of their versions, and in ours a file about each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from migrate.endpoints.directory.foreign.members import Members
from migrate.endpoints.directory.foreign.registry_records import aliases_in, registry_version_in
from migrate.endpoints.directory.layout import PROMPT_FILE, PROMPT_VERSION
from migrate.endpoints.directory.native.envelope import load_mlflow, system_block
from migrate.endpoints.directory.native.registry_files import remove_directory
from migrate.endpoints.directory.native.registry_records import prompt_to_json
from migrate.endpoints.directory.stores.entries import StoredVersion, read_model
from migrate.endpoints.directory.unreadable import half_made
from migrate.endpoints.disk import (
    DAMAGED,
    refuse_links,
    subdirectories,
    sync,
    write_object,
    writing,
)
from migrate.endpoints.shapes import integer, stored_id
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind
from migrate.objects import IS_PROMPT_TAG, ModelVersion, RegisteredModel

OUR_PROMPT = ".prompt.json"


class PromptIndex:
    """The names of the directories of all versions of prompts, by what they begin with.

    Listed again when something was added or removed since, which the directory's own time of
    change says; where ``kept_by_writer``, whoever writes says so by ``add`` and ``forget``.
    """

    def __init__(self, prompts: Path, *, kept_by_writer: bool) -> None:
        self._prompts = prompts
        self._kept_by_writer = kept_by_writer
        self._listed: tuple[int, dict[str, list[Path]]] | None = None

    def forget(self) -> None:
        """List again the next time."""
        self._listed = None

    def add(self, folder: Path) -> None:
        """Add the directory of a version that was made."""
        listed = self._listed
        if listed is not None:
            _add_folder(listed[1], folder)

    def by_stem(self) -> Mapping[str, Sequence[Path]]:
        """Return them. Raises ``DirectoryError``."""
        is_seen_to_change = not self._kept_by_writer and self._prompts.is_dir()
        changed = self._prompts.stat().st_mtime_ns if is_seen_to_change else -1
        listed = self._listed
        if listed is None or listed[0] != changed:
            found: dict[str, list[Path]] = {}
            for path in subdirectories(self._prompts):
                _add_folder(found, path)
            listed = self._listed = changed, found
        return listed[1]


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """The directories of a prompt's versions, and in ours a file about the prompt itself."""

    base: Path
    stem: Path  # of all of their names
    index: PromptIndex

    kind: ClassVar[Kind] = Kind.PROMPT

    @property
    def path(self) -> Path:
        """See ``Entry.path``."""
        ours = self.record_file
        return ours if os.path.lexists(ours) else next(iter(self.folders()), self.stem)

    @property
    def record_file(self) -> Path:
        """See ``Entry.record_file``."""
        return prompt_file(self.stem)

    def model(self) -> RegisteredModel:
        """See ``Entry.model``; other tools export the versions of a prompt only."""
        value = self.record()
        if value:
            return read_model(self.record_file, value, Kind.PROMPT)
        return self._from_versions()

    def versions(self) -> Iterator[StoredVersion]:
        """See ``Entry.versions``."""
        return map(self._version_in, self.folders())

    def record(self) -> Mapping[str, Any]:
        """See ``Entry.record``; other tools write none."""
        path = self.record_file
        if not os.path.lexists(path):
            return {}
        value = load_mlflow(self.base, path).get("registered_model")
        if not isinstance(value, dict) or not value:
            raise DirectoryError(f"{path} describes no prompt", DAMAGED)
        return value

    def failed(self) -> list[str]:
        """See ``Entry.failed``: no tool tells of prompts which ones failed."""
        return []

    def listed(self) -> list[str]:
        """See ``Entry.listed``: no tool lists the versions of a prompt."""
        return []

    def folders(self) -> Sequence[Path]:
        """Return the directories of its versions."""
        return self.index.by_stem().get(self.stem.name, ())

    def remove(self) -> None:
        """See ``Entry.remove``."""
        for folder in self.folders():
            remove_directory(folder)
        with writing(self.record_file):
            self.record_file.unlink(missing_ok=True)
        self.index.forget()

    def version(self, number: int) -> StoredVersion:
        """See ``Entry.version``."""
        return self._version_in(self.stem.with_name(f"{self.stem.name}_v{number}"))

    def write_version(self, version: ModelVersion) -> None:
        """See ``Entry.write_version``."""
        path = self.version(version.version).path
        refuse_links(self.base, path)
        with writing(path.parent):
            path.parent.mkdir(exist_ok=True)
            sync(path.parent.parent)
        self.index.add(path.parent)
        write_object(path, {"system": system_block(), "mlflow": prompt_to_json(version)})

    def remove_version(self, number: int) -> None:
        """See ``Entry.remove_version``."""
        remove_directory(self.version(number).path.parent)
        self.index.forget()

    def _version_in(self, folder: Path) -> StoredVersion:
        number = folder.name.removeprefix(f"{self.stem.name}_v")
        path = folder / PROMPT_FILE
        return StoredVersion(number, path, partial(_read_prompt, self.base, path))

    def _from_versions(self) -> RegisteredModel:
        versions = []
        problem = DirectoryError(f"{self.stem} is missing", DAMAGED)
        for stored in self.versions():
            try:
                versions.append(stored.load())
            except DirectoryError as error:
                problem = error
        if not versions:
            raise problem
        try:
            created = [integer(version, "creation_timestamp") for version in versions]
            return RegisteredModel(
                name=stored_id(versions[0], "name"),
                kind=Kind.PROMPT,
                tags={IS_PROMPT_TAG: "true"},
                aliases=aliases_in({"versions": versions}, Members()),
                creation_time=min((time for time in created if time), default=None),
            )
        except Malformed as error:
            raise DirectoryError(f"{self.stem} is no prompt: {error}", DAMAGED) from error


def _add_folder(found: dict[str, list[Path]], folder: Path) -> None:
    match = PROMPT_VERSION.match(folder.name)
    if match and not folder.name.startswith("."):
        folders = found.setdefault(match[1], [])
        if folder not in folders:
            folders.append(folder)


def prompt_file(stem: Path) -> Path:
    """Return the file of ours about a prompt, whose versions' directories begin with ``stem``."""
    return stem.with_name(stem.name + OUR_PROMPT)


def _read_prompt(base: Path, path: Path) -> Mapping[str, Any]:
    if not os.path.lexists(path):
        raise half_made(path.parent)
    value = load_mlflow(base, path)
    try:
        return registry_version_in(value)
    except Malformed as error:
        raise DirectoryError(f"{path} describes no prompt: {error}", DAMAGED) from error
