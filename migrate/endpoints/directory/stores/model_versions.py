"""The versions of registered models and prompts of an export, with their numbers and files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from migrate.endpoints.directory.indexes.models import ModelContents
from migrate.endpoints.directory.native.kept_permissions import PERMISSIONS
from migrate.endpoints.directory.native.losses import keep_losses, losses_of
from migrate.endpoints.directory.native.registry_files import write_model
from migrate.endpoints.directory.native.registry_records import changed_tags, model_to_json
from migrate.endpoints.directory.native.version_files import (
    VersionFilesWriter,
    has_files,
    open_of_version,
    version_artifacts,
)
from migrate.endpoints.directory.stores.entries import Entry, read_version
from migrate.endpoints.directory.stores.experiments import ExperimentStore
from migrate.endpoints.directory.stores.model_entries import ModelEntry
from migrate.endpoints.directory.stores.registry import Registry
from migrate.endpoints.directory.stores.runs import RunStore
from migrate.endpoints.directory.unreadable import held_twice, not_there
from migrate.errors import DirectoryError, NotFound
from migrate.kinds import Kind, Ref
from migrate.objects import (
    NO_RUN,
    Artifact,
    ArtifactRoot,
    Loss,
    ModelVersion,
    RegisteredModel,
    VersionRun,
)


class ModelVersionStore:
    """Reads and writes both kinds; the files of a version are those of registered models only.

    Methods raise ``DirectoryError``, and those that write ``Refused`` and ``StorageFull``.
    """

    def __init__(self, registry: Registry, experiments: ExperimentStore, runs: RunStore) -> None:
        self._registry = registry
        self._experiments = experiments
        self._runs = runs
        self._folders: dict[str, ModelEntry] = {}
        self._files_writer: VersionFilesWriter | None = None

    def list(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsModelVersions.list``."""
        for model in models:
            for entry, found in self._registry.entries([model.name]):
                if found.kind is model.kind:
                    yield from self._versions_of(entry, found)

    def read(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsModelVersions.read``. Raises ``DirectoryError``."""
        name, _, number = ref.id.rpartition("/")
        for entry, model in self._registry.entries([name]):
            if model.version_kind is not ref.kind:
                continue
            named_so = (stored for stored in entry.versions() if stored.number == number)
            for _, path, load in named_so:
                version = read_version(path, load, model)
                if version.ref == ref:
                    return self._with_losses(entry, version)
            for version in self._versions_of(entry, model):  # its file may have any name
                if version.ref == ref:
                    return version
        return None

    def files(self, ref: Ref) -> ArtifactRoot | None:
        """See ``ReadsModelVersions.files``."""
        folder = self._folder(ref)
        return ArtifactRoot(ref, str(folder)) if has_files(folder) else None

    def run_of(self, version: ModelVersion) -> VersionRun:
        """See ``ReadsModelVersions.run_of``."""
        for run in self._runs.read([version.run_id] if version.run_id else []):
            return VersionRun(run.artifact_uri, self._experiments.name_of(run.experiment_id))
        return NO_RUN

    def _folder(self, ref: Ref) -> Path:
        """Return where the files of a version are, or would be. Raises ``NotFound``."""
        name, _, number = ref.id.rpartition("/")
        known = self._folders.get(name)
        if known is None or not os.path.lexists(known.path):
            for entry, model in self._registry.entries([name]):
                if isinstance(entry, ModelEntry) and model.version_kind is ref.kind:
                    known = self._folders[name] = entry
                    break
            else:
                raise self._registry.not_found(Kind.REGISTERED_MODEL, name)
        return known.files_of(number)

    def create(self, version: ModelVersion) -> int:
        """See ``WritesModelVersions.create``; the number is that of ``version``.

        A version of this number that is there is replaced.
        """
        self._registry.export.require_writable()
        entry, _ = self._registry.existing(version.model.kind, version.name)
        entry.write_version(version)
        return version.version

    def update(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        """See ``WritesModelVersions.update``."""
        self._registry.export.require_writable()
        with self._registry.lock:
            entry, model = self._registry.existing(copy.model.kind, copy.name)
            stored = entry.version(copy.version)
            if not os.path.lexists(stored.path):
                raise NotFound(f"{copy.ref} is not in {self._registry.places.base}")
            existing = read_version(stored.path, stored.load, model)
            wanted = replace(
                existing,
                description=version.description,
                stage=version.stage,
                tags=changed_tags(existing.tags, copy.tags, version.tags),
                last_update_time=version.last_update_time or existing.last_update_time,
            )
            if wanted != existing:
                entry.write_version(wanted)
            aliases = dict(model.aliases)
            for alias in set(copy.aliases) - set(version.aliases):
                if aliases.get(alias) == copy.version:
                    del aliases[alias]
            aliases |= dict.fromkeys(version.aliases, copy.version)
            _set_aliases(entry, model, aliases)
        return ()

    def delete(self, version: ModelVersion) -> None:
        """See ``WritesModelVersions.delete``."""
        self._registry.export.require_writable()
        with self._registry.lock:
            found = self._registry.entry(version.name)
            if found is None or found[1].kind is not version.model.kind:
                return
            entry, model = found
            aliases = {it: at for it, at in model.aliases.items() if at != version.version}
            _set_aliases(entry, model, aliases)
            entry.remove_version(version.version)

    def contents(self) -> Iterator[ModelContents]:
        """Yield what is in it, read anew; what cannot be read is reported."""
        with self._registry.lock:
            self._registry.prompts.forget()
            for entry, model in list(self._registry.entries()):
                versions = self._versions_of(entry, model)
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

    def keep_losses(self, ref: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``."""
        self._registry.export.require_writable()
        with self._registry.lock:
            name = ref.id.rpartition("/")[0]
            entry, _ = self._registry.existing(ref.kind.container or ref.kind, name)
            keep_losses(self._registry.places.base, entry.path.parent, ref, losses)

    def artifacts(self, ref: Ref) -> Sequence[Artifact]:
        """Return the files of one; where it is being written, it may have none yet."""
        writable = self._registry.export.writable
        folder = self._folder(ref) if writable else self._present_files(ref)
        return version_artifacts(self._registry.places.base, folder)

    def open_artifact(self, ref: Ref, artifact: Artifact) -> BinaryIO:
        """See ``ReadsArtifacts.open``."""
        return open_of_version(self._registry.places.base, self._present_files(ref), artifact)

    def digests(self, ref: Ref) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``: none are recorded."""
        return {}

    def put_artifact(self, ref: Ref, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put``; each is there for good as soon as it arrived."""
        export = self._registry.export
        export.require_writable()
        self._files.put(self._folder(ref), artifact, stream, export.count_arrived)

    def settle(self) -> None:
        """Remove what only the writing of files needed, of earlier attempts too."""
        self._files.settle(self._registry.places.models)

    def _versions_of(self, entry: Entry, model: RegisteredModel) -> Sequence[ModelVersion]:
        """Return the versions in order of number, and report those that cannot be read."""
        kind, unreadable = model.version_kind, self._registry.export.unreadable
        unreadable.forget_below(kind, entry.path.parent)
        found: dict[int, tuple[ModelVersion, Path]] = {}
        try:
            stored_versions = [*entry.versions()]
            failed = entry.failed()
        except DirectoryError as problem:
            unreadable.report(model.ref, "", entry.path, problem)
            return []
        for number, path, load in stored_versions:
            try:
                version = read_version(path, load, model)
                if version.version in found:
                    raise held_twice(str(version.ref), path, found[version.version][1])
            except DirectoryError as problem:
                ref = Ref(kind, f"{model.name}/{number}")
                unreadable.report(ref, model.name, path, problem)
                continue
            found[version.version] = version, path
        known = {it.number for it in stored_versions} | {str(number) for number in found}
        self._report_absent(entry, model, known, failed)
        for lacking in self._registry.export.lacks.within(kind, model.name):
            if lacking.ref not in {version.ref for version, _ in found.values()}:
                unreadable.add(lacking)
        return [self._with_losses(entry, found[number][0]) for number in sorted(found)]

    def _report_absent(
        self, entry: Entry, model: RegisteredModel, known: Set[str], failed: Sequence[str]
    ) -> None:
        """Report the versions that are listed, or failed to export, and are not known."""
        for number in dict.fromkeys((*failed, *entry.listed())):
            if number not in known:
                ref = Ref(model.version_kind, f"{model.name}/{number}")
                gone = not_there(entry.path, str(ref), failed=number in failed)
                self._registry.export.unreadable.report(ref, model.name, entry.path, gone)

    def _with_losses(self, entry: Entry, version: ModelVersion) -> ModelVersion:
        lost = losses_of(self._registry.places.base, entry.path.parent, version.ref)
        return replace(version, losses=(*version.losses, *lost)) if lost else version

    @property
    def _files(self) -> VersionFilesWriter:
        with self._registry.lock:
            if self._files_writer is None:
                base, folds_case = self._registry.places.base, self._registry.export.folds_case
                self._files_writer = VersionFilesWriter(base, folds_case=folds_case)
            return self._files_writer

    def _present_files(self, ref: Ref) -> Path:
        folder = self._folder(ref)
        if not os.path.lexists(folder):
            path = self._registry.export.path
            raise NotFound(f"{ref.kind} {ref.id} has no files of its own in {path}")
        return folder


def _set_aliases(entry: Entry, model: RegisteredModel, aliases: Mapping[str, int]) -> None:
    if aliases != model.aliases:
        write_model(entry.record_file, model_to_json(model, aliases), entry.record())
