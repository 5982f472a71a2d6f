"""Writes registered models, prompts and their versions; every file appears whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.directory.indexes.models import ModelContents
from migrate.endpoints.directory.layout import (
    MODEL_FILE,
    PROMPT_FILE,
    VERSIONS,
    registry_names,
)
from migrate.endpoints.directory.native.envelope import system_block
from migrate.endpoints.directory.native.kept_permissions import (
    PERMISSIONS,
    change_of,
    with_permissions,
)
from migrate.endpoints.directory.native.losses import Shortfall, keep_losses
from migrate.endpoints.directory.native.registry_records import (
    model_to_json,
    prompt_to_json,
    version_to_json,
)
from migrate.endpoints.directory.native.version_files import forget_version_files, has_files
from migrate.endpoints.directory.places import RegistryPlaces
from migrate.endpoints.directory.stores.registry import RegistryReader
from migrate.endpoints.directory.stores.registry_entries import (
    Entry,
    ModelEntry,
    PromptEntry,
    PromptIndex,
    prompt_file,
    prompt_version_directory,
    read_version_file,
)
from migrate.endpoints.disk import (
    DAMAGED,
    refuse_links,
    sync,
    write_object,
    writing,
)
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import AlreadyExists, DirectoryError, NotFound
from migrate.objects import (
    Kind,
    Loss,
    ModelVersion,
    Permissions,
    Ref,
    RegisteredModel,
)


class RegistryWriter(RegistryReader):
    """Writes a registry in our layout, one change at a time; several threads may use it.

    Aliases are kept with the registered model, so that one never points to two versions.
    Methods raise ``StorageFull`` or ``DirectoryError`` beside what the protocols say.
    """

    def __init__(
        self, places: RegistryPlaces, unreadable: UnreadableObjects, lacks: Shortfall
    ) -> None:
        super().__init__(places, unreadable, lacks, nested=False)
        self._prompts = PromptIndex(places.prompts, told=True)
        self._lock = RLock()

    def create_registered_model(self, model: RegisteredModel) -> None:
        """See ``WritesRegistry.create_registered_model``; aliases come with the versions.

        One whose file is damaged is described anew.
        """
        with self._lock:
            path = self._place_to_create(model)
            refuse_links(self.places.base, path)
            above = path.parent / VERSIONS if path.name == MODEL_FILE else path.parent
            with writing(above):
                above.mkdir(parents=True, exist_ok=True)
            self._write_model(path, model_to_json(model, {}), {})

    def update_registered_model(self, copy: RegisteredModel, model: RegisteredModel) -> None:
        """See ``WritesRegistry.update_registered_model``."""
        with self._lock:
            entry, there = self._existing(copy.kind, copy.name)
            wanted = replace(
                there,
                description=model.description,
                tags=_changed(there.tags, copy.tags, model.tags),
                last_update_time=model.last_update_time or there.last_update_time,
            )
            if wanted != there:
                value = model_to_json(wanted, wanted.aliases)
                self._write_model(_record_file(entry), value, entry.record())

    def delete_registered_model(self, name: str) -> None:
        """See ``WritesRegistry.delete_registered_model``."""
        with self._lock:
            entry = self._entry(name)
            if entry is None:
                return
            if isinstance(entry[0], ModelEntry):
                _remove_directory(entry[0].folder)
            elif isinstance(entry[0], PromptEntry):
                for folder in entry[0].folders():
                    _remove_directory(folder)
                with writing(entry[0].path):
                    _record_file(entry[0]).unlink(missing_ok=True)
            self._prompts.forget()

    def create_model_version(self, version: ModelVersion) -> int:
        """See ``WritesRegistry.create_model_version``; the number is that of ``version``.

        A version of this number that is there is replaced.
        """
        entry, _ = self._existing(version.model.kind, version.name)
        self._write_version(entry, version)
        return version.version

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> None:
        """See ``WritesRegistry.update_model_version``."""
        with self._lock:
            entry, model = self._existing(copy.model.kind, copy.name)
            path = _version_file(entry, copy.version)
            if not os.path.lexists(path):
                raise NotFound(f"{copy.ref} is not in {self.places.base}")
            there = read_version_file(self.places.base, path, model)
            wanted = replace(
                there,
                description=version.description,
                stage=version.stage,
                tags=_changed(there.tags, copy.tags, version.tags),
                last_update_time=version.last_update_time or there.last_update_time,
            )
            if wanted != there:
                self._write_version(entry, wanted)
            aliases = dict(model.aliases)
            for alias in set(copy.aliases) - set(version.aliases):
                if aliases.get(alias) == copy.version:
                    del aliases[alias]
            aliases |= dict.fromkeys(version.aliases, copy.version)
            self._set_aliases(entry, model, aliases)

    def delete_model_version(self, version: ModelVersion) -> None:
        """See ``WritesRegistry.delete_model_version``."""
        with self._lock:
            found = self._entry(version.name)
            if found is None or found[1].kind is not version.model.kind:
                return
            entry, model = found
            aliases = {it: at for it, at in model.aliases.items() if at != version.version}
            self._set_aliases(entry, model, aliases)
            path = _version_file(entry, version.version)
            if path.name == PROMPT_FILE:
                _remove_directory(path.parent)
                self._prompts.forget()
            else:
                forget_version_files(self.files_of(version.ref))
                with writing(path):
                    path.unlink(missing_ok=True)

    def keep_losses(self, ref: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``."""
        with self._lock:
            kind, name = ref.kind, ref.id
            if kind.is_version and kind.container is not None:
                kind, name = kind.container, name.rpartition("/")[0]
            entry, _ = self._existing(kind, name)
            keep_losses(self.places.base, entry.path.parent, ref, losses)

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write_permissions``."""
        with self._lock:
            entry, model = self._existing(ref.kind, ref.id)
            there = entry.record()
            if there.get(PERMISSIONS) != permissions.document:
                wanted = with_permissions({}, dict(permissions.document))
                value = model_to_json(model, model.aliases)
                self._write_model(_record_file(entry), value, wanted)
            return change_of(entry.path, there, permissions)

    def contents(self) -> Iterator[ModelContents]:
        """Yield what is in it, read anew; what cannot be read is reported."""
        with self._lock:
            self._prompts.forget()
            for entry, model in list(self.entries()):
                versions = self.versions_of(entry, model)
                if not isinstance(entry, ModelEntry):
                    yield ModelContents(model, versions)
                    continue
                numbers = (version.version for version in versions)
                yield ModelContents(
                    model,
                    versions,
                    entry.folder,
                    entry.record().get(PERMISSIONS),
                    {it for it in numbers if has_files(entry.files_of(str(it)))},
                )

    def _entry(self, name: str) -> tuple[Entry, RegisteredModel] | None:
        """Find what has this name. Raises ``DirectoryError`` when that is damaged."""
        for entry in self._of_name(name):
            model = entry.model()
            if model.name == name:
                return entry, model
        return None

    def _existing(self, kind: Kind, name: str) -> tuple[Entry, RegisteredModel]:
        found = self._entry(name)
        if found is None or found[1].kind is not kind:
            raise NotFound(f"{kind} {name!r} is not in {self.places.base}")
        return found

    def _place_to_create(self, model: RegisteredModel) -> Path:
        """Return where the file of a new model goes: in place of its own that is damaged, or new.

        Raises ``AlreadyExists``, and ``DirectoryError`` where the damaged one is of another kind.
        """
        its_own = PromptEntry if model.kind is Kind.PROMPT else ModelEntry
        for entry in self._of_name(model.name):
            try:
                there = entry.model()
            except DirectoryError as problem:
                if problem.hint != DAMAGED or not isinstance(entry, its_own):
                    raise
                return _record_file(entry)
            if there.name == model.name:
                raise AlreadyExists(f"{there.ref} is in {entry.path} already")
        return self._new_place(model)

    def _new_place(self, model: RegisteredModel) -> Path:
        """Return the file of a model that is not there; the first of two names may be taken."""
        for name in registry_names(model.name):
            if model.kind is Kind.PROMPT:
                path = prompt_file(self.places.prompts / name)
            else:
                path = self.places.models / name / MODEL_FILE
            if not os.path.lexists(path):
                return path
        raise DirectoryError(f"{path} is taken", "remove what should not be there")

    def _write_model(self, path: Path, value: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        """Write a model's record in place of the one that is there, whose permissions stay."""
        value = with_permissions({**value, "versions": []}, there.get(PERMISSIONS))
        content = {"registered_model": value}
        write_object(path, {"system": system_block(), "info": {}, "mlflow": content})

    def _write_version(self, entry: Entry, version: ModelVersion) -> None:
        path = _version_file(entry, version.version)
        refuse_links(self.places.base, path)
        if path.name == PROMPT_FILE:
            with writing(path.parent):
                path.parent.mkdir(exist_ok=True)
                sync(path.parent.parent)
            self._prompts.add(path.parent)
            content = prompt_to_json(version)
        else:
            content = {"model_version": version_to_json(version)}
        write_object(path, {"system": system_block(), "mlflow": content})

    def _set_aliases(
        self, entry: Entry, model: RegisteredModel, aliases: Mapping[str, int]
    ) -> None:
        if aliases != model.aliases:
            value = model_to_json(model, aliases)
            self._write_model(_record_file(entry), value, entry.record())


def _changed(
    there: Mapping[str, str], known: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str]:
    """Return the tags that are there, without those known and not wanted, and with those wanted."""
    return {**{key: there[key] for key in there.keys() - (known.keys() - wanted.keys())}, **wanted}


def _record_file(entry: Entry) -> Path:
    """Return the file about what an entry is, also where that of a prompt is not there."""
    return prompt_file(entry.stem) if isinstance(entry, PromptEntry) else entry.path


def _version_file(entry: Entry, number: int) -> Path:
    if isinstance(entry, ModelEntry):
        return entry.folder / VERSIONS / f"{number}.json"
    assert isinstance(entry, PromptEntry)
    return prompt_version_directory(entry.stem, number) / PROMPT_FILE


def _remove_directory(path: Path) -> None:
    """Remove a directory in one step, as far as a reader can tell."""
    gone = path.with_name(f".{path.name}.replaced")
    with writing(path):
        if path.exists():
            shutil.rmtree(gone, ignore_errors=True)
            os.rename(path, gone)
            sync(path.parent)
        shutil.rmtree(gone, ignore_errors=True)
