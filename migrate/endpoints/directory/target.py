"""An export directory as a target: copies keep their ids, and appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from migrate.endpoints.answers import NOT_TOLD, Copy, Ended, PermissionsWritten
from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.indexes.contents import Contents, write_contents
from migrate.endpoints.directory.indexes.experiments import ExperimentEntry, earlier_durations
from migrate.endpoints.directory.indexes.publishing import Publication
from migrate.endpoints.directory.indexes.requested import Requested
from migrate.endpoints.directory.layout import LOGGED_MODELS, RUNS, TRACES
from migrate.endpoints.directory.locking import ExportLock
from migrate.endpoints.directory.native.losses import keep_shortfall
from migrate.endpoints.directory.native.replacing import settle
from migrate.endpoints.directory.one_writer import OneWriter
from migrate.endpoints.directory.source import ExportReader
from migrate.endpoints.directory.stores.roles import KeepsLosses
from migrate.endpoints.protocols.runs import RunWriter
from migrate.errors import DirectoryError
from migrate.objects import (
    ACTIVE,
    DELETED,
    MODEL_KINDS,
    NO_RUN,
    VERSION_KINDS,
    Artifact,
    ArtifactRoot,
    Experiment,
    Kind,
    LoggedModel,
    Loss,
    ModelLinks,
    ModelMetric,
    ModelVersion,
    Permissions,
    Ref,
    RegisteredModel,
    Run,
)


class ExportDirectory(ExportReader, OneWriter):
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
        super().__init__(
            Export(path, writable=writable, is_target=is_target, holds_models=holds_models)
        )
        self._lock = ExportLock(path)
        self._keep_losses: dict[Kind, KeepsLosses] = {
            self._experiments.kind: self._experiments,
            self._runs.kind: self._runs,
            self._logged_models.kind: self._logged_models,
            **dict.fromkeys(MODEL_KINDS, self._registered_models),
            **dict.fromkeys(VERSION_KINDS, self._model_versions),
            **self._records,
        }

    def close(self) -> None:
        """Abandon what is being written, and let others write."""
        self._runs.close()
        self._logged_models.close()
        self._trace_folders.close()
        self._lock.release()

    def create_experiment(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create_experiment``."""
        return self._experiments.create(experiment)

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """See ``WritesExperiments.set_experiment_tags``."""
        self._experiments.set_tags(experiment_id, tags)
        return ()

    def remove_experiment_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """See ``WritesExperiments.remove_experiment_tags``."""
        self._experiments.remove_tags(experiment_id, keys)

    def delete_experiment(self, experiment_id: str) -> None:
        """See ``WritesExperiments.delete_experiment``."""
        self._experiments.set_stage(experiment_id, DELETED)

    def restore_experiment(self, experiment_id: str) -> None:
        """See ``WritesExperiments.restore_experiment``."""
        self._experiments.set_stage(experiment_id, ACTIVE)

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """See ``WritesExperiments.rename_experiment``."""
        self._experiments.rename(experiment_id, name)

    def create_run(self, experiment_id: str, run: Run, *, anew: bool = False) -> RunWriter:
        """See ``WritesRuns.create_run``."""
        return self._runs.create(experiment_id, run, anew=anew)

    def adopt_run(self, experiment_id: str, copy: Run, run: Run) -> RunWriter:
        """See ``WritesRuns.adopt_run``."""
        return self._runs.adopt(experiment_id, copy, run)

    def find_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """See ``WritesRuns.find_copies``."""
        return dict(self._runs.find_copies(experiment_id, origins))

    def restore_runs(self, run_ids: Sequence[str]) -> None:
        """See ``WritesRuns.restore_runs``."""
        self._runs.restore(run_ids)

    def create_logged_model(
        self, experiment_id: str, model: LoggedModel, *, anew: bool = False
    ) -> LoggedModel:
        """See ``WritesLoggedModels.create_logged_model``."""
        return self._logged_models.create(experiment_id, model, anew=anew)

    def find_model_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """See ``WritesLoggedModels.find_model_copies``."""
        return dict(self._logged_models.find_copies(experiment_id, origins))

    def log_model_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        """See ``WritesLoggedModels.log_model_metrics``."""
        self._logged_models.add_metrics(model_id, metrics)
        return ()

    def link_model(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        """See ``WritesLoggedModels.link_model``."""
        self._runs.link(run_id, links)
        return ()

    def open_run(self, run_id: str) -> AbstractContextManager[None]:
        """See ``WritesLoggedModels.open_run``; here a deleted run can be written to."""
        return nullcontext()

    def finish_logged_model(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``WritesLoggedModels.finish_logged_model``."""
        self._logged_models.finish(copy, model, mark)
        return ()

    def delete_logged_model(self, experiment_id: str, model_id: str, origin: str) -> None:
        """See ``WritesLoggedModels.delete_logged_model``: its record says so already."""

    def create_registered_model(self, model: RegisteredModel) -> None:
        """See ``WritesRegistry.create_registered_model``."""
        self._registered_models.create(model)

    def update_registered_model(
        self, copy: RegisteredModel, model: RegisteredModel
    ) -> Sequence[Loss]:
        """See ``WritesRegistry.update_registered_model``."""
        self._registered_models.update(copy, model)
        return ()

    def delete_registered_model(self, name: str) -> None:
        """See ``WritesRegistry.delete_registered_model``."""
        self._registered_models.delete(name)

    def create_model_version(self, version: ModelVersion) -> int:
        """See ``WritesRegistry.create_model_version``."""
        return self._model_versions.create(version)

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        """See ``WritesRegistry.update_model_version``."""
        self._model_versions.update(copy, version)
        return ()

    def delete_model_version(self, version: ModelVersion) -> None:
        """See ``WritesRegistry.delete_model_version``."""
        self._model_versions.delete(version)

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put_artifact``; of a run, only while it is being written.

        Raises ``Unavailable`` when the stream has not the size of the artifact, ``Refused``,
        ``StorageFull`` or ``DirectoryError``.
        """
        self._files_of(root.owner).put_artifact(root.owner, artifact, stream)

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write_permissions``. Raises ``NotFound``."""
        return self._store_in(self._guarded, ref).write_permissions(ref, permissions)

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``.

        Raises ``NotFound``, ``StorageFull`` or ``DirectoryError``.
        """
        if copy.kind in self._keep_losses:
            self._keep_losses[copy.kind].keep_losses(copy, losses)

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        """See ``Target.publish``: lists in the indexes what is there.

        Raises ``DirectoryError`` when an experiment is damaged, after the others are written.
        """
        self._export.require_writable()
        base = self._export.base
        with self._export.lock:
            earlier = earlier_durations(base)
            entries = [
                self._list_contents(experiment.experiment_id, earlier)
                for experiment in self._experiments.list()
            ]
            self._model_versions.settle()
            Publication(
                opened=self._export.open(),
                unreadable=self._export.unreadable,
                requested=Requested(directory=self._export.path, options=ended.options),
                seconds=self._export.durations.total(),
            ).write(entries, self._model_versions.contents(), self._run_members)
            keep_shortfall(base, ended)
            self._lock.finished()
        for damaged in self.unreadable():
            if damaged.ref.kind is self._experiments.kind and Path(damaged.where).exists():
                raise DirectoryError(damaged.reason, damaged.hint)

    def claim(self) -> None:
        """See ``Target.claim``. Raises ``DirectoryError`` where nothing can be locked."""
        self._export.require_writable()
        self._export.open()
        self._lock.take()

    def withdraw(self) -> None:
        """See ``Target.withdraw``."""
        with self._export.lock:
            self._lock.unused()
            self._export.unmake(self._lock)

    def _list_contents(self, experiment_id: str, earlier: Mapping[str, float]) -> ExperimentEntry:
        """Bring the lists of an experiment up to date; return its entry in experiments.json."""
        directory = self._experiments.present(experiment_id)
        for folder in (RUNS, LOGGED_MODELS, TRACES):
            settle(directory / folder)
        entry = write_contents(self._export.base, directory, self._contents(experiment_id))
        took = self._export.durations.of(experiment_id)
        return entry._replace(duration=earlier.get(entry.directory, 0.0) if took is None else took)

    def _contents(self, experiment_id: str) -> Contents:
        """Return what is in an experiment; what is damaged or half made counts as failed."""
        contents = Contents()
        for run in self._runs.list([experiment_id]):
            contents.add_run(run)
        for model in self._logged_models.list([experiment_id]):
            contents.add_logged_model(model)
        for trace in self._traces.within(experiment_id):
            contents.add_trace(trace, has_dump=self._trace_folders.has_dump(trace))
        for entry in self.unreadable():
            if entry.container == experiment_id and os.path.lexists(entry.where):
                if entry.ref.kind is self._runs.kind:
                    contents.failed_runs.append(entry.ref.id)
                elif entry.ref.kind is self._logged_models.kind:
                    contents.failed_logged_models.append(entry.ref.id)
                elif entry.ref.kind is self._trace_folders.kind:
                    contents.failed_traces.append(entry.ref.id)
        return contents

    def _run_members(self, version: ModelVersion) -> dict[str, str]:
        """Return what a version's entry in model.json says of its run: other tools need it."""
        run = self.version_run(version)
        if run == NO_RUN:
            return {}
        return {"_run_artifact_uri": run.artifact_uri, "_experiment_name": run.experiment_name}
