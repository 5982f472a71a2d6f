"""One registered model or prompt of an export, and its versions, whatever tool wrote them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from migrate.endpoints.directory.foreign.members import Members
from migrate.endpoints.directory.foreign.registry_records import (
    aliases_in,
    registry_version_in,
    tidied_model,
    tidied_version,
    versions_in,
)
from migrate.endpoints.directory.layout import (
    MODEL_FILE,
    PROMPT_FILE,
    PROMPT_VERSION,
    VERSION_FILE,
    VERSION_MODEL,
    VERSION_MODELS,
    VERSIONS,
)
from migrate.endpoints.directory.native.envelope import load_mlflow
from migrate.endpoints.directory.native.registry_records import (
    model_from_json,
    version_from_json,
)
from migrate.endpoints.directory.unreadable import (
    half_made,
)
from migrate.endpoints.disk import DAMAGED, files_in, load_object, subdirectories
from migrate.endpoints.shapes import as_object, integer, stored_id
from migrate.errors import DirectoryError, Malformed
from migrate.objects import (
    IS_PROMPT_TAG,
    Kind,
    ModelVersion,
    RegisteredModel,
)

OUR_PROMPT = ".prompt.json"


class StoredVersion(NamedTuple):
    """A version on disk: its number as far as the name tells, its file, and what reads it."""

    told: str
    path: Path
    load: Callable[[], Mapping[str, Any]]


class Entry(Protocol):
    """A registered model or a prompt on disk. Methods raise ``DirectoryError``."""

    @property
    def path(self) -> Path:
        """What is named when it cannot be read."""
        ...

    def model(self) -> RegisteredModel:
        """Read it."""
        ...

    def versions(self) -> Iterator[StoredVersion]:
        """Yield its versions, in no promised order."""
        ...

    def failed(self) -> Sequence[str]:
        """Return the numbers of versions that failed when it was exported."""
        ...

    def listed(self) -> Sequence[str]:
        """Return the numbers of versions that are listed and have files of their own."""
        ...

    def record(self) -> Mapping[str, Any]:
        """Return what is written of it, without its versions where those have files."""
        ...


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A directory with a model.json; in ours, each version has a file of its own."""

    base: Path
    folder: Path

    @property
    def path(self) -> Path:
        """See ``Entry.path``."""
        return self.folder / MODEL_FILE

    def model(self) -> RegisteredModel:
        """See ``Entry.model``. May be a prompt, exported as if it were a model."""
        return _read_model(self.path, self.record(), None)

    def versions(self) -> Iterator[StoredVersion]:
        """See ``Entry.versions``."""
        if self._has_files():
            for path in files_in(self.folder / VERSIONS, ".json"):
                yield StoredVersion(path.stem, path, _member_loader(self.base, path))
            return
        told = set()
        for position, value in enumerate(_listed_versions(self.path, self.record())):
            number = _number(value) or f"number {position + 1} of the list"
            told.add(number)
            yield StoredVersion(number, self.path, partial(_same, value))
        alone = self.folder / VERSION_FILE
        if os.path.lexists(alone):
            load = _member_loader(self.base, alone)
            try:
                number = _number(load())
            except DirectoryError:
                number = alone.name
            if number not in told:
                yield StoredVersion(number, alone, load)

    def failed(self) -> list[str]:
        """See ``Entry.failed``; ours has a file for each version, damaged or not."""
        if self._has_files():
            return []
        info = load_object(self.base, self.path).get("info")
        failed = info.get("failed_versions") if isinstance(info, dict) else None
        entries = failed if isinstance(failed, list) else []
        return [number for entry in entries if (number := _number_of_failed(entry))]

    def listed(self) -> list[str]:
        """See ``Entry.listed``: as of the end of the last export."""
        if not self._has_files():
            return []
        value = load_mlflow(self.base, self.path).get("registered_model")
        versions = _listed_versions(self.path, value) if isinstance(value, dict) else []
        return [number for version in versions if (number := _number(version))]

    def files_of(self, number: str) -> Path:
        """Return where the files of a version are, or would be; ``number`` is its number."""
        alone = self.folder / VERSION_MODEL
        if os.path.lexists(alone) and os.path.lexists(self.folder / VERSION_FILE):
            return alone
        return self.folder / VERSION_MODELS / number

    def _has_files(self) -> bool:
        return os.path.lexists(self.folder / VERSIONS)

    def record(self) -> Mapping[str, Any]:
        """See ``Entry.record``."""
        value = load_mlflow(self.base, self.path).get("registered_model")
        if not isinstance(value, dict):
            raise DirectoryError(f"{self.path} describes no registered model", DAMAGED)
        if self._has_files():
            value = {**value, "versions": []}  # as of the end of the last export
        return value


