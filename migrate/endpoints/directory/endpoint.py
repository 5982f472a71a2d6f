"""An export directory: copies in it keep their ids, and appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from migrate.endpoints.answers import NOT_TOLD, Capabilities, Ended
from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.foreign.identity import foreign_identity
from migrate.endpoints.directory.indexes.contents import Contents, write_contents
from migrate.endpoints.directory.indexes.experiments import ExperimentEntry, earlier_durations
from migrate.endpoints.directory.indexes.publishing import Publication
from migrate.endpoints.directory.indexes.requested import Requested
from migrate.endpoints.directory.layout import LOGGED_MODELS, RUNS, TRACES
from migrate.endpoints.directory.locking import ExportLock
from migrate.endpoints.directory.native.losses import keep_shortfall
from migrate.endpoints.directory.native.replacing import settle
from migrate.endpoints.directory.stores.evaluation_datasets import EvaluationDatasetStore
from migrate.endpoints.directory.stores.experiments import ExperimentStore
from migrate.endpoints.directory.stores.logged_models import LoggedModelStore
from migrate.endpoints.directory.stores.model_versions import ModelVersionStore
from migrate.endpoints.directory.stores.registered_models import RegisteredModelStore
from migrate.endpoints.directory.stores.registry import Registry
from migrate.endpoints.directory.stores.roles import (
    ExportArtifacts,
    ExportPermissions,
    Guarded,
    HasFiles,
    KeepsLosses,
)
from migrate.endpoints.directory.stores.runs import ModelLinkStore, RunStore
from migrate.endpoints.directory.stores.simple import SIMPLE, SimpleStore
from migrate.endpoints.directory.stores.skills import SkillStore
from migrate.endpoints.directory.stores.trace_folders import TraceFolders
from migrate.endpoints.directory.stores.traces import TraceStore
from migrate.endpoints.directory.stores.uncopied import count_datasets
from migrate.endpoints.one_writer import OneWriter
from migrate.endpoints.stores import ALL_KEPT, Bookkeeping, Store
from migrate.errors import DirectoryError, NotFound
from migrate.kinds import MODEL_KINDS, VERSION_KINDS, Kind, Ref
from migrate.objects import NO_RUN, Loss, ModelVersion


class ExportDirectory:
    """A directory of the format in docs/export-format.md; implements ``Target``.

    Where not ``writable`` it is a ``Source`` only, and nothing is written to it. What cannot be
    read is left out of every listing and is among what is ``unreadable``: files that are damaged,
    of another format or links; objects that an index lists and that are missing; what did not
    finish when it was exported.

    Where ``writable``, the first call makes the directory if it is missing, in the layout of
    exports of models where it ``holds_models``. Half-made runs are then among those that
    ``runs.read_in`` returns, so that they can be adopted. Damaged runs are not: ``runs.create``
    names the damage. Nor are damaged files of a target listed, so that they are sent again, and
    missed by who compares.
    """

    def __init__(
        self,
        path: Path,
        *,
        writable: bool,
        is_target: bool = False,
        holds_models: bool = False,
    ) -> None:
        self._export = Export(
            path, writable=writable, is_target=is_target, holds_models=holds_models
        )
        self._lock = ExportLock(path)
        self._identity = ""
        self._registry = Registry(self._export)
        self.unreadable = self._export.unreadable
        self.writers = OneWriter()
        self.experiments = ExperimentStore(self._export)
        self.runs = RunStore(self._export, self.experiments)
        self.logged_models = LoggedModelStore(self._export, self.experiments)
        self._trace_folders = TraceFolders(self._export, self.experiments)
        self._traces = TraceStore(self._export, self._trace_folders)
        self.model_links = ModelLinkStore(self.runs)
        self.registered_models = RegisteredModelStore(self._registry)
        self.model_versions = ModelVersionStore(self._registry, self.experiments, self.runs)
        records: tuple[SimpleStore[Any], ...] = (
            EvaluationDatasetStore(self._export),
            SkillStore(self._export),
            *(SimpleStore(simple, self._export) for simple in SIMPLE),
        )
        self._records = {store.kind: store for store in records}
        guarded: dict[Kind, Guarded] = {
            self.experiments.kind: self.experiments,
            **dict.fromkeys(MODEL_KINDS, self.registered_models),
        }
        with_files: dict[Kind, HasFiles] = {
            self.runs.kind: self.runs,
            self.logged_models.kind: self.logged_models,
            **dict.fromkeys(VERSION_KINDS, self.model_versions),
        }
        self._kinds = frozenset({*guarded, *with_files})
        with_files[self._trace_folders.kind] = self._trace_folders
        self.permissions = ExportPermissions(self._export, guarded)
        self.artifacts = ExportArtifacts(self._export, with_files)
        self._keep_losses: dict[Kind, KeepsLosses] = {
            self.experiments.kind: self.experiments,
            self.runs.kind: self.runs,
            self.logged_models.kind: self.logged_models,
            **dict.fromkeys(MODEL_KINDS, self.registered_models),
            **dict.fromkeys(VERSION_KINDS, self.model_versions),
            **self._records,
        }

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``."""
        return self._traces if kind is self._traces.kind else self._records.get(kind)

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``.

        Raises ``DirectoryError`` when it is no export, or cannot be made one, ``StorageFull``.
        """
        opened = self._export.open()
        with self._export.lock:
            self._identity = (
                self._identity
                or opened.identity
                or foreign_identity(
                    self.experiments.list(), self.registered_models.list, self._export.path
                )
            )
        return Capabilities(
            description=f"export directory {self._export.path}",
            version=opened.version,
            identity=self._identity,
            readable=self._kinds,
            writable=self._kinds if self._export.writable else frozenset(),
            found_by=ALL_KEPT,
            bookkeeping=Bookkeeping.SIDECAR,
            archive=True,
            permissions=True,
            keeps_notebooks=True,
            lists_links=True,
            notes=opened.notes,
        )

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``; what cannot be read of an export is in ``unreadable``."""
        self._export.look_for_writer()
        said = (*self._export.unknown, *self._registry.unknown)
        return () if self._export.writable else tuple(dict.fromkeys(said))

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``Source.unsupported``."""
        chosen = None if whole_server else frozenset(experiment_ids)
        datasets = count_datasets(self._export.path, chosen)
        return {**self._export.lacks.unsupported, **datasets}

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """See ``Source.notebook``; in an export they are files of their runs."""
        raise NotFound(
            f"{self._export.path} has no notebooks but those among the files of its runs"
        )

    def before_creating(self, call: Callable[[], None] | None) -> None:
        """See ``Target.before_creating``: only one process can write."""

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
                for experiment in self.experiments.list()
            ]
            self.model_versions.settle()
            Publication(
                opened=self._export.open(),
                unreadable=self._export.unreadable,
                requested=Requested(directory=self._export.path, options=ended.options),
                seconds=self._export.durations.total(),
            ).write(entries, self.model_versions.contents(), self._run_members)
            keep_shortfall(base, ended)
            self._lock.finished()
        for damaged in self.unreadable.all():
            if damaged.ref.kind is self.experiments.kind and Path(damaged.where).exists():
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

    def close(self) -> None:
        """Abandon what is being written, and let others write."""
        self.runs.close()
        self.logged_models.close()
        self._trace_folders.close()
        self._lock.release()

    def _list_contents(self, experiment_id: str, earlier: Mapping[str, float]) -> ExperimentEntry:
        """Bring the lists of an experiment up to date; return its entry in experiments.json."""
        directory = self.experiments.present(experiment_id)
        for folder in (RUNS, LOGGED_MODELS, TRACES):
            settle(directory / folder)
        entry = write_contents(self._export.base, directory, self._contents(experiment_id))
        took = self._export.durations.of(experiment_id)
        return entry._replace(duration=earlier.get(entry.directory, 0.0) if took is None else took)

    def _contents(self, experiment_id: str) -> Contents:
        """Return what is in an experiment; what is damaged or half made counts as failed."""
        contents = Contents()
        for run in self.runs.list([experiment_id]):
            contents.add_run(run)
        for model in self.logged_models.list([experiment_id]):
            contents.add_logged_model(model)
        for trace in self._traces.within(experiment_id):
            contents.add_trace(trace, has_dump=self._trace_folders.has_dump(trace))
        for entry in self.unreadable.all():
            if entry.container == experiment_id and os.path.lexists(entry.where):
                if entry.ref.kind is self.runs.kind:
                    contents.failed_runs.append(entry.ref.id)
                elif entry.ref.kind is self.logged_models.kind:
                    contents.failed_logged_models.append(entry.ref.id)
                elif entry.ref.kind is self._traces.kind:
                    contents.failed_traces.append(entry.ref.id)
        return contents

    def _run_members(self, version: ModelVersion) -> dict[str, str]:
        """Return what a version's entry in model.json says of its run: other tools need it."""
        run = self.model_versions.run_of(version)
        if run == NO_RUN:
            return {}
        return {"_run_artifact_uri": run.artifact_uri, "_experiment_name": run.experiment_name}
