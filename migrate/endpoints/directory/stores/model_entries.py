"""Registered models of an export: a directory each, whatever tool wrote it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from migrate.endpoints.directory.foreign.registry_records import versions_in
from migrate.endpoints.directory.layout import (
    MODEL_FILE,
    VERSION_FILE,
    VERSION_MODEL,
    VERSION_MODELS,
    VERSIONS,
)
from migrate.endpoints.directory.native.envelope import load_mlflow, system_block
from migrate.endpoints.directory.native.registry_files import remove_directory
from migrate.endpoints.directory.native.registry_records import version_to_json
from migrate.endpoints.directory.native.version_files import forget_version_files
from migrate.endpoints.directory.stores.entries import StoredVersion, read_model
from migrate.endpoints.disk import (
    DAMAGED,
    files_in,
    load_object,
    refuse_links,
    write_object,
    writing,
)
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind
from migrate.objects import ModelVersion, RegisteredModel


def model_entry(base: Path, folder: Path) -> ModelEntry:
    """Return what a directory of a registered model is."""
    in_files = os.path.lexists(folder / VERSIONS)
    return ModelEntry(base, folder) if in_files else ListedModelEntry(base, folder)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A directory with a model.json in which each version has a file of its own, as in ours."""

    base: Path
    folder: Path

    kind: ClassVar[Kind] = Kind.REGISTERED_MODEL

    @property
    def path(self) -> Path:
        """See ``Entry.path``."""
        return self.folder / MODEL_FILE

    @property
    def record_file(self) -> Path:
        """See ``Entry.record_file``."""
        return self.path

    def model(self) -> RegisteredModel:
        """See ``Entry.model``. May be a prompt, exported as if it were a model."""
        return read_model(self.path, self.record(), None)

    def record(self) -> Mapping[str, Any]:
        """See ``Entry.record``: without the versions, which are as of the end of an export."""
        return {**_record_in(self.base, self.path), "versions": []}

    def versions(self) -> Iterator[StoredVersion]:
        """See ``Entry.versions``."""
        return map(self._version_in, files_in(self.folder / VERSIONS, ".json"))

    def failed(self) -> Sequence[str]:
        """See ``Entry.failed``: none, since each version has a file, damaged or not."""
        return ()

    def listed(self) -> Sequence[str]:
        """See ``Entry.listed``: as of the end of the last export."""
        versions = _listed_in(self.path, _record_in(self.base, self.path))
        return [number for version in versions if (number := _number(version))]

    def files_of(self, number: str) -> Path:
        """Return where the files of a version are, or would be; ``number`` is its number."""
        alone = self.folder / VERSION_MODEL
        if os.path.lexists(alone) and os.path.lexists(self.folder / VERSION_FILE):
            return alone
        return self.folder / VERSION_MODELS / number

    def remove(self) -> None:
        """See ``Entry.remove``."""
        remove_directory(self.folder)

    def version(self, number: int) -> StoredVersion:
        """See ``Entry.version``."""
        return self._version_in(self.folder / VERSIONS / f"{number}.json")

    def write_version(self, version: ModelVersion) -> None:
        """See ``Entry.write_version``."""
        path = self.version(version.version).path
        refuse_links(self.base, path)
        content = {"model_version": version_to_json(version)}
        write_object(path, {"system": system_block(), "mlflow": content})

    def remove_version(self, number: int) -> None:
        """See ``Entry.remove_version``."""
        forget_version_files(self.files_of(str(number)))
        path = self.version(number).path
        with writing(path):
            path.unlink(missing_ok=True)

    def _version_in(self, path: Path) -> StoredVersion:
        return StoredVersion(path.stem, path, _member_loader(self.base, path))


@dataclass(frozen=True, slots=True)
class ListedModelEntry(ModelEntry):
    """One of another tool: model.json lists the versions, or one lies alone beside it."""

    def record(self) -> Mapping[str, Any]:
        """See ``Entry.record``."""
        return _record_in(self.base, self.path)

    def versions(self) -> Iterator[StoredVersion]:
        """See ``Entry.versions``."""
        listed = set()
        for position, value in enumerate(_listed_in(self.path, self.record())):
            number = _number(value) or f"number {position + 1} of the list"
            listed.add(number)
            yield StoredVersion(number, self.path, partial(_same, value))
        alone = self.folder / VERSION_FILE
        if os.path.lexists(alone):
            load = _member_loader(self.base, alone)
            try:
                number = _number(load())
            except DirectoryError:
                number = alone.name
            if number not in listed:
                yield StoredVersion(number, alone, load)

    def failed(self) -> Sequence[str]:
        """See ``Entry.failed``."""
        info = load_object(self.base, self.path).get("info")
        failed = info.get("failed_versions") if isinstance(info, dict) else None
        entries = failed if isinstance(failed, list) else []
        return [number for entry in entries if (number := _number_of_failed(entry))]

    def listed(self) -> Sequence[str]:
        """See ``Entry.listed``: none has a file of its own."""
        return ()


def _record_in(base: Path, path: Path) -> Mapping[str, Any]:
    value = load_mlflow(base, path).get("registered_model")
    if not isinstance(value, dict):
        raise DirectoryError(f"{path} describes no registered model", DAMAGED)
    return value


def _member_loader(base: Path, path: Path) -> Callable[[], Mapping[str, Any]]:
    def load() -> Mapping[str, Any]:
        value = load_mlflow(base, path).get("model_version")
        if not isinstance(value, dict):
            raise DirectoryError(f"{path} describes no version of a model", DAMAGED)
        return value

    return load


def _listed_in(path: Path, value: Mapping[str, Any]) -> Sequence[Any]:
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
