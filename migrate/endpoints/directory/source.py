"""An export directory as a source: all that is in it, histories and files read as a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, TypeVar

from migrate.endpoints.answers import Capabilities, Histories, Unreadable
from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.foreign.counting import count_datasets
from migrate.endpoints.directory.foreign.identity import foreign_identity
from migrate.endpoints.directory.native.version_files import has_files
from migrate.endpoints.directory.stores.evaluation_datasets import EvaluationDatasetStore
from migrate.endpoints.directory.stores.experiments import ExperimentStore
from migrate.endpoints.directory.stores.logged_models import LoggedModelStore
from migrate.endpoints.directory.stores.model_versions import ModelVersionStore
from migrate.endpoints.directory.stores.registered_models import RegisteredModelStore
from migrate.endpoints.directory.stores.registry import Registry
from migrate.endpoints.directory.stores.roles import Guarded, HasFiles
from migrate.endpoints.directory.stores.runs import RunStore
from migrate.endpoints.directory.stores.simple import SIMPLE, SimpleStore
from migrate.endpoints.directory.stores.trace_folders import TraceFolders
from migrate.endpoints.directory.stores.traces import TraceStore
from migrate.endpoints.stores import ALL_KEPT, Bookkeeping, Store
from migrate.errors import DirectoryError, NotFound
from migrate.objects import (
    DELETED,
    MODEL_KINDS,
    NO_RUN,
    VERSION_KINDS,
    Artifact,
    ArtifactRoot,
    Experiment,
    Kind,
    LoggedModel,
    Metric,
    ModelLinks,
    ModelVersion,
    Permissions,
    Ref,
    RegisteredModel,
    Run,
    VersionRun,
)

S = TypeVar("S")


class ExportReader:
    """Reads an export directory; implements ``Source``. Writes nothing.

    What cannot be read is left out of every listing and returned by ``unreadable``.
    """

    def __init__(self, export: Export) -> None:
        self._export = export
        self._identity = ""
        self._experiments = ExperimentStore(export)
        self._runs = RunStore(export, self._experiments)
        self._logged_models = LoggedModelStore(export, self._experiments)
        self._trace_folders = TraceFolders(export, self._experiments)
        self._registry = Registry(export)
        self._registered_models = RegisteredModelStore(self._registry)
        self._model_versions = ModelVersionStore(self._registry)
        self._records: dict[Kind, SimpleStore[Any]] = {
            Kind.EVALUATION_DATASET: EvaluationDatasetStore(export),
            **{kind: SimpleStore(kind, simple, export) for kind, simple in SIMPLE.items()},
        }
        self._traces = TraceStore(export, self._trace_folders)
        self._guarded: dict[Kind, Guarded] = {
            self._experiments.kind: self._experiments,
            **dict.fromkeys(MODEL_KINDS, self._registered_models),
        }
        self._with_files: dict[Kind, HasFiles] = {
            self._runs.kind: self._runs,
            self._logged_models.kind: self._logged_models,
            self._trace_folders.kind: self._trace_folders,
            **dict.fromkeys(VERSION_KINDS, self._model_versions),
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
                or foreign_identity(self.experiments(), self.registered_models, self._export.path)
            )
        kinds = frozenset({*self._guarded, *self._with_files, Kind.DELETION})
        return Capabilities(
            description=f"export directory {self._export.path}",
            version=opened.version,
            identity=self._identity,
            readable=kinds,
            writable=kinds if self._export.writable else frozenset(),
            found_by=ALL_KEPT,
            bookkeeping=Bookkeeping.SIDECAR,
            archive=True,
            permissions=True,
            keeps_notebooks=True,
            lists_links=True,
            notes=opened.notes,
        )

    def look_up_users(self, names: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up_users``: an export has no users."""

    def beside_permissions(self, ref: Ref) -> Sequence[str]:
        """See ``ReadsPermissions.beside_permissions``: says where an export holds none."""
        try:
            if self.permissions(ref).dialect:
                return ()
        except (NotFound, DirectoryError):
            return ()  # whoever wants to copy them is told
        return ("the export holds no permissions on it: none were exported, or there were none",)

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.permissions``.

        Raises ``NotFound``, and ``DirectoryError`` when they are of no known form.
        """
        return self._store_in(self._guarded, ref).permissions(ref)

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """See ``ReadsNotebooks.notebook``; in an export they are files of their runs."""
        raise NotFound(
            f"{self._export.path} has no notebooks but those among the files of its runs"
        )

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``; what cannot be read of an export is in ``unreadable``."""
        self._export.look_for_writer()
        said = (*self._export.unknown, *self._registry.unknown)
        return () if self._export.writable else tuple(dict.fromkeys(said))

    def transferred(self) -> int:
        """See ``Endpoint.transferred``."""
        return self._export.arrived

    def close(self) -> None:
        """Nothing is kept open."""

    def unreadable(self) -> Sequence[Unreadable]:
        """Return what the last listing of each kind, and in each experiment, left out.

        Files that are damaged, of another format or links; objects that an index lists and
        that are missing; what did not finish when it was exported.
        """
        return self._export.unreadable.all()

    def why_unreadable(self, ref: Ref) -> Unreadable | None:
        """See ``ReadsRuns.why_unreadable``."""
        return self._export.unreadable.of(ref)

    def experiments(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.experiments``."""
        return self._experiments.list()

    def read_experiments(self, experiment_ids: Sequence[str]) -> list[Experiment]:
        """See ``ReadsExperiments.read_experiments``."""
        return list(self._experiments.read(experiment_ids))

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``ReadsExperiments.unsupported``."""
        chosen = None if whole_server else frozenset(experiment_ids)
        datasets = count_datasets(self._export.path, chosen)
        return {**self._export.lacks.unsupported, **datasets}

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        """See ``ReadsRuns.runs``."""
        return self._runs.list(experiment_ids)

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsRuns.read_runs``. Raises ``DirectoryError`` when one is unreadable."""
        return list(self._runs.read_in(experiment_id, run_ids))

    def find_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsLoggedModels.find_runs``; unreadable ones are reported and left out."""
        return list(self._runs.read(run_ids))

    def model_links(self, run_ids: Sequence[str]) -> dict[str, ModelLinks]:
        """See ``ReadsLoggedModels.model_links``."""
        return {run.run_id: run.links for run in self._runs.read(run_ids)}

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``. Raises ``DirectoryError`` when the first is damaged."""
        return self._runs.histories(runs, budget)

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """See ``ReadsRuns.metric_history``."""
        return self._runs.metric_history(run_id, key)

    def logged_models(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """See ``ReadsLoggedModels.logged_models``."""
        found = self._logged_models.list(experiment_ids)
        return (model for model in found if model.lifecycle_stage != DELETED)

    def read_logged_models(self, model_ids: Sequence[str]) -> list[LoggedModel]:
        """See ``ReadsLoggedModels.read_logged_models``; unreadable ones are reported."""
        return list(self._logged_models.read(model_ids))

    def registered_models(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegistry.registered_models``."""
        return self._registered_models.list(names)

    def model_versions(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsRegistry.model_versions``."""
        return self._model_versions.list(models)

    def read_model_version(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsRegistry.read_model_version``."""
        return self._model_versions.read(ref)

    def version_artifacts(self, ref: Ref) -> ArtifactRoot | None:
        """See ``ReadsRegistry.version_artifacts``."""
        folder = self._model_versions.files_of(ref)
        return ArtifactRoot(ref, str(folder)) if has_files(folder) else None

    def version_run(self, version: ModelVersion) -> VersionRun:
        """See ``ReadsRegistry.version_run``."""
        for run in self._runs.read([version.run_id] if version.run_id else []):
            return VersionRun(run.artifact_uri, self._experiments.name_of(run.experiment_id))
        return NO_RUN

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """See ``ReadsArtifacts.artifacts``; of what is damaged, what it was written with.

        Of a target, only what is there and whole; of what is being written, what it has so far.
        Raises ``DirectoryError`` when there is a link among them.
        """
        return list(self._files_of(root.owner).artifacts(root.owner))

    def open_artifact(
        self, root: ArtifactRoot, artifact: Artifact
    ) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open_artifact``.

        Raises ``NotFound``, and ``DirectoryError`` when the file is cut off. Reading its last
        piece raises ``ChangedContent`` when it is not what was exported.
        """
        return self._files_of(root.owner).open_artifact(root.owner, artifact)

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``."""
        return self._files_of(root.owner).digests(root.owner)

    def _files_of(self, owner: Ref) -> HasFiles:
        return self._store_in(self._with_files, owner)

    def _store_in(self, stores: Mapping[Kind, S], ref: Ref) -> S:
        """Return the store of an object. Raises ``NotFound`` where its kind is not among these."""
        if ref.kind not in stores:
            raise NotFound(f"{ref.kind} {ref.id} is not in {self._export.path}")
        return stores[ref.kind]
