"""Reads the registered models, prompts and versions of an export, whatever tool wrote them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from migrate.endpoints.directory.disk import DAMAGED, load_object
from migrate.endpoints.directory.layout import (
    ARTIFACTS,
    LOGGED_MODEL_FILE,
    MODEL_FILE,
    MODELS_FILE,
    PROMPT_FILE,
    RUN_FILE,
    VERSION_FILE,
    VERSIONS,
    directory_name,
    registry_names,
)
from migrate.endpoints.directory.opening import PROMPT_VERSION, RegistryPlaces
from migrate.endpoints.directory.records import MALFORMED
from migrate.endpoints.directory.registry_records import (
    aliases_from_json,
    model_from_json,
    registry_version_in,
    version_from_json,
    versions_in,
)
from migrate.endpoints.directory.run_file import load_mlflow
from migrate.endpoints.directory.scanning import files_in, subdirectories
from migrate.endpoints.directory.unreadable import (
    UnreadableObjects,
    half_made,
    held_twice,
    not_there,
)
from migrate.errors import DirectoryError
from migrate.objects import (
    IS_PROMPT_TAG,
    VERSION_OF,
    Kind,
    ModelVersion,
    Ref,
    RegisteredModel,
)

#: What a registered model's directory holds that is not a registered model.
_NOT_MODELS = frozenset({ARTIFACTS, VERSIONS, "version_models"})
_NESTED = 16  # names with slashes make nested directories; MLflow's names are shorter than this
_OUR_PROMPT = ".prompt.json"


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
        return _read_model(self.path, self._value(), None)

    def versions(self) -> Iterator[StoredVersion]:
        """See ``Entry.versions``."""
        if self._has_files():
            for path in files_in(self.folder / VERSIONS, ".json"):
                yield StoredVersion(path.stem, path, _member_loader(self.base, path))
            return
        told = set()
        for position, value in enumerate(_listed_versions(self.path, self._value())):
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

    def _has_files(self) -> bool:
        return os.path.lexists(self.folder / VERSIONS)

    def _value(self) -> Mapping[str, Any]:
        value = load_mlflow(self.base, self.path).get("registered_model")
        if not isinstance(value, dict):
            raise DirectoryError(f"{self.path} describes no registered model", DAMAGED)
        if self._has_files():
            value = {**value, "versions": []}  # as of the end of the last export
        return value


class PromptIndex:
    """The names of the directories of all versions of prompts, by what they begin with.

    Listed again when something was added or removed since, which the directory's own time of
    change tells; ``forget`` says so too, where that time is too coarse.
    """

    def __init__(self, prompts: Path) -> None:
        self._prompts = prompts
        self._listed: tuple[int, dict[str, list[Path]]] | None = None

    def forget(self) -> None:
        """List again the next time."""
        self._listed = None

    def by_stem(self) -> Mapping[str, Sequence[Path]]:
        """Return them. Raises ``DirectoryError``."""
        changed = self._prompts.stat().st_mtime_ns if self._prompts.is_dir() else -1
        listed = self._listed
        if listed is None or listed[0] != changed:
            found: dict[str, list[Path]] = {}
            for path in subdirectories(self._prompts):
                match = PROMPT_VERSION.match(path.name)
                if match and not path.name.startswith("."):
                    found.setdefault(match[1], []).append(path)
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
        path = prompt_file(self.stem)
        if os.path.lexists(path):
            value = load_mlflow(self.base, path).get("registered_model")
            if not isinstance(value, dict):
                raise DirectoryError(f"{path} describes no prompt", DAMAGED)
            return _read_model(path, value, Kind.PROMPT)
        return self._from_versions()

    def versions(self) -> Iterator[StoredVersion]:
        """See ``Entry.versions``."""
        for folder in self.folders():
            told = folder.name.removeprefix(f"{self.stem.name}_v")
            path = folder / PROMPT_FILE
            yield StoredVersion(told, path, partial(_read_prompt, self.base, path))

    def failed(self) -> list[str]:
        """See ``Entry.failed``: no tool tells of prompts which ones failed."""
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
            created = [it["creation_timestamp"] for it in versions if it.get("creation_timestamp")]
            return RegisteredModel(
                name=str(versions[0]["name"]),
                kind=Kind.PROMPT,
                tags={IS_PROMPT_TAG: "true"},
                aliases=aliases_from_json({"versions": versions}),
                creation_time=min(map(int, created), default=None),
            )
        except MALFORMED as error:
            raise DirectoryError(f"{self.stem} is no prompt: {error!r}", DAMAGED) from error


class RegistryReader:
    """Reads a registry; several threads may use it.

    ``nested``: names with slashes are directories in directories, as other tools have it.
    """

    def __init__(
        self, places: RegistryPlaces, unreadable: UnreadableObjects, *, nested: bool
    ) -> None:
        self.places = places
        self._unreadable = unreadable
        self._nested = nested
        self._prompts = PromptIndex(places.prompts)

    def registered_models(self, names: Sequence[str] | None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegistry.registered_models``."""
        for _, model in self.entries(names):
            yield model

    def model_versions(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsRegistry.model_versions``."""
        for model in models:
            for entry, found in self.entries([model.name]):
                if found.kind is model.kind:
                    yield from self.versions_of(entry, found)

    def read_version(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsRegistry.read_model_version``. Raises ``DirectoryError``."""
        name, _, number = ref.id.rpartition("/")
        for entry, model in self.entries([name]):
            if VERSION_OF[model.kind] is not ref.kind:
                continue
            told = (stored for stored in entry.versions() if stored.told == number)
            for _, path, load in told:
                version = _read_version(path, load, model)
                if version.ref == ref:
                    return version
            for version in self.versions_of(entry, model):  # its file may have any name
                if version.ref == ref:
                    return version
        return None

    def entries(
        self, names: Sequence[str] | None = None
    ) -> Iterator[tuple[Entry, RegisteredModel]]:
        """Yield what can be read, of these names or all, and report what cannot."""
        if names is None:
            for kind in VERSION_OF:
                self._unreadable.forget(kind)
            yield from self._readable(self._all())
            self._report_absent()
            return
        for name in dict.fromkeys(names):
            found = list(self._readable(self._of_name(name), name))
            if not found and self._nested:  # its directory may have any name
                found = list(self._readable(self._all(), name))
            yield from found

    def versions_of(self, entry: Entry, model: RegisteredModel) -> list[ModelVersion]:
        """Return the versions in order of number, and report those that cannot be read."""
        kind = VERSION_OF[model.kind]
        self._unreadable.forget_below(kind, entry.path.parent)
        found: dict[int, tuple[ModelVersion, Path]] = {}
        try:
            stored_versions = list(entry.versions())
            failed = entry.failed()
        except DirectoryError as problem:
            self._unreadable.report(model.ref, "", entry.path, problem)
            return []
        for told, path, load in stored_versions:
            try:
                version = _read_version(path, load, model)
                if version.version in found:
                    raise held_twice(str(version.ref), path, found[version.version][1])
            except DirectoryError as problem:
                ref = Ref(kind, f"{model.name}/{told}")
                self._unreadable.report(ref, "", path, problem)
                continue
            found[version.version] = version, path
        for number in failed:
            ref = Ref(kind, f"{model.name}/{number}")
            if ref not in {version.ref for version, _ in found.values()}:
                gone = not_there(entry.path, str(ref), failed=True)
                self._unreadable.report(ref, "", entry.path, gone)
        return [found[number][0] for number in sorted(found)]

    def _readable(
        self, entries: Iterator[Entry], name: str | None = None
    ) -> Iterator[tuple[Entry, RegisteredModel]]:
        first: dict[tuple[Kind, str], Path] = {}
        for entry in entries:
            kind = Kind.PROMPT if isinstance(entry, PromptEntry) else Kind.REGISTERED_MODEL
            try:
                model = entry.model()
                if name not in (None, model.name):
                    continue
                there = first.setdefault((model.kind, model.name), entry.path)
                if there != entry.path:
                    raise held_twice(str(model.ref), entry.path, there)
            except DirectoryError as problem:
                ref = Ref(kind, self._told_name(entry))
                if name in (None, ref.id):
                    self._unreadable.report(ref, "", entry.path, problem)
                continue
            yield entry, model

    def _told_name(self, entry: Entry) -> str:
        """Return the name of an entry as far as its place tells."""
        if isinstance(entry, PromptEntry):
            return entry.stem.name
        folder = entry.path.parent
        return (
            folder.name if self.places.lone else folder.relative_to(self.places.models).as_posix()
        )

    def _all(self) -> Iterator[Entry]:
        base, models, prompts = self.places.base, self.places.models, self.places.prompts
        if self.places.lone:
            yield ModelEntry(base, models)
        else:
            yield from self._models_in(models)
        ours = {path.name.removesuffix(_OUR_PROMPT) for path in files_in(prompts, _OUR_PROMPT)}
        for stem in sorted(ours | self._prompts.by_stem().keys()):
            yield PromptEntry(base, prompts / stem, self._prompts)

    def _models_in(self, folder: Path, depth: int = 0) -> Iterator[Entry]:
        for path in subdirectories(folder):
            if path.name.startswith(".") or (depth and path.name in _NOT_MODELS):
                continue
            if os.path.lexists(path / MODEL_FILE) or path.is_symlink():
                yield ModelEntry(self.places.base, path)
            copied = any(os.path.lexists(path / it) for it in (RUN_FILE, LOGGED_MODEL_FILE))
            if self._nested and depth < _NESTED and not copied and not path.is_symlink():
                yield from self._models_in(path, depth + 1)

    def _of_name(self, name: str) -> Iterator[Entry]:
        places = self.places
        candidates = list(registry_names(name))
        parts = name.split("/")
        if self._nested and not any(part in ("", ".", "..") or "\0" in part for part in parts):
            candidates.append(name)
        for candidate in dict.fromkeys(candidates):
            if not places.lone and os.path.lexists(places.models / candidate / MODEL_FILE):
                yield ModelEntry(places.base, places.models / candidate)
            if "/" not in candidate:
                entry = PromptEntry(places.base, places.prompts / candidate, self._prompts)
                if os.path.lexists(prompt_file(entry.stem)) or entry.folders():
                    yield entry

    def _report_absent(self) -> None:
        """Report registered models that models.json lists and that are not there."""
        index = self.places.models / MODELS_FILE
        if self.places.lone or not os.path.lexists(index):
            return
        try:
            document = load_object(self.places.base, index)
        except DirectoryError:
            return  # not needed: they are found by their directories
        info, mlflow = document.get("info"), document.get("mlflow")
        listed = _texts(mlflow, "models")
        failed = _texts(info, "failed_models") if self._nested else frozenset()
        for name in sorted(listed | failed):
            if not any(True for _ in self._of_name(name)):
                ref = Ref(Kind.REGISTERED_MODEL, name)
                problem = not_there(index, str(ref), failed=name in failed)
                place = index.parent / directory_name(name) / MODEL_FILE
                self._unreadable.report(ref, "", place, problem)


def prompt_file(stem: Path) -> Path:
    """Return the file of ours about a prompt, whose versions' directories begin with ``stem``."""
    return stem.with_name(stem.name + _OUR_PROMPT)


def prompt_version_directory(stem: Path, number: int | str) -> Path:
    """Return where a version of a prompt is."""
    return stem.with_name(f"{stem.name}_v{number}")


def read_version_file(base: Path, path: Path, model: RegisteredModel) -> ModelVersion:
    """Read a version that has a file of its own, as in ours. Raises ``DirectoryError``."""
    if path.name == PROMPT_FILE:
        return _read_version(path, lambda: _read_prompt(base, path), model)
    return _read_version(path, _member_loader(base, path), model)


def _read_model(path: Path, value: Mapping[str, Any], kind: Kind | None) -> RegisteredModel:
    try:
        return model_from_json(value, kind)
    except MALFORMED as error:
        raise DirectoryError(
            f"{path} describes no {kind or 'model'}: {error!r}", DAMAGED
        ) from error


def _read_version(
    path: Path, load: Callable[[], Mapping[str, Any]], model: RegisteredModel
) -> ModelVersion:
    try:
        value = load()
        name = value.get("name", model.name)
        version = version_from_json(value, model)
    except MALFORMED as error:
        raise DirectoryError(f"{path} describes no version: {error!r}", DAMAGED) from error
    if name != model.name:
        raise DirectoryError(f"{path} is a version of {name!r}, not of {model.name!r}", DAMAGED)
    return version


def _read_prompt(base: Path, path: Path) -> Mapping[str, Any]:
    if not os.path.lexists(path):
        raise half_made(path.parent)
    value = load_mlflow(base, path)
    try:
        return registry_version_in(value)
    except MALFORMED as error:
        raise DirectoryError(f"{path} describes no prompt: {error!r}", DAMAGED) from error


def _member_loader(base: Path, path: Path) -> Callable[[], Mapping[str, Any]]:
    def load() -> Mapping[str, Any]:
        value = load_mlflow(base, path).get("model_version")
        if not isinstance(value, dict):
            raise DirectoryError(f"{path} describes no version of a model", DAMAGED)
        return value

    return load


def _listed_versions(path: Path, value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    try:
        return versions_in(value)
    except MALFORMED as error:
        raise DirectoryError(f"{path} has no list of versions: {error!r}", DAMAGED) from error


def _same(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return value


def _number(value: object) -> str:
    return str(value.get("version", "")) if isinstance(value, dict) else ""


def _number_of_failed(entry: object) -> str:
    version = entry.get("version") if isinstance(entry, dict) else None
    return _number(version) if isinstance(version, dict) else str(version or "")


def _texts(value: object, key: str) -> frozenset[str]:
    found = value.get(key) if isinstance(value, dict) else None
    items = found if isinstance(found, list) else []
    return frozenset(item for item in items if isinstance(item, str))
