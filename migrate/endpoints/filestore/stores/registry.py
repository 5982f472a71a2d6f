"""The registered models and prompts of a file store, and their versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from migrate.endpoints.disk import subdirectories
from migrate.endpoints.file_stores import META, MODELS
from migrate.endpoints.filestore.files import Losses, StoreFiles, is_foreign, is_name
from migrate.endpoints.filestore.stores.experiments import ExperimentStore
from migrate.endpoints.filestore.stores.runs import RunStore
from migrate.endpoints.registry_members import model_version_of, registered_model_of
from migrate.endpoints.shapes import ident, text, version_number
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import EndpointError, Malformed
from migrate.kinds import Kind, Ref, version_ref
from migrate.objects import (
    DELETED_STAGE,
    NO_RUN,
    ArtifactRoot,
    ModelVersion,
    RegisteredModel,
    VersionRun,
    kind_by_tags,
)

_VERSION = re.compile(r"version-([1-9][0-9]{0,9})", re.ASCII)


class RegisteredModelStore:
    """Implements ``ReadsRegisteredModels``."""

    def __init__(self, files: StoreFiles, unreadable: UnreadableObjects) -> None:
        self._files = files
        self._unreadable = unreadable
        self._root = files.root / MODELS

    def list(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegisteredModels.list``."""
        if names is None:
            folders = [it for it in subdirectories(self._root) if not is_foreign(it.name)]
        else:
            folders = [it for name in names if (it := self.folder(name)) is not None]
        for folder in folders:
            kind = Kind.REGISTERED_MODEL
            try:
                losses: Losses = []
                tags = self._files.texts(folder / "tags", "tag", losses)
                kind = kind_by_tags(tags)
                model = self._model(folder, tags, losses)
            except EndpointError as problem:
                self._unreadable.report(Ref(kind, folder.name), "", folder / META, problem)
            else:
                yield model

    def folder(self, name: str) -> Path | None:
        """Return the folder of a registered model or prompt, None where there is none."""
        folder = self._root / name
        return folder if is_name(name) and folder.is_dir() else None

    def _model(self, folder: Path, tags: Mapping[str, str], losses: Losses) -> RegisteredModel:
        body = self._files.described(folder)
        if (told := ident(body, "name")) != folder.name:
            raise Malformed(f"name is {told[:60]!r}, in the folder of {folder.name!r}")
        aliases = self._files.texts(folder / "aliases", "alias", losses)
        there = {
            alias: int(number)
            for alias, number in aliases.items()
            if self._is_version(folder, alias, number, losses)
        }
        return registered_model_of(body, tags, there, losses=losses)

    def _is_version(self, folder: Path, alias: str, number: str, losses: Losses) -> bool:
        """Say whether an alias names a version that is there; where not, it is a loss."""
        name = f"version-{number.strip()}"
        there = _VERSION.fullmatch(name) is not None and (folder / name).is_dir()
        if not there:
            why = f"it names version {number.strip()[:20]!r}, which is not there"
            losses.append(self._files.lost(f"alias {alias}", why))
        return there


class ModelVersionStore:
    """Implements ``ReadsModelVersions``. Deleted versions are gaps."""

    def __init__(
        self,
        files: StoreFiles,
        unreadable: UnreadableObjects,
        models: RegisteredModelStore,
        runs: RunStore,
        experiments: ExperimentStore,
    ) -> None:
        self._files = files
        self._unreadable = unreadable
        self._models = models
        self._runs = runs
        self._experiments = experiments

    def list(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsModelVersions.list``."""
        for model in models:
            self._unreadable.forget(model.version_kind, model.name)
            folder = self._models.folder(model.name)
            names = [it.name for it in subdirectories(folder)] if folder else []
            numbers = [int(found[1]) for found in map(_VERSION.fullmatch, names) if found]
            for number in sorted(numbers):
                yield from self._readable(model, number)

    def read(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsModelVersions.read``."""
        name, _, number = ref.id.rpartition("/")
        models = [it for it in self._models.list([name]) if it.version_kind is ref.kind]
        folder = self._models.folder(name)
        if not models or folder is None or not (folder / f"version-{number}").is_dir():
            return None
        return next(iter(self._readable(models[0], int(number))), None)

    def files(self, ref: Ref) -> ArtifactRoot | None:
        """See ``ReadsModelVersions.files``."""
        name, _, number = ref.id.rpartition("/")
        folder = self._models.folder(name)
        if folder is None or not is_name(number):
            return None
        body = self._files.described(folder / f"version-{number}")
        location = text(body, "storage_location") or text(body, "source")
        return ArtifactRoot(ref, location) if location else None

    def run_of(self, version: ModelVersion) -> VersionRun:
        """See ``ReadsModelVersions.run_of``."""
        for run in self._runs.read([version.run_id]):
            return VersionRun(run.artifact_uri, self._experiments.name_of(run.experiment_id))
        return NO_RUN

    def _readable(self, model: RegisteredModel, number: int) -> Sequence[ModelVersion]:
        """Return a version; none where it is deleted, or cannot be read, which is reported."""
        folder = self._files.root / MODELS / model.name / f"version-{number}"
        try:
            version = self._version(model, number, folder)
        except EndpointError as problem:
            ref = version_ref(model.version_kind, model.name, number)
            self._unreadable.report(ref, model.name, folder / META, problem)
            return []
        return [] if version.stage == DELETED_STAGE else [version]

    def _version(self, model: RegisteredModel, number: int, folder: Path) -> ModelVersion:
        body = self._files.described(folder)
        told = ident(body, "name"), version_number(body)
        if told != (model.name, number):
            raise Malformed(f"it says that it is version {told[1]} of {told[0][:60]!r}")
        losses: Losses = []
        tags = self._files.texts(folder / "tags", "tag", losses)
        return model_version_of(body, model, tags, losses=losses)
