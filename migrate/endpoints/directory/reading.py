"""An export directory as a source: all that is in it, histories and files read as a stream."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO, TypeVar

from migrate.endpoints.answers import Capabilities, Histories, Unreadable
from migrate.endpoints.directory.foreign.counting import count_datasets, count_in_experiments
from migrate.endpoints.directory.foreign.identity import foreign_identity, order_of_creation
from migrate.endpoints.directory.layout import (
    ARTIFACTS,
    EXPERIMENT_FILE,
    LOGGED_MODELS,
    RUNS,
    directory_name,
    experiment_directory,
)
from migrate.endpoints.directory.locking import state_of
from migrate.endpoints.directory.native.artifacts import open_stored, stored_files
from migrate.endpoints.directory.native.envelope import mlflow_member
from migrate.endpoints.directory.native.kept_permissions import read_permissions
from migrate.endpoints.directory.native.losses import (
    NOTHING_LACKS,
    Shortfall,
    read_shortfall,
)
from migrate.endpoints.directory.native.sidecar import StoredFile, read_sidecar
from migrate.endpoints.directory.native.version_files import (
    has_files,
    open_of_version,
    version_artifacts,
)
from migrate.endpoints.directory.opening import open_export
from migrate.endpoints.directory.places import Opened
from migrate.endpoints.directory.readers import Readers
from migrate.endpoints.directory.stores.experiments import ExperimentRecords
from migrate.endpoints.directory.stores.listing import Listing
from migrate.endpoints.directory.stores.registry import RegistryReader
from migrate.endpoints.directory.stores.runs import RunStore
from migrate.endpoints.directory.stores.scanning import experiment_directories
from migrate.endpoints.directory.stores.simple import SIMPLE, SimpleStore
from migrate.endpoints.directory.unreadable import held_twice
from migrate.endpoints.disk import DAMAGED, load_object
from migrate.endpoints.stores import Store
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import DirectoryError, NotFound, Refused
from migrate.objects import (
    DELETED,
    NO_RUN,
    REGISTRY_KINDS,
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

KINDS = frozenset({Kind.EXPERIMENT, Kind.RUN, Kind.DELETION, Kind.LOGGED_MODEL, *REGISTRY_KINDS})
_PAGE = 10_000
T = TypeVar("T")


class ExportReader:
    """Reads an export directory; implements ``Source``. Writes nothing.

    What cannot be read is left out of every listing and told by ``unreadable``.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self._path = path
        self._writable = writable
        self._lock = RLock()
        self._opened: Opened | None = None
        self._readers: Readers | None = None
        self._identity = ""
        self._experiment_paths: dict[str, Path] = {}
        self._has_listed = False
        self._experiment_ids: dict[Path, str] = {}
        self._unreadable = UnreadableObjects()
        #: Sentences in the order in which they were first said, as keys.
        self._unknown: dict[str, None] = {}
        self._lacks = NOTHING_LACKS
        self._simple = {
            kind: SimpleStore(
                kind,
                simple,
                self._unreadable,
                top=lambda: self._open().registry.base,
                require_writable=self._require_writable,
            )
            for kind, simple in SIMPLE.items()
        }

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``."""
        return self._simple.get(kind)

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``. Raises ``DirectoryError`` when it is no export."""
        opened = self._open()
        with self._lock:
            self._identity = (
                self._identity
                or opened.identity
                or foreign_identity(self.experiments(), self.registered_models, self._path)
            )
        return Capabilities(
            description=f"export directory {self._path}",
            version=opened.version,
            identity=self._identity,
            readable=KINDS,
            writable=frozenset(),
            keeps_ids=True,
            rewrites=True,
            permissions=True,
            keeps_notebooks=True,
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
        if ref.kind is not Kind.EXPERIMENT:
            return self._registry().permissions(ref)
        directory = self._experiment_path(ref.id)
        if directory is None:
            raise NotFound(f"experiment {ref.id} is not in {self._path}")
        path = directory / EXPERIMENT_FILE
        return read_permissions(path, mlflow_member(path, load_object(self._open().base, path)))

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """See ``ReadsNotebooks.notebook``; in an export they are files of their runs."""
        raise NotFound(f"{self._path} has no notebooks but those among the files of its runs")

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``; what cannot be read of an export is told by ``unreadable``."""
        self._look_for_writer()
        said = [*self._unknown, *self._registry().unknown] if self._opened else self._unknown
        return () if self._writable else tuple(dict.fromkeys(said))

    def transferred(self) -> int:
        """See ``Endpoint.transferred``."""
        return 0

    def close(self) -> None:
        """Nothing is kept open."""

    def unreadable(self) -> list[Unreadable]:
        """Return what the last listing of each kind, and in each experiment, left out.

        Files that are damaged, of another format or links; objects that an index lists and
        that are missing; what did not finish when it was exported.
        """
        return self._unreadable.all()

    def why_unreadable(self, ref: Ref) -> Unreadable | None:
        """See ``ReadsRuns.why_unreadable``."""
        return self._unreadable.of(ref)

    def read_experiments(self, experiment_ids: Sequence[str]) -> list[Experiment]:
        """See ``ReadsExperiments.read_experiments``."""
        found = []
        for ident in experiment_ids:
            directory = self._experiment_path(ident)
            if directory is None:
                continue
            try:
                found.append(self._records().read(directory))
            except DirectoryError as problem:
                self._unreadable.report(Ref(Kind.EXPERIMENT, ident), "", directory, problem)
        return found

    def experiments(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.experiments``."""
        opened = self._open()
        self._unreadable.forget(Kind.EXPERIMENT)
        found: dict[str, Experiment] = {}
        names = set()
        for directory in experiment_directories(opened):
            names.add(directory.name)
            try:
                experiment = self._records().read(directory)
                ident = experiment.experiment_id
                if ident in found:
                    first = self._experiment_paths[ident]
                    raise held_twice(f"experiment {ident}", directory, first)
            except DirectoryError as problem:
                ref = Ref(Kind.EXPERIMENT, directory.name)
                self._unreadable.report(ref, "", directory, problem)
                self._records().name_what_is_in(directory, self._unreadable)
                continue
            found[ident] = experiment
            self._experiment_paths[ident] = directory
        for ident, name in opened.listed.items():
            if not {ident, directory_name(ident)} & (names | found.keys()):
                path = experiment_directory(opened.base, ident) / EXPERIMENT_FILE
                gone = DirectoryError(f"experiment {name!r}: {path} is missing", DAMAGED)
                self._unreadable.report(Ref(Kind.EXPERIMENT, ident), "", path, gone)
        self._report_lacking(found.keys(), names)
        self._has_listed = True
        return iter(sorted(found.values(), key=order_of_creation))

    def _report_lacking(self, found: Collection[str], names: Collection[str]) -> None:
        """Report what failed to export, of experiments and of what is in those that are not here.

        Others are reported by whoever lists what they are in.
        """
        for lacking in self._shortfall().failed:
            around = lacking.container or lacking.ref.id
            elsewhere = lacking.ref.kind in REGISTRY_KINDS
            if not elsewhere and not {around, directory_name(around)} & {*found, *names}:
                self._unreadable.add(lacking)

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``ReadsExperiments.unsupported``."""
        paths = (self._experiment_path(ident) for ident in experiment_ids)
        counted = count_in_experiments(path for path in paths if path is not None)
        chosen = None if whole_server else frozenset(experiment_ids)
        datasets = count_datasets(self._path, chosen)
        return {**self._shortfall().unsupported, **counted, **datasets}

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        """See ``ReadsRuns.runs``."""
        return self._listed(self._parts().run_listing, experiment_ids)

    def logged_models(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """See ``ReadsLoggedModels.logged_models``."""
        found = self._listed(self._parts().model_listing, experiment_ids)
        return (model for model in found if model.lifecycle_stage != DELETED)

    def read_logged_models(self, model_ids: Sequence[str]) -> list[LoggedModel]:
        """See ``ReadsLoggedModels.read_logged_models``; unreadable ones are reported."""
        found = []
        for model_id in model_ids:
            path = self._owner_path(Ref(Kind.LOGGED_MODEL, model_id))
            if path is None:
                continue
            try:
                found.append(self._whole_model(path))
            except DirectoryError as problem:
                self._report(Ref(Kind.LOGGED_MODEL, model_id), path, problem)
        return found

    def model_links(self, run_ids: Sequence[str]) -> dict[str, ModelLinks]:
        """See ``ReadsLoggedModels.model_links``."""
        return {run.run_id: run.links for run in self.find_runs(run_ids)}

    def find_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsLoggedModels.find_runs``; unreadable ones are reported and left out."""
        found = []
        for run_id in run_ids:
            path = self._owner_path(Ref(Kind.RUN, run_id))
            if path is None:
                continue
            try:
                found.append(self._whole_run(path, self._experiment_around(path)))
            except DirectoryError as problem:
                self._report(Ref(Kind.RUN, run_id), path, problem)
        return found

    def registered_models(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegistry.registered_models``."""
        return self._registry().registered_models(names)

    def model_versions(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsRegistry.model_versions``."""
        return self._registry().model_versions(models)

    def read_model_version(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsRegistry.read_model_version``."""
        return self._registry().read_version(ref)

    def version_artifacts(self, ref: Ref) -> ArtifactRoot | None:
        """See ``ReadsRegistry.version_artifacts``."""
        folder = self._registry().files_of(ref)
        return ArtifactRoot(ref, str(folder)) if has_files(folder) else None

    def version_run(self, version: ModelVersion) -> VersionRun:
        """See ``ReadsRegistry.version_run``."""
        for run in self.find_runs([version.run_id] if version.run_id else []):
            directory = self._experiment_path(run.experiment_id)
            name = "" if directory is None else self._records().read(directory).name
            return VersionRun(run.artifact_uri, name)
        return NO_RUN

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsRuns.read_runs``. Raises ``DirectoryError`` when one is unreadable."""
        paths = (self._run_path(run_id, experiment_id) for run_id in run_ids)
        return [self._whole_run(path, experiment_id) for path in paths if path is not None]

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``. Raises ``DirectoryError`` when the first is damaged."""
        histories: dict[str, Histories] = {}
        held = 0
        for run in runs:
            try:
                place = self._present(Ref(Kind.RUN, run.run_id))
                history = self._runs().history(place, budget)
            except DirectoryError:
                if histories:
                    break  # asked for first the next time, it is known by name
                raise
            held += len(history.points)
            if histories and (held > budget or history.unread):
                break
            histories[run.run_id] = history
        return histories

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """See ``ReadsRuns.metric_history``."""
        _, stored = self._runs().open(self._present(Ref(Kind.RUN, run_id)))
        points = stored.points(key)
        while page := list(islice(points, _PAGE)):
            yield page

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """See ``ReadsArtifacts.artifacts``; of what is damaged, what it was written with.

        Raises ``DirectoryError`` when there is a link among them.
        """
        if root.owner.kind is Kind.MODEL_VERSION:
            folder = self._present_version_files(root.owner)
            return version_artifacts(self._open().registry.base, folder)
        place = self._present(root.owner)
        base = self._open().base
        files = stored_files(base, place, read_sidecar(base, place))
        return [Artifact(file.path, file.size) for file in files]

    def open_artifact(
        self, root: ArtifactRoot, artifact: Artifact
    ) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open_artifact``.

        Raises ``NotFound``, and ``DirectoryError`` when the file is cut off. Reading its last
        piece raises ``ChangedContent`` when it is not what was exported.
        """
        if root.owner.kind is Kind.MODEL_VERSION:
            folder = self._present_version_files(root.owner)
            return open_of_version(self._open().registry.base, folder, artifact)
        place = self._present(root.owner)
        unrecorded = StoredFile(artifact.path, artifact.size, artifact.path)
        file = self._runs().recorded_files(place).get(artifact.path, unrecorded)
        return open_stored(
            self._open().base,
            place / ARTIFACTS,
            file.stored_as,
            artifact.size,
            digest=file.digest if file.size == artifact.size else "",
        )

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``."""
        if root.owner.kind is Kind.MODEL_VERSION:
            return {}
        recorded = self._runs().recorded_files(self._present(root.owner))
        return {path: file.digest for path, file in recorded.items() if file.digest}

    def _require_writable(self) -> None:
        if not self._writable:
            raise Refused(f"{self._path} was opened for reading only")

    def _open(self) -> Opened:
        with self._lock:
            if self._opened is None:
                self._opened = self._connect()
                self._unknown |= dict.fromkeys(self._opened.unknown)
                self._lacks = self._read_shortfall(self._opened.base)
                self._readers = Readers(
                    self._opened, self._unreadable, self._lacks, writable=self._writable
                )
            return self._opened

    def _connect(self) -> Opened:
        opened = open_export(self._path)
        self._look_for_writer()
        return opened

    def _look_for_writer(self) -> None:
        """Note that somebody writes here, when it is read and when all of it has been read."""
        state = state_of(self._path)
        if state:
            self._unknown[state] = None

    def _read_shortfall(self, base: Path) -> Shortfall:
        """Return what the export says it lacks as a whole."""
        try:
            lacks = read_shortfall(base)
        except DirectoryError as problem:
            self._unknown[f"{problem}: what the export lacks is not known"] = None
            return NOTHING_LACKS
        for text in lacks.unknown:
            self._unknown[f"when {self._path} was exported: {text}"] = None
        return lacks

    def _shortfall(self) -> Shortfall:
        self._open()
        return self._lacks

    def _parts(self) -> Readers:
        self._open()
        assert self._readers is not None
        return self._readers

    def _runs(self) -> RunStore:
        return self._parts().runs

    def _registry(self) -> RegistryReader:
        return self._parts().registry

    def _records(self) -> ExperimentRecords:
        return self._parts().experiments

    def _experiment_path(self, experiment_id: str) -> Path | None:
        opened = self._open()
        if experiment_id not in self._experiment_paths:
            path = experiment_directory(opened.base, experiment_id)
            if not opened.lone and os.path.lexists(path / EXPERIMENT_FILE):
                self._experiment_paths[experiment_id] = path
            elif not self._has_listed:
                self.experiments()  # finds those whose directory has another name
        return self._experiment_paths.get(experiment_id)

    def _run_path(self, run_id: str, experiment_id: str | None = None) -> Path | None:
        """Find a run by its id, in one experiment or in all of them."""
        if experiment_id is None:
            return self._runs().find(run_id, lambda: experiment_directories(self._open()))
        directory = self._experiment_path(experiment_id)
        return None if directory is None else self._runs().find_in(directory, run_id)

    def _owner_path(self, owner: Ref) -> Path | None:
        """Find the directory of a run or a logged model by its id, in whatever experiment."""
        if owner.kind is Kind.RUN:
            return self._run_path(owner.id)
        if owner.kind is Kind.LOGGED_MODEL:
            experiments = partial(experiment_directories, self._open())
            return self._parts().models.find(owner.id, experiments)
        return None

    def _present(self, owner: Ref) -> Path:
        path = self._owner_path(owner)
        if path is None:
            raise NotFound(f"{owner.kind} {owner.id} is not in {self._path}")
        return path

    def _present_version_files(self, owner: Ref) -> Path:
        folder = self._registry().files_of(owner)
        if not os.path.lexists(folder):
            raise NotFound(f"{owner.kind} {owner.id} has no files of its own in {self._path}")
        return folder

    def _whole_run(self, path: Path, experiment_id: str) -> Run:
        """Read a run. Raises ``DirectoryError`` when it is damaged or did not finish."""
        run, sidecar = self._runs().read(path, experiment_id)
        if not self._writable:  # who writes completes what did not finish
            directory = self._directory_around(path)
            self._parts().run_listing.require_whole(directory, path, run.run_id, sidecar)
        return run

    def _report(self, ref: Ref, path: Path, problem: DirectoryError) -> None:
        """Report a run or logged model; what has no readable experiment is in its directory."""
        directory = self._directory_around(path)
        container = self._experiment_ids.get(directory, directory.name)
        self._unreadable.report(ref, container, path, problem)

    def _whole_model(self, path: Path) -> LoggedModel:
        """Read a logged model. Raises ``DirectoryError`` when it is damaged or did not finish."""
        model, sidecar = self._parts().models.read(path, self._experiment_around(path))
        if not self._writable:  # who writes completes what did not finish
            directory = self._directory_around(path)
            self._parts().model_listing.require_whole(directory, path, model.model_id, sidecar)
        return model

    def _directory_around(self, path: Path) -> Path:
        """Return the directory of the experiment that a run or logged model is in."""
        directory = path.parent
        below = directory.name in (RUNS, LOGGED_MODELS) and directory != self._open().base
        return directory.parent if below else directory

    def _experiment_around(self, path: Path) -> str:
        """Return the id of the experiment that a run or logged model is in."""
        directory = self._directory_around(path)
        if directory not in self._experiment_ids:
            self._experiment_ids[directory] = self._records().read(directory).experiment_id
        return self._experiment_ids[directory]

    def _listed(self, listing: Listing[T], experiment_ids: Sequence[str]) -> Iterator[T]:
        for experiment_id in experiment_ids:
            directory = self._experiment_path(experiment_id)
            if directory is None:
                continue
            try:
                yield from listing.of(experiment_id, directory, self._shortfall())
            except DirectoryError as problem:
                ref = Ref(Kind.EXPERIMENT, experiment_id)
                self._unreadable.report(ref, "", directory, problem)
