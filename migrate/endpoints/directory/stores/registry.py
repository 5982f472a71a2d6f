"""The registry of an export: where its registered models and prompts are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock

from migrate.endpoints.directory.export import Export
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
from migrate.endpoints.directory.native.losses import losses_of
from migrate.endpoints.directory.places import RegistryPlaces
from migrate.endpoints.directory.stores.entries import Entry
from migrate.endpoints.directory.stores.model_entries import model_entry
from migrate.endpoints.directory.stores.prompt_entries import OUR_PROMPT, PromptEntry, PromptIndex
from migrate.endpoints.directory.unreadable import held_twice, not_there, nothing_around
from migrate.endpoints.disk import files_in, load_object, subdirectories
from migrate.errors import DirectoryError, NotFound
from migrate.kinds import MODEL_KINDS, Kind, Ref
from migrate.objects import RegisteredModel

#: What a registered model's directory holds that is not a registered model.
_NOT_MODELS = frozenset({ARTIFACTS, VERSIONS, VERSION_MODELS})
_NESTED = 16  # names with slashes make nested directories; MLflow's names are shorter than this


class Registry:
    """Finds what is in a registry, and reports what cannot be read; several threads may use it.

    Methods raise ``DirectoryError``.
    """

    def __init__(self, export: Export) -> None:
        self.export = export
        #: Held by whoever changes something.
        self.lock = RLock()
        self._prompts: PromptIndex | None = None
        #: What cannot be said of it, in sentences.
        self.unknown: list[str] = []

    @property
    def places(self) -> RegistryPlaces:
        """Where it is."""
        return self.export.open().registry

    @property
    def prompts(self) -> PromptIndex:
        """The directories of the versions of prompts."""
        with self.lock:
            if self._prompts is None:
                writable = self.export.writable
                self._prompts = PromptIndex(self.places.prompts, kept_by_writer=writable)
            return self._prompts

    def entries(
        self, names: Sequence[str] | None = None
    ) -> Iterator[tuple[Entry, RegisteredModel]]:
        """Yield what can be read, of these names or all, and report what cannot."""
        if names is None:
            for kind in MODEL_KINDS:
                self.export.unreadable.forget(kind)
            readable = set()
            for entry, model in self._readable(self._all()):
                readable.add(model.ref)
                yield entry, model
            self._report_absent()
            self._report_lacking(readable)
            return
        for name in dict.fromkeys(names):
            found = list(self._readable(self.of_name(name), name))
            if not found and self.export.is_foreign:  # its directory may have any name
                found = list(self._readable(self._all(), name))
                if not found:
                    self._report_absent(frozenset({name}))
            yield from found

    def of_name(self, name: str) -> Iterator[Entry]:
        """Yield what may have this name by its place, readable or not."""
        places = self.places
        candidates = list(registry_names(name))
        parts = name.split("/")
        is_path = not any(part in ("", ".", "..") or "\0" in part for part in parts)
        if self.export.is_foreign and is_path:
            candidates.append(name)
        for candidate in dict.fromkeys(candidates):
            if not places.lone and os.path.lexists(places.models / candidate / MODEL_FILE):
                yield model_entry(places.base, places.models / candidate)
            if "/" not in candidate:
                entry = PromptEntry(places.base, places.prompts / candidate, self.prompts)
                if os.path.lexists(entry.record_file) or entry.folders():
                    yield entry

    def entry(self, name: str) -> tuple[Entry, RegisteredModel] | None:
        """Find what has this name. Raises ``DirectoryError`` when that is damaged."""
        for entry in self.of_name(name):
            model = entry.model()
            if model.name == name:
                return entry, model
        return None

    def existing(self, kind: Kind, name: str) -> tuple[Entry, RegisteredModel]:
        """Find what is of this kind and name. Raises ``NotFound``."""
        found = self.entry(name)
        if found is None or found[1].kind is not kind:
            raise self.not_found(kind, name)
        return found

    def not_found(self, kind: Kind, name: str) -> NotFound:
        """Say that nothing is of this kind and name."""
        return NotFound(f"{kind} {name!r} is not in {self.places.base}")

    def _readable(
        self, entries: Iterator[Entry], name: str | None = None
    ) -> Iterator[tuple[Entry, RegisteredModel]]:
        first: dict[tuple[Kind, str], Path] = {}
        for entry in entries:
            try:
                model = entry.model()
                if name not in (None, model.name):
                    continue
                place = first.setdefault((model.kind, model.name), entry.path)
                if place != entry.path:
                    raise held_twice(str(model.ref), entry.path, place)
            except DirectoryError as problem:
                ref = Ref(entry.kind, self._name_by_place(entry))
                if name in (None, ref.id):
                    self.export.unreadable.report(ref, "", entry.path, problem)
                    self._report_versions_of(entry, ref)
                continue
            lost = losses_of(self.places.base, entry.path.parent, model.ref)
            yield entry, replace(model, losses=(*model.losses, *lost))

    def _report_versions_of(self, entry: Entry, model: Ref) -> None:
        """Report the versions of what cannot be read itself, as far as they are files."""
        with suppress(DirectoryError):  # of the list of versions, which its own record has
            for number, path, _ in entry.versions():
                ref = Ref(model.kind.versions or model.kind, f"{model.id}/{number}")
                self.export.unreadable.report(ref, model.id, path, nothing_around(entry.path))

    def _name_by_place(self, entry: Entry) -> str:
        """Return the name of an entry as far as its place says."""
        if isinstance(entry, PromptEntry):
            return entry.stem.name
        folder = entry.path.parent
        return (
            folder.name if self.places.lone else folder.relative_to(self.places.models).as_posix()
        )

    def _all(self) -> Iterator[Entry]:
        base, models, prompts = self.places.base, self.places.models, self.places.prompts
        if self.places.lone:
            yield model_entry(base, models)
        else:
            yield from self._models_in(models)
        ours = {path.name.removesuffix(OUR_PROMPT) for path in files_in(prompts, OUR_PROMPT)}
        for stem in sorted(ours | set(self.prompts.by_stem())):
            yield PromptEntry(base, prompts / stem, self.prompts)

    def _models_in(self, folder: Path, depth: int = 0) -> Iterator[Entry]:
        for path in subdirectories(folder):
            if path.name.startswith(".") or (depth and path.name in _NOT_MODELS):
                continue
            signs = (MODEL_FILE, VERSIONS, VERSION_MODELS)
            if any(os.path.lexists(path / it) for it in signs) or path.is_symlink():
                yield model_entry(self.places.base, path)
            copied = any(os.path.lexists(path / it) for it in (RUN_FILE, LOGGED_MODEL_FILE))
            if self.export.is_foreign and depth < _NESTED and not copied and not path.is_symlink():
                yield from self._models_in(path, depth + 1)

    def _report_lacking(self, readable: Set[Ref]) -> None:
        """Report what failed to export, but for versions of what is there: listing them does."""
        for lacking in self.export.lacks.failed:
            kind = lacking.ref.kind.container or lacking.ref.kind
            around = Ref(kind, lacking.container or lacking.ref.id)
            if kind in MODEL_KINDS and around not in readable:
                self.export.unreadable.add(lacking)

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
        failed = _texts(info, "failed_models") if self.export.is_foreign else frozenset()
        wanted = listed | failed if names is None else (listed | failed) & names
        for name in sorted(wanted):
            if not any(True for _ in self.of_name(name)):
                ref = Ref(Kind.REGISTERED_MODEL, name)
                gone = not_there(index, str(ref), failed=name in failed)
                place = index.parent / directory_name(name) / MODEL_FILE
                self.export.unreadable.report(ref, "", place, gone)


def _texts(value: object, key: str) -> frozenset[str]:
    found = value.get(key) if isinstance(value, dict) else None
    items = found if isinstance(found, list) else []
    return frozenset(item for item in items if isinstance(item, str))
