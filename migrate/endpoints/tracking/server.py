"""A tracking server as source and target, over MLflow's REST API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, NamedTuple

from migrate.endpoints.answers import (
    NOT_TOLD,
    Capabilities,
    Copy,
    Ended,
    Histories,
    PermissionsWritten,
    Unreadable,
)
from migrate.endpoints.stores import Store
from migrate.endpoints.tracking.abilities import Abilities
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.permissions.servers import PermissionStore
from migrate.endpoints.tracking.stores.experiments import ExperimentStore
from migrate.endpoints.tracking.stores.flattened import FlattenedModelStore
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.endpoints.tracking.stores.model_links import ModelLinkStore
from migrate.endpoints.tracking.stores.model_versions import ModelVersionStore
from migrate.endpoints.tracking.stores.records import RecordStores
from migrate.endpoints.tracking.stores.registered_models import RegisteredModelStore
from migrate.endpoints.tracking.stores.run_writer import ServerRunWriter
from migrate.endpoints.tracking.stores.runs import RunStore
from migrate.endpoints.tracking.writers import WriterTags
from migrate.kinds import Kind, Ref
from migrate.objects import (
    Artifact,
    ArtifactRoot,
    Experiment,
    LoggedModel,
    Loss,
    Metric,
    ModelLinks,
    ModelMetric,
    ModelVersion,
    Permissions,
    RegisteredModel,
    Run,
    VersionRun,
)


class Stores(NamedTuple):
    """What a server keeps; ``flattened`` stands in where it has no logged models."""

    experiments: ExperimentStore
    runs: RunStore
    logged_models: LoggedModelStore
    flattened: FlattenedModelStore
    model_links: ModelLinkStore
    registered_models: RegisteredModelStore
    model_versions: ModelVersionStore
    permissions: PermissionStore


class TrackingServer:
    """Source and target in one, put together of stores; safe for use by several threads.

    ``registry`` calls the server that keeps registered models, often the same. ``uncopied`` counts
    as ``ReadsExperiments.unsupported``, and ``notebook`` reads as ``ReadsNotebooks.notebook``.
    ``records`` has the kinds that are records; without it there are none.
    """

    def __init__(
        self,
        http: HttpSession,
        registry: HttpSession,
        *,
        abilities: Abilities,
        gaps: Gaps,
        stores: Stores,
        files: ArtifactStores,
        uncopied: Callable[[Sequence[str], bool], Mapping[Kind, int]],
        notebook: Callable[[str, str, str], bytes],
        records: RecordStores | None = None,
    ) -> None:
        self._sessions = (http, registry) if registry is not http else (http,)
        self._abilities = abilities
        self._gaps = gaps
        self._stores = stores
        self._files = files
        self._uncopied = uncopied
        self._notebook = notebook
        self._records = records
        self._writers = WriterTags(stores.experiments)

    # -- Endpoint ---------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``; raises the reason when the server is no use."""
        return self._abilities.capabilities()

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``."""
        return self._records.store(kind) if self._records else None

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``."""
        silences = [text for http in self._sessions for text in http.silence.doubts()]
        return (*self._gaps.unknown(), *silences)

    def transferred(self) -> int:
        """See ``Endpoint.transferred``."""
        return self._files.transferred

    def close(self) -> None:
        """See ``Endpoint.close``."""
        self._files.close()
        for http in self._sessions:
            http.close()

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        """A server needs no indexes from us."""

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``: tags of the copy say it."""

    def claim(self) -> None:
        """See ``Target.claim``: a server takes several writers at a time."""

    def withdraw(self) -> None:
        """Opening a server makes nothing."""

    # -- experiments ------------------------------------------------------------------------

    def experiments(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.experiments``."""
        return self._stores.experiments.list()

    def read_experiments(self, experiment_ids: Sequence[str]) -> list[Experiment]:
        """See ``ReadsExperiments.read_experiments``."""
        return [*self._stores.experiments.read(experiment_ids)]

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``ReadsExperiments.unsupported``."""
        counts = self._uncopied(experiment_ids, whole_server)
        return {kind: number for kind, number in counts.items() if number}

    def create_experiment(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create_experiment``."""
        return self._stores.experiments.create(experiment)

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """See ``WritesExperiments.set_experiment_tags``."""
        return self._stores.experiments.set_tags(experiment_id, tags)

    def remove_experiment_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """See ``WritesExperiments.remove_experiment_tags``."""
        self._stores.experiments.remove_tags(experiment_id, keys)

    def delete_experiment(self, experiment_id: str) -> None:
        """See ``WritesExperiments.delete_experiment``."""
        self._stores.experiments.delete(experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """See ``WritesExperiments.restore_experiment``."""
        self._stores.experiments.restore(experiment_id)

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """See ``WritesExperiments.rename_experiment``."""
        self._stores.experiments.rename(experiment_id, name)

    # -- runs -------------------------------------------------------------------------------

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        """See ``ReadsRuns.runs``."""
        return self._stores.runs.list(experiment_ids)

    def unreadable(self) -> Sequence[Unreadable]:
        """See ``ReadsRuns.unreadable``."""
        return self._gaps.unreadable.all()

    def why_unreadable(self, ref: Ref) -> Unreadable | None:
        """See ``ReadsRuns.why_unreadable``."""
        return self._gaps.unreadable.of(ref)

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsRuns.read_runs``."""
        return [*self._stores.runs.read(experiment_id, run_ids)]

    def find_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsLoggedModels.find_runs``."""
        return [*self._stores.runs.read_anywhere(run_ids)]

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``."""
        return self._stores.runs.histories(runs, budget)

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """See ``ReadsRuns.metric_history``."""
        return self._stores.runs.metric_history(run_id, key)

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """See ``ReadsNotebooks.notebook``."""
        return self._notebook(path, revision, export_format)

    def find_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """See ``WritesRuns.find_copies``."""
        return self._stores.runs.find(experiment_id, origins)

    def create_run(self, experiment_id: str, run: Run, *, anew: bool = False) -> ServerRunWriter:
        """See ``WritesRuns.create_run``."""
        return self._stores.runs.create(experiment_id, run)

    def adopt_run(self, experiment_id: str, copy: Run, run: Run) -> ServerRunWriter:
        """See ``WritesRuns.adopt_run``."""
        return self._stores.runs.adopt(copy, run)

    def restore_runs(self, run_ids: Sequence[str]) -> None:
        """See ``WritesRuns.restore_runs``."""
        for run_id in run_ids:
            self._stores.runs.restore(run_id)

    def open_run(self, run_id: str) -> AbstractContextManager[None]:
        """See ``WritesLoggedModels.open_run``."""
        return self._stores.runs.restored(run_id)

    # -- logged models ----------------------------------------------------------------------

    @property
    def _logged_models(self) -> LoggedModelStore | FlattenedModelStore:
        has_them = self._abilities.has(Kind.LOGGED_MODEL)
        return self._stores.logged_models if has_them else self._stores.flattened

    def logged_models(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """See ``ReadsLoggedModels.logged_models``."""
        return self._logged_models.list(experiment_ids)

    def read_logged_models(self, model_ids: Sequence[str]) -> list[LoggedModel]:
        """See ``ReadsLoggedModels.read_logged_models``."""
        return [*self._logged_models.read(model_ids)]

    def model_links(self, run_ids: Sequence[str]) -> dict[str, ModelLinks]:
        """See ``ReadsLoggedModels.model_links``."""
        if not run_ids or not self._abilities.has(Kind.LOGGED_MODEL):
            return {}
        return self._stores.model_links.read(run_ids)

    def find_model_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """See ``WritesLoggedModels.find_model_copies``."""
        return self._logged_models.find(experiment_id, origins)

    def create_logged_model(
        self, experiment_id: str, model: LoggedModel, *, anew: bool = False
    ) -> LoggedModel:
        """See ``WritesLoggedModels.create_logged_model``."""
        return self._logged_models.create(experiment_id, model)

    def log_model_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        """See ``WritesLoggedModels.log_model_metrics``."""
        return self._logged_models.log_metrics(model_id, metrics)

    def link_model(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        """See ``WritesLoggedModels.link_model``."""
        if not self._abilities.has(Kind.LOGGED_MODEL):
            return ()
        return self._stores.model_links.write(run_id, links)

    def finish_logged_model(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``WritesLoggedModels.finish_logged_model``."""
        return self._logged_models.finish(copy, model, mark, losses)

    def delete_logged_model(self, experiment_id: str, model_id: str, origin: str) -> None:
        """See ``WritesLoggedModels.delete_logged_model``."""
        self._logged_models.delete(experiment_id, model_id, origin)

    # -- registered models and their versions -----------------------------------------------

    def registered_models(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegistry.registered_models``."""
        return self._stores.registered_models.list(names)

    def create_registered_model(self, model: RegisteredModel) -> None:
        """See ``WritesRegistry.create_registered_model``."""
        self._stores.registered_models.create(model)

    def update_registered_model(
        self, copy: RegisteredModel, model: RegisteredModel
    ) -> Sequence[Loss]:
        """See ``WritesRegistry.update_registered_model``."""
        return self._stores.registered_models.update(copy, model)

    def delete_registered_model(self, name: str) -> None:
        """See ``WritesRegistry.delete_registered_model``."""
        self._stores.registered_models.delete(name)
        self._stores.permissions.forget(name)

    def model_versions(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsRegistry.model_versions``."""
        return self._stores.model_versions.list(models)

    def read_model_version(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsRegistry.read_model_version``."""
        return self._stores.model_versions.read(ref)

    def version_artifacts(self, ref: Ref) -> ArtifactRoot | None:
        """See ``ReadsRegistry.version_artifacts``."""
        return self._stores.model_versions.artifacts(ref)

    def version_run(self, version: ModelVersion) -> VersionRun:
        """See ``ReadsRegistry.version_run``."""
        return self._stores.model_versions.run(version)

    def create_model_version(self, version: ModelVersion) -> int:
        """See ``WritesRegistry.create_model_version``."""
        return self._stores.model_versions.create(version)

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        """See ``WritesRegistry.update_model_version``."""
        return self._stores.model_versions.update(copy, version)

    def delete_model_version(self, version: ModelVersion) -> None:
        """See ``WritesRegistry.delete_model_version``."""
        self._stores.model_versions.delete(version)

    # -- files ------------------------------------------------------------------------------

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """See ``ReadsArtifacts.artifacts``."""
        return self._files.store(root).list_files()

    def open_artifact(
        self, root: ArtifactRoot, artifact: Artifact
    ) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open_artifact``."""
        return self._files.store(root).open(artifact)

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``: no server of MLflow tells any."""
        return {}

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put_artifact``."""
        self._files.put(root, artifact, stream)

    # -- permissions, and who writes --------------------------------------------------------

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.permissions``."""
        return self._stores.permissions.read(ref)

    def look_up_users(self, names: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up_users``."""
        self._stores.permissions.look_up(names)

    def beside_permissions(self, ref: Ref) -> Sequence[str]:
        """See ``ReadsPermissions.beside_permissions``."""
        return self._stores.permissions.beside(ref)

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write_permissions``."""
        return self._stores.permissions.write(ref, permissions)

    def writers(self) -> Mapping[str, str]:
        """See ``SaysWhoWrites.writers``."""
        return self._writers.read()

    def say_writing(self, migration_id: str, text: str, near: Sequence[str]) -> bool:
        """See ``SaysWhoWrites.say_writing``."""
        return self._writers.write(migration_id, text, near)

    def stop_saying(self, migration_id: str) -> None:
        """See ``SaysWhoWrites.stop_saying``."""
        self._writers.remove(migration_id)

    def before_creating(self, call: Callable[[], None] | None) -> None:
        """See ``SaysWhoWrites.before_creating``."""
        for http in self._sessions:
            http.before_creating = call
