"""The registered models and prompts of an export; aliases are kept with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.directory.layout import MODEL_FILE, VERSIONS, registry_names
from migrate.endpoints.directory.native.kept_permissions import (
    PERMISSIONS,
    change_of,
    read_permissions,
    with_permissions,
)
from migrate.endpoints.directory.native.losses import keep_losses
from migrate.endpoints.directory.native.registry_files import write_model
from migrate.endpoints.directory.native.registry_records import changed_tags, model_to_json
from migrate.endpoints.directory.stores.prompt_entries import prompt_file
from migrate.endpoints.directory.stores.registry import Registry
from migrate.endpoints.disk import DAMAGED, refuse_links, writing
from migrate.errors import AlreadyExists, DirectoryError
from migrate.kinds import Kind, Ref
from migrate.objects import Loss, Permissions, RegisteredModel


class RegisteredModelStore:
    """Reads and writes both kinds, one change at a time.

    Methods raise ``DirectoryError``, and those that write ``Refused`` and ``StorageFull``.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def list(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegisteredModels.list``."""
        for _, model in self._registry.entries(names):
            yield model

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.read``. Raises ``NotFound``."""
        for entry, model in self._registry.entries([ref.id]):
            if model.ref == ref:
                return read_permissions(entry.path, entry.record())
        raise self._registry.not_found(ref.kind, ref.id)

    def create(self, model: RegisteredModel) -> None:
        """See ``WritesRegisteredModels.create``; aliases come with the versions.

        One whose file is damaged is described anew.
        """
        self._registry.export.require_writable()
        with self._registry.lock:
            path = self._place_to_create(model)
            refuse_links(self._registry.places.base, path)
            above = path.parent / VERSIONS if path.name == MODEL_FILE else path.parent
            with writing(above):
                above.mkdir(parents=True, exist_ok=True)
            write_model(path, model_to_json(model, {}), {})

    def update(self, copy: RegisteredModel, model: RegisteredModel) -> Sequence[Loss]:
        """See ``WritesRegisteredModels.update``."""
        self._registry.export.require_writable()
        with self._registry.lock:
            entry, existing = self._registry.existing(copy.kind, copy.name)
            wanted = replace(
                existing,
                description=model.description,
                tags=changed_tags(existing.tags, copy.tags, model.tags),
                last_update_time=model.last_update_time or existing.last_update_time,
            )
            if wanted != existing:
                value = model_to_json(wanted, wanted.aliases)
                write_model(entry.record_file, value, entry.record())
        return ()

    def delete(self, name: str) -> None:
        """See ``WritesRegisteredModels.delete``."""
        self._registry.export.require_writable()
        with self._registry.lock:
            found = self._registry.entry(name)
            if found is None:
                return
            found[0].remove()

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        self._registry.export.require_writable()
        with self._registry.lock:
            entry, model = self._registry.existing(ref.kind, ref.id)
            existing = entry.record()
            if existing.get(PERMISSIONS) != permissions.document:
                wanted = with_permissions({}, dict(permissions.document))
                write_model(entry.record_file, model_to_json(model, model.aliases), wanted)
            return change_of(entry.path, existing, permissions)

    def keep_losses(self, ref: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``."""
        self._registry.export.require_writable()
        with self._registry.lock:
            entry, _ = self._registry.existing(ref.kind, ref.id)
            keep_losses(self._registry.places.base, entry.path.parent, ref, losses)

    def _place_to_create(self, model: RegisteredModel) -> Path:
        """Return where the file of a new model goes: in place of its own that is damaged, or new.

        Raises ``AlreadyExists``, and ``DirectoryError`` where the damaged one is of another kind.
        """
        for entry in self._registry.of_name(model.name):
            try:
                existing = entry.model()
            except DirectoryError as problem:
                if problem.hint != DAMAGED or entry.kind is not model.kind:
                    raise
                return entry.record_file
            if existing.name == model.name:
                raise AlreadyExists(f"{existing.ref} is in {entry.path} already")
        return self._new_place(model)

    def _new_place(self, model: RegisteredModel) -> Path:
        """Return the file of a new model; the first of two names may be taken."""
        for name in registry_names(model.name):
            if model.kind is Kind.PROMPT:
                path = prompt_file(self._registry.places.prompts / name)
            else:
                path = self._registry.places.models / name / MODEL_FILE
            if not os.path.lexists(path):
                return path
        raise DirectoryError(f"{path} is taken", "remove what should not be there")
