"""Reads the registry of an export: lists what is in it, and reports what cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from migrate.endpoints.directory.layout import (
    ARTIFACTS,
    LOGGED_MODEL_FILE,
    MODEL_FILE,
    MODELS_FILE,
    RUN_FILE,
    VERSION_MODELS,
    VERSIONS,
    directory_name,
    registry_names,
)
from migrate.endpoints.directory.native.kept_permissions import read_permissions
from migrate.endpoints.directory.native.losses import Shortfall, losses_of
from migrate.endpoints.directory.places import RegistryPlaces
from migrate.endpoints.directory.stores.registry_entries import (
    OUR_PROMPT,
    Entry,
    ModelEntry,
    PromptEntry,
    PromptIndex,
    prompt_file,
    read_version,
)
from migrate.endpoints.directory.unreadable import (
    held_twice,
    not_there,
    nothing_around,
)
from migrate.endpoints.disk import files_in, load_object, subdirectories
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import DirectoryError, NotFound
from migrate.objects import (
    MODEL_KINDS,
    Kind,
    ModelVersion,
    Permissions,
    Ref,
    RegisteredModel,
)

#: What a registered model's directory holds that is not a registered model.
_NOT_MODELS = frozenset({ARTIFACTS, VERSIONS, VERSION_MODELS})
_NESTED = 16  # names with slashes make nested directories; MLflow's names are shorter than this


class RegistryReader:
    """Reads a registry; several threads may use it.

    ``lacks`` is what the export says it lacks. ``nested``: names with slashes are directories in
    directories, as other tools have it.
    """

    def __init__(
        self,
        places: RegistryPlaces,
        unreadable: UnreadableObjects,
        lacks: Shortfall,
        *,
        nested: bool,
    ) -> None:
        self.places = places
        self._unreadable = unreadable
        self._lacks = lacks
        self._nested = nested
        self._prompts = PromptIndex(places.prompts, told=False)
        self._folders: dict[str, ModelEntry] = {}
        #: What cannot be said of it, in sentences.
        self.unknown: list[str] = []

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
            if model.version_kind is not ref.kind:
                continue
            told = (stored for stored in entry.versions() if stored.told == number)
            for _, path, load in told:
                version = read_version(path, load, model)
                if version.ref == ref:
                    return self._with_losses(entry, version)
            for version in self.versions_of(entry, model):  # its file may have any name
                if version.ref == ref:
                    return version
        return None

    def files_of(self, ref: Ref) -> Path:
        """Return where the files of a version are, or would be. Raises ``NotFound``."""
        name, _, number = ref.id.rpartition("/")
        known = self._folders.get(name)
        if known is None or not os.path.lexists(known.path):
            for entry, model in self.entries([name]):
                if isinstance(entry, ModelEntry) and model.version_kind is ref.kind:
                    known = self._folders[name] = entry
                    break
            else:
                raise NotFound(f"registered model {name!r} is not in {self.places.base}")
        return known.files_of(number)

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.permissions``. Raises ``NotFound`` or ``DirectoryError``."""
        for entry, model in self.entries([ref.id]):
            if model.ref == ref:
                return read_permissions(entry.path, entry.record())
        raise NotFound(f"{ref.kind} {ref.id!r} is not in {self.places.base}")

    def entries(
        self, names: Sequence[str] | None = None
    ) -> Iterator[tuple[Entry, RegisteredModel]]:
        """Yield what can be read, of these names or all, and report what cannot."""
        if names is None:
            for kind in MODEL_KINDS:
                self._unreadable.forget(kind)
            there = set()
            for entry, model in self._readable(self._all()):
                there.add(model.ref)
                yield entry, model
            self._report_absent()
            self._report_lacking(there)
            return
        for name in dict.fromkeys(names):
            found = list(self._readable(self._of_name(name), name))
            if not found and self._nested:  # its directory may have any name
                found = list(self._readable(self._all(), name))
                if not found:
                    self._report_absent(frozenset({name}))
            yield from found

    def versions_of(self, entry: Entry, model: RegisteredModel) -> list[ModelVersion]:
        """Return the versions in order of number, and report those that cannot be read."""
        kind = model.version_kind
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
                version = read_version(path, load, model)
                if version.version in found:
                    raise held_twice(str(version.ref), path, found[version.version][1])
            except DirectoryError as problem:
                ref = Ref(kind, f"{model.name}/{told}")
                self._unreadable.report(ref, model.name, path, problem)
                continue
            found[version.version] = version, path
        there = {told for told, _, _ in stored_versions} | {str(number) for number in found}
        for number in [*failed, *entry.listed()]:
            if number not in there:
                there.add(number)
                ref = Ref(kind, f"{model.name}/{number}")
                gone = not_there(entry.path, str(ref), failed=number in failed)
                self._unreadable.report(ref, model.name, entry.path, gone)
        for lacking in self._lacks.within(kind, model.name):
            if lacking.ref not in {version.ref for version, _ in found.values()}:
                self._unreadable.add(lacking)
        return [self._with_losses(entry, found[number][0]) for number in sorted(found)]

    def _with_losses(self, entry: Entry, version: ModelVersion) -> ModelVersion:
        lost = losses_of(self.places.base, entry.path.parent, version.ref)
        return replace(version, losses=(*version.losses, *lost)) if lost else version

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
                    self._report_versions_of(entry, ref)
                continue
            lost = losses_of(self.places.base, entry.path.parent, model.ref)
            yield entry, replace(model, losses=(*model.losses, *lost))

    def _report_versions_of(self, entry: Entry, model: Ref) -> None:
        """Report the versions of what cannot be read itself, as far as they are files."""
        with suppress(DirectoryError):  # of the list of versions, which its own record has
            for told, path, _ in entry.versions():
                ref = Ref(model.kind.versions or model.kind, f"{model.id}/{told}")
                self._unreadable.report(ref, model.id, path, nothing_around(entry.path))

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
        ours = {path.name.removesuffix(OUR_PROMPT) for path in files_in(prompts, OUR_PROMPT)}
        for stem in sorted(ours | set(self._prompts.by_stem())):
            yield PromptEntry(base, prompts / stem, self._prompts)

    def _models_in(self, folder: Path, depth: int = 0) -> Iterator[Entry]:
        for path in subdirectories(folder):
            if path.name.startswith(".") or (depth and path.name in _NOT_MODELS):
                continue
            signs = (MODEL_FILE, VERSIONS, VERSION_MODELS)
            if any(os.path.lexists(path / it) for it in signs) or path.is_symlink():
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

    def _report_lacking(self, there: Set[Ref]) -> None:
        """Report what failed to export, but for versions of what is there: listing them does."""
        for lacking in self._lacks.failed:
            kind = lacking.ref.kind.container or lacking.ref.kind
            if kind in MODEL_KINDS and Ref(kind, lacking.container or lacking.ref.id) not in there:
                self._unreadable.add(lacking)

    def _report_absent(self, names: frozenset[str] | None = None) -> None:
        """Report registered models, of these names or all, that models.json lists in vain."""
        index = self.places.models / MODELS_FILE
        if self.places.lone or not os.path.lexists(index):
            return
        try:
            document = load_object(self.places.base, index)
        except DirectoryError as problem:
            self.unknown.append(
                f"{problem}: registered models are found by their directories, and what has none"
                " is not known"
            )
            return
        info, mlflow = document.get("info"), document.get("mlflow")
        listed = _texts(mlflow, "models")
        failed = _texts(info, "failed_models") if self._nested else frozenset()
        wanted = listed | failed if names is None else (listed | failed) & names
        for name in sorted(wanted):
            if not any(True for _ in self._of_name(name)):
                ref = Ref(Kind.REGISTERED_MODEL, name)
                gone = not_there(index, str(ref), failed=name in failed)
                place = index.parent / directory_name(name) / MODEL_FILE
                self._unreadable.report(ref, "", place, gone)


def _texts(value: object, key: str) -> frozenset[str]:
    found = value.get(key) if isinstance(value, dict) else None
    items = found if isinstance(found, list) else []
    return frozenset(item for item in items if isinstance(item, str))
