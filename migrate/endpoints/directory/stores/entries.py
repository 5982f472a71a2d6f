"""What a registered model or prompt of an export is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from migrate.endpoints.directory.foreign.registry_records import tidied_model, tidied_version
from migrate.endpoints.directory.native.registry_records import model_from_json, version_from_json
from migrate.endpoints.disk import DAMAGED
from migrate.endpoints.shapes import as_object, stored_id
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind
from migrate.objects import ModelVersion, RegisteredModel


class StoredVersion(NamedTuple):
    """A version on disk: its number as far as the name tells, its file, and what reads it."""

    number: str
    path: Path
    load: Callable[[], Mapping[str, Any]]


class Entry(Protocol):
    """A registered model or a prompt on disk. Methods raise ``DirectoryError``."""

    @property
    def kind(self) -> Kind:
        """What it is by its place; what says of itself to be a prompt may lie among models."""
        ...

    @property
    def path(self) -> Path:
        """What is named when it cannot be read."""
        ...

    @property
    def record_file(self) -> Path:
        """The file of ours about it, which may not be there."""
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

    def remove(self) -> None:
        """Remove it with all of its versions."""
        ...

    def version(self, number: int) -> StoredVersion:
        """Return a version of ours, whose file may not be there."""
        ...

    def write_version(self, version: ModelVersion) -> None:
        """Write a version in place of the one that is there."""
        ...

    def remove_version(self, number: int) -> None:
        """Remove a version with its files."""
        ...


def read_model(path: Path, value: Mapping[str, Any], kind: Kind | None) -> RegisteredModel:
    """Read what describes a registered model, or a prompt where ``kind`` says so.

    Raises ``DirectoryError``.
    """
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