class PromptIndex:
    """The names of the directories of all versions of prompts, by what they begin with.

    Listed again when something was added or removed since, which the directory's own time of
    change tells; where ``told``, whoever writes tells by ``add`` and ``forget``.
    """

    def __init__(self, prompts: Path, *, told: bool) -> None:
        self._prompts = prompts
        self._told = told
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
        there = not self._told and self._prompts.is_dir()
        changed = self._prompts.stat().st_mtime_ns if there else -1
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

    @property
    def path(self) -> Path:
        """See ``Entry.path``."""
        ours = prompt_file(self.stem)
        return ours if os.path.lexists(ours) else next(iter(self.folders()), self.stem)

    def model(self) -> RegisteredModel:
        """See ``Entry.model``; other tools export the versions of a prompt only."""
        value = self.record()
        if value:
            return _read_model(prompt_file(self.stem), value, Kind.PROMPT)
        return self._from_versions()

    def versions(self) -> Iterator[StoredVersion]:
        """See ``Entry.versions``."""
        for folder in self.folders():
            told = folder.name.removeprefix(f"{self.stem.name}_v")
            path = folder / PROMPT_FILE
            yield StoredVersion(told, path, partial(_read_prompt, self.base, path))

    def record(self) -> Mapping[str, Any]:
        """See ``Entry.record``; other tools write none."""
        path = prompt_file(self.stem)
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


def prompt_version_directory(stem: Path, number: int | str) -> Path:
    """Return where a version of a prompt is."""
    return stem.with_name(f"{stem.name}_v{number}")


def read_version_file(base: Path, path: Path, model: RegisteredModel) -> ModelVersion:
    """Read a version that has a file of its own, as in ours. Raises ``DirectoryError``."""
    if path.name == PROMPT_FILE:
        return read_version(path, lambda: _read_prompt(base, path), model)
    return read_version(path, _member_loader(base, path), model)


def _read_model(path: Path, value: Mapping[str, Any], kind: Kind | None) -> RegisteredModel:
    try:
        value, lost = tidied_model(value)
        return replace(model_from_json(value, kind), losses=lost)
    except Malformed as error:
        raise DirectoryError(f"{path} describes no {kind or 'model'}: {error}", DAMAGED) from error


def read_version(
    path: Path, load: Callable[[], Mapping[str, Any]], model: RegisteredModel
) -> ModelVersion:
    """Read a version of ``model``. Raises ``DirectoryError``."""
    try:
        value = as_object(load(), "what it lists")
        name = stored_id(value, "name", default=model.name)
        value, lost = tidied_version(value)
        version = replace(version_from_json(value, model), losses=lost)
    except Malformed as error:
        raise DirectoryError(f"{path} describes no version: {error}", DAMAGED) from error
    if name != model.name:
        raise DirectoryError(f"{path} is a version of {name!r}, not of {model.name!r}", DAMAGED)
    return version


def _read_prompt(base: Path, path: Path) -> Mapping[str, Any]:
    if not os.path.lexists(path):
        raise half_made(path.parent)
    value = load_mlflow(base, path)
    try:
        return registry_version_in(value)
    except Malformed as error:
        raise DirectoryError(f"{path} describes no prompt: {error}", DAMAGED) from error


def _member_loader(base: Path, path: Path) -> Callable[[], Mapping[str, Any]]:
    def load() -> Mapping[str, Any]:
        value = load_mlflow(base, path).get("model_version")
        if not isinstance(value, dict):
            raise DirectoryError(f"{path} describes no version of a model", DAMAGED)
        return value

    return load


def _listed_versions(path: Path, value: Mapping[str, Any]) -> Sequence[Any]:
    try:
        return versions_in(value)
    except Malformed as error:
        raise DirectoryError(f"{path} has no list of versions: {error}", DAMAGED) from error


def _same(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return value


def _number(value: object) -> str:
    return str(value.get("version", "")) if isinstance(value, dict) else ""


def _number_of_failed(entry: object) -> str:
    version = entry.get("version") if isinstance(entry, dict) else None
    return _number(version) if isinstance(version, dict) else str(version or "")
