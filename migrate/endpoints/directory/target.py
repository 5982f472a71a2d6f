"""An export directory as a target: copies keep their ids, and appear whole or not at all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from migrate.endpoints.answers import NOT_TOLD, Copy, Ended, PermissionsWritten
from migrate.endpoints.directory.indexes.contents import Contents, write_contents
from migrate.endpoints.directory.indexes.experiments import ExperimentEntry, told_durations
from migrate.endpoints.directory.indexes.publishing import Publication
from migrate.endpoints.directory.indexes.requested import Requested
from migrate.endpoints.directory.layout import (
    LOGGED_MODEL_FILE,
    LOGGED_MODELS,
    RUNS,
    logged_model_directory,
    partial_directory,
)
from migrate.endpoints.directory.locking import ExportLock
from migrate.endpoints.directory.native.artifacts import whole_files
from migrate.endpoints.directory.native.experiment_file import keep_permissions
from migrate.endpoints.directory.native.losses import keep_losses, keep_shortfall
from migrate.endpoints.directory.native.model_writing import (
    LoggedModelWriter,
    each_once,
    read_started_model,
)
from migrate.endpoints.directory.native.replacing import (
    complete_place,
    discard_partial,
    restore_replaced,
    settle,
    take_up,
)
from migrate.endpoints.directory.native.run_writing import (
    DirectoryRunWriter,
)
from migrate.endpoints.directory.native.sidecar import Sidecar, note_losses, whole_sidecar
from migrate.endpoints.directory.native.version_files import VersionFilesWriter, version_artifacts
from migrate.endpoints.directory.one_writer import OneWriter
from migrate.endpoints.directory.opening import unmake
from migrate.endpoints.directory.stores.registry import RegistryReader
from migrate.endpoints.directory.stores.registry_writing import RegistryWriter
from migrate.endpoints.directory.stores.scanning import (
    experiment_directories,
    logged_model_directories,
)
from migrate.endpoints.directory.writing import (
    ExperimentsWriter,
    copy_of,
    folds_case,
    half_made_of,
)
from migrate.errors import AlreadyExists, DirectoryError, NotFound
from migrate.objects import (
    NO_RUN,
    REGISTRY_KINDS,
    Artifact,
    ArtifactRoot,
    Kind,
    LoggedModel,
    Loss,
    ModelMetric,
    ModelVersion,
    Permissions,
    Ref,
    RegisteredModel,
)


class ExportDirectory(ExperimentsWriter, OneWriter):
    """A directory of the format in docs/export-format.md; implements ``Target``.

    Where not ``writable`` it is a ``Source`` only, and nothing is written to it.
    Where ``writable``, the first call makes the directory if it is missing, in the layout of
    exports of models where it ``holds_models``. Half-made runs are then among those ``read_runs``
    returns, so that they can be adopted. Damaged runs are not: ``create_run`` names the damage.
    Nor are damaged files of a target listed, so that they are sent again, and missed by who
    compares.
    """

    def __init__(
        self,
        path: Path,
        *,
        writable: bool,
        is_target: bool = False,
        holds_models: bool = False,
    ) -> None:
        super().__init__(path, writable=writable, holds_models=holds_models)
        self._tells_whole_files = writable or is_target
        self._export_lock = ExportLock(path)
        self._model_writers: dict[str, LoggedModelWriter] = {}
        self._registry_writer: RegistryWriter | None = None
        self._version_writer: VersionFilesWriter | None = None

    def close(self) -> None:
        """Abandon what is being written, and let others write."""
        super().close()
        self._model_writers.clear()
        self._export_lock.release()

    def create_logged_model(
        self, experiment_id: str, model: LoggedModel, *, anew: bool = False
    ) -> LoggedModel:
        """See ``WritesLoggedModels.create_logged_model``; goes on with a half-made one.

        Unless ``anew``: raises ``AlreadyExists`` when it is there, ``DirectoryError`` when it is
        damaged.
        """
        directory = self._existing_experiment(experiment_id)
        place = logged_model_directory(directory, model.model_id)
        restore_replaced(place)
        if anew:
            discard_partial(self._open().base, place)
        else:
            take_up(place, LOGGED_MODEL_FILE)
        if place.exists() and not anew:
            self._parts().models.read(place, experiment_id)
            raise AlreadyExists(f"logged model {model.model_id} is in {self._path} already")
        copy = dataclasses.replace(model, experiment_id=experiment_id)
        with self._lock:
            self._model_writers[model.model_id] = self._new_model_writer(place, copy, None)
        return copy

    def find_model_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """See ``WritesLoggedModels.find_model_copies``; the origin of a copy is its own id."""
        directory = self._experiment_path(experiment_id)
        if directory is None:
            return {}
        copies = {}
        folder = directory / LOGGED_MODELS
        for path in half_made_of(folder, logged_model_directory, directory, origins):
            begun = read_started_model(self._open().base, path, experiment_id)
            if begun is not None:
                copies[begun.model_id] = copy_of(begun, "")
        for path in _complete_models_in(directory, origins):
            with suppress(DirectoryError):  # ``create_logged_model`` names the damage
                model, sidecar = self._parts().models.read(path, experiment_id)
                mark = self._mark(path, LOGGED_MODEL_FILE, sidecar)
                copies[model.model_id] = copy_of(model, mark)
        return {origin: [copy] for origin, copy in copies.items()}

    def read_logged_models(self, model_ids: Sequence[str]) -> list[LoggedModel]:
        """See ``ReadsLoggedModels.read_logged_models`` and this class."""
        if not self._writable:
            return super().read_logged_models(model_ids)
        found = []
        for model_id in model_ids:
            with suppress(DirectoryError):
                complete = super().read_logged_models([model_id])
                half_made = [] if complete else self._half_made_model(model_id)
                found += complete or [model for model, _ in half_made]
        return found

    def log_model_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        """See ``WritesLoggedModels.log_model_metrics``; a complete copy is replaced at once.

        Those of a copy in the making are written by ``finish_logged_model``.
        """
        with self._lock:
            if model_id not in self._model_writers:
                place = self._owner_path(Ref(Kind.LOGGED_MODEL, model_id))
                if place is not None and not partial_directory(place).exists():
                    self._add_metrics(place, metrics)
                    return ()
        self._model_writer(model_id).add_metrics(metrics)
        return ()

    def finish_logged_model(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``WritesLoggedModels.finish_logged_model``; until it returns, nobody sees it."""
        self._model_writer(copy.model_id).finish(model, mark)
        del self._model_writers[copy.model_id]
        return ()

    def delete_logged_model(self, experiment_id: str, model_id: str, origin: str) -> None:
        """See ``WritesLoggedModels.delete_logged_model``: its record says so already."""

    def create_registered_model(self, model: RegisteredModel) -> None:
        """See ``WritesRegistry.create_registered_model`` and ``RegistryWriter``."""
        self._registry_to_write().create_registered_model(model)

    def update_registered_model(
        self, copy: RegisteredModel, model: RegisteredModel
    ) -> Sequence[Loss]:
        """See ``WritesRegistry.update_registered_model``."""
        self._registry_to_write().update_registered_model(copy, model)
        return ()

    def delete_registered_model(self, name: str) -> None:
        """See ``WritesRegistry.delete_registered_model``."""
        self._registry_to_write().delete_registered_model(name)

    def create_model_version(self, version: ModelVersion) -> int:
        """See ``WritesRegistry.create_model_version`` and ``RegistryWriter``."""
        return self._registry_to_write().create_model_version(version)

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        """See ``WritesRegistry.update_model_version``."""
        self._registry_to_write().update_model_version(copy, version)
        return ()

    def delete_model_version(self, version: ModelVersion) -> None:
        """See ``WritesRegistry.delete_model_version``."""
        self._registry_to_write().delete_model_version(version)

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """See ``ReadsArtifacts.artifacts``; of a target, only what is there and whole.

        Of what is being written, the files it has so far.
        """
        if root.owner.kind is Kind.MODEL_VERSION:
            return self._version_artifacts(root)
        writer = self._writer_of(root.owner)
        if writer is not None:
            files = writer.listing()
        elif self._tells_whole_files:
            place, base = self._present(root.owner), self._open().base
            files = whole_files(base, place, whole_sidecar(base, place))
        else:
            return super().artifacts(root)
        return [Artifact(file.path, file.size) for file in files]

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put_artifact``; of a run, only while it is being written.

        Each file of a version is there for good as soon as it has arrived.
        Raises ``Unavailable`` when the stream has not the size of the artifact, ``Refused``,
        ``StorageFull`` or ``DirectoryError``.
        """
        if root.owner.kind is Kind.MODEL_VERSION:
            folder = self._registry_to_write().files_of(root.owner)
            self._version_files().put(folder, artifact, stream, self._count_arrived)
            return
        writer = self._writer_of(root.owner)
        if writer is None and root.owner.kind is Kind.LOGGED_MODEL:
            writer = self._model_writer(root.owner.id)
        if writer is None:
            raise DirectoryError(f"{root.owner} is not being written in {self._path}")
        writer.files.put(artifact, stream, self._count_arrived)

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write_permissions``. Raises ``NotFound``."""
        if ref.kind is not Kind.EXPERIMENT:
            return self._registry_to_write().write_permissions(ref, permissions)
        with self._lock:
            directory = self._existing_experiment(ref.id)
            return keep_permissions(self._base_to_write(), directory, permissions)

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``.

        Raises ``NotFound``, ``StorageFull`` or ``DirectoryError``.
        """
        if copy.kind in REGISTRY_KINDS:
            self._registry_to_write().keep_losses(copy, losses)
        elif copy.kind is Kind.EXPERIMENT:
            with self._lock:
                folder = self._existing_experiment(copy.id)
                keep_losses(self._base_to_write(), folder, copy, losses)
        elif copy.kind in (Kind.RUN, Kind.LOGGED_MODEL):
            note_losses(self._base_to_write(), self._present(copy), losses)
        elif copy.kind in self._simple:
            self._simple[copy.kind].keep_losses(copy.id, losses)

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        """See ``Target.publish``: lists in the indexes what is there.

        Raises ``DirectoryError`` when an experiment is damaged, after the others are written.
        """
        base = self._base_to_write()
        entries: list[ExperimentEntry] = []
        with self._lock:
            earlier = told_durations(base)
            for experiment in list(self.experiments()):
                directory = self._experiment_paths[experiment.experiment_id]
                for folder in (RUNS, LOGGED_MODELS):
                    settle(directory / folder)
                contents = self._contents(experiment.experiment_id)
                entry = write_contents(base, directory, contents)
                took = self._durations.of(experiment.experiment_id)
                if took is None:
                    took = earlier.get(entry.directory, 0.0)
                entries.append(entry._replace(duration=took))
            self._version_files().settle(self._open().registry.models)
            Publication(
                opened=self._open(),
                unreadable=self._unreadable,
                requested=Requested(directory=self._path, options=ended.options),
                seconds=self._durations.total(),
            ).write(entries, self._registry_to_write().contents(), self._run_members)
            keep_shortfall(base, ended)
            self._export_lock.finished()
        for damaged in self.unreadable():
            if damaged.ref.kind is Kind.EXPERIMENT and Path(damaged.where).exists():
                raise DirectoryError(damaged.reason, damaged.hint)

    def claim(self) -> None:
        """See ``Target.claim``. Raises ``DirectoryError`` where nothing can be locked."""
        self._base_to_write()
        self._export_lock.take()

    def withdraw(self) -> None:
        """See ``Target.withdraw``."""
        with self._lock:
            self._export_lock.unused()
            if self._opened is not None:
                unmake(self._opened, self._export_lock)
                self._opened = None

    def _version_artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """Return the files of a version; where it is being written, it may have none yet."""
        if not self._writable:
            return super().artifacts(root)
        folder = self._registry_to_write().files_of(root.owner)
        return version_artifacts(self._open().registry.base, folder)

    def _version_files(self) -> VersionFilesWriter:
        with self._lock:
            if self._version_writer is None:
                folds = folds_case(self._open().base)
                top = self._open().registry.base
                self._version_writer = VersionFilesWriter(top, folds_case=folds)
            return self._version_writer

    def _writer_of(self, owner: Ref) -> DirectoryRunWriter | LoggedModelWriter | None:
        if owner.kind is Kind.LOGGED_MODEL:
            return self._model_writer(owner.id) if self._is_begun(owner) else None
        return self._writers.get(owner.id)

    def _is_begun(self, owner: Ref) -> bool:
        """Say whether a logged model is being written, or was when an export was killed."""
        if not self._writable or owner.id in self._model_writers:
            return self._writable
        path = self._owner_path(owner)
        if path is None:
            return bool(self._half_made_model(owner.id))
        place = logged_model_directory(path.parent.parent, owner.id)
        return partial_directory(place).exists()

    def _half_made_model(self, model_id: str) -> list[tuple[LoggedModel, Path]]:
        """Return a logged model that was begun, and its place."""
        for experiment in experiment_directories(self._open()):
            place = logged_model_directory(experiment, model_id)
            partial = partial_directory(place)
            if partial.exists():
                experiment_id = self._experiment_around(place)
                begun = read_started_model(self._open().base, partial, experiment_id)
                return [(begun, place)] if begun is not None else []
        return []

    def _model_writer(self, model_id: str) -> LoggedModelWriter:
        """Return what writes a logged model that was begun, here or earlier, or is complete.

        Raises ``NotFound``, and ``DirectoryError`` when it is damaged.
        """
        self._base_to_write()
        with self._lock:
            if model_id not in self._model_writers:
                earlier = None
                path = self._owner_path(Ref(Kind.LOGGED_MODEL, model_id))
                half_made = [] if path else self._half_made_model(model_id)
                if path is not None:
                    experiment_id = self._experiment_around(path)
                    place = logged_model_directory(path.parent.parent, model_id)
                    restore_replaced(place)
                    earlier = self._parts().models.read(place, experiment_id)
                    model = earlier[0]
                elif half_made:
                    model, place = half_made[0]
                else:
                    raise NotFound(f"logged model {model_id} is not in {self._path}")
                self._model_writers[model_id] = self._new_model_writer(place, model, earlier)
            return self._model_writers[model_id]

    def _new_model_writer(
        self,
        place: Path,
        model: LoggedModel,
        earlier: tuple[LoggedModel, Sidecar | None] | None,
    ) -> LoggedModelWriter:
        base = self._open().base
        return LoggedModelWriter(base, place, model, earlier, folds_case=folds_case(base))

    def _add_metrics(self, place: Path, metrics: Sequence[ModelMetric]) -> None:
        model, sidecar = self._parts().models.read(place, self._experiment_around(place))
        if each_once((*model.metrics, *metrics)) != each_once(model.metrics):
            wanted = dataclasses.replace(model, metrics=(*model.metrics, *metrics))
            self.finish_logged_model(model, wanted, sidecar.mark if sidecar else "")

    def _registry(self) -> RegistryReader:
        return self._registry_to_write() if self._writable else super()._registry()

    def _registry_to_write(self) -> RegistryWriter:
        self._base_to_write()
        with self._lock:
            if self._registry_writer is None:
                self._registry_writer = RegistryWriter(
                    self._open().registry, self._unreadable, self._shortfall()
                )
            return self._registry_writer

    def _run_members(self, version: ModelVersion) -> dict[str, str]:
        """Return what a version's entry in model.json says of its run: other tools need it."""
        run = self.version_run(version)
        if run == NO_RUN:
            return {}
        return {"_run_artifact_uri": run.artifact_uri, "_experiment_name": run.experiment_name}

    def _contents(self, experiment_id: str) -> Contents:
        """Return what is in an experiment; what is damaged or half made counts as failed."""
        contents = Contents()
        for run in self.runs([experiment_id]):
            contents.add_run(run)
        for model in self._listed(self._parts().model_listing, [experiment_id]):
            contents.add_logged_model(model)
        for entry in self.unreadable():
            if entry.container == experiment_id and os.path.lexists(entry.where):
                if entry.ref.kind is Kind.RUN:
                    contents.failed_runs.append(entry.ref.id)
                elif entry.ref.kind is Kind.LOGGED_MODEL:
                    contents.failed_logged_models.append(entry.ref.id)
        return contents


def _complete_models_in(experiment: Path, origins: Collection[str] | None) -> Iterator[Path]:
    if origins is None:
        return (path for _, path in logged_model_directories(experiment))
    places = (logged_model_directory(experiment, origin) for origin in origins)
    return filter(None, map(complete_place, places))
