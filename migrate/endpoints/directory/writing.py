"""An export directory as a target: copies keep their ids, and appear whole or not at all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from migrate.endpoints.directory.artifacts import whole_files
from migrate.endpoints.directory.indexes import (
    Contents,
    ExperimentEntry,
    change_experiment,
    write_contents,
    write_experiments_file,
    write_experiments_for_models,
    write_new_experiment,
)
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    EXPERIMENTS_FILE,
    LOGGED_MODEL_FILE,
    LOGGED_MODELS,
    RUN_FILE,
    RUNS,
    experiment_directory,
    logged_model_directory,
    partial_directory,
    run_directory,
)
from migrate.endpoints.directory.model_writing import (
    LoggedModelWriter,
    each_once,
    read_started_model,
)
from migrate.endpoints.directory.opening import Opened, open_target
from migrate.endpoints.directory.reading import KINDS, ExportReader
from migrate.endpoints.directory.registry import RegistryReader
from migrate.endpoints.directory.registry_writing import RegistryWriter
from migrate.endpoints.directory.replacing import restore_replaced, settle_replaced
from migrate.endpoints.directory.run_writing import (
    DirectoryRunWriter,
    Earlier,
    all_links,
    read_started,
)
from migrate.endpoints.directory.scanning import (
    complete_place,
    experiment_directories,
    find_run,
    half_made_in,
    logged_model_directories,
    run_directories,
)
from migrate.endpoints.directory.sidecar import Sidecar, read_sidecar
from migrate.endpoints.protocols import Capabilities, Copy
from migrate.errors import AlreadyExists, DirectoryError, NotFound, Refused
from migrate.objects import (
    ACTIVE,
    DELETED,
    Artifact,
    ArtifactRoot,
    Experiment,
    Kind,
    LoggedModel,
    ModelLinks,
    ModelMetric,
    ModelVersion,
    Ref,
    RegisteredModel,
    Run,
)


class ExportDirectory(ExportReader):
    """A directory of the format in docs/export-format.md; implements ``Target``.

    Where not ``writable`` it is a ``Source`` only, and nothing is written to it.
    Where ``writable``, the first call makes the directory if it is missing. Half-made runs are
    then among those ``read_runs`` returns, so that they can be adopted. Damaged runs are not:
    ``create_run`` names the damage. Nor are damaged files listed, so that they are sent again.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        super().__init__(path)
        self._writable = writable
        self._writers: dict[str, DirectoryRunWriter] = {}
        self._model_writers: dict[str, LoggedModelWriter] = {}
        self._registry_writer: RegistryWriter | None = None
        self._ids_by_name: dict[str, str] | None = None
        self._arrived = 0
        self._arrived_lock = Lock()

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``.

        Raises ``DirectoryError`` when it is no export, or cannot be made one, ``StorageFull``.
        """
        found = super().capabilities()
        return dataclasses.replace(found, writable=KINDS) if self._writable else found

    def transferred(self) -> int:
        """See ``Endpoint.transferred``."""
        return self._arrived

    def close(self) -> None:
        """Abandon what is being written."""
        for writer in list(self._writers.values()):
            writer.abandon()
        self._model_writers.clear()

    def create_experiment(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create_experiment``; a deleted one is created active."""
        ident = experiment.experiment_id
        with self._lock:
            directory = experiment_directory(self._base_to_write(), ident)
            if os.path.lexists(directory / EXPERIMENT_FILE):
                raise AlreadyExists(f"experiment {ident} is in {self._path} already")
            self._take_name(experiment.name, ident)
            write_new_experiment(directory, dataclasses.replace(experiment, lifecycle_stage=ACTIVE))
        return ident

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """See ``WritesExperiments.set_experiment_tags``."""

        def change(experiment: dict[str, Any]) -> None:
            experiment["tags"] = dict(sorted({**experiment["tags"], **tags}.items()))

        self._change_experiment(experiment_id, change)

    def delete_experiment(self, experiment_id: str) -> None:
        """See ``WritesExperiments.delete_experiment``; its runs stay as their records say."""
        self._change_experiment(experiment_id, lambda it: it.update(lifecycle_stage=DELETED))

    def restore_experiment(self, experiment_id: str) -> None:
        """See ``WritesExperiments.restore_experiment``; its runs stay as their records say."""
        self._change_experiment(experiment_id, lambda it: it.update(lifecycle_stage=ACTIVE))

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """See ``WritesExperiments.rename_experiment``. Raises ``AlreadyExists``."""
        with self._lock:
            self._existing_experiment(experiment_id)
            self._take_name(name, experiment_id)
            self._change_experiment(experiment_id, lambda it: it.update(name=name))
            self._ids_by_name = None  # the old name is free again

    def create_run(self, experiment_id: str, run: Run) -> DirectoryRunWriter:
        """See ``WritesRuns.create_run``; goes on with a half-made run of this id.

        Raises ``AlreadyExists`` when the run is there, ``DirectoryError`` when it is damaged.
        """
        place = self._place_of_run(experiment_id, run.run_id)
        if place.exists():
            self._runs().read(place, experiment_id)
            raise AlreadyExists(f"run {run.run_id} is in {self._path} already")
        return self._start(place, experiment_id, run, None)

    def adopt_run(self, experiment_id: str, copy: Run, run: Run) -> DirectoryRunWriter:
        """See ``WritesRuns.adopt_run``. A complete copy stays as it is until ``finish``."""
        place = self._place_of_run(experiment_id, copy.run_id)
        earlier = None
        if place.exists():
            there, sidecar = self._runs().read(place, experiment_id)
            _, stored = self._runs().open(place)
            earlier = Earlier(run=there, sidecar=sidecar, stored=stored)
        wanted = dataclasses.replace(run, run_id=copy.run_id)
        return self._start(place, experiment_id, wanted, earlier)

    def find_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """See ``WritesRuns.find_copies``; the origin of a copy is its own id."""
        directory = self._experiment_path(experiment_id)
        if directory is None:
            return {}
        copies = {}
        for path in _half_made(directory / RUNS, run_directory, directory, origins):
            run = read_started(self._open().base, path, experiment_id)
            if run is not None:
                copies[run.run_id] = _copy_of(run, "")
        for path in _complete_in(directory, origins):
            with suppress(DirectoryError):  # ``create_run`` names the damage
                run, sidecar = self._runs().read(path, experiment_id)
                copies[run.run_id] = _copy_of(run, self._mark(path, RUN_FILE, sidecar))
        return {origin: [copy] for origin, copy in copies.items()}

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsRuns.read_runs`` and this class."""
        if not self._writable:
            return super().read_runs(experiment_id, run_ids)
        found = []
        for run_id in run_ids:
            try:
                complete = super().read_runs(experiment_id, [run_id])
            except DirectoryError:
                continue
            half_made = [] if complete else self._half_made(experiment_id, run_id)
            found += complete or half_made
        return found

    def restore_runs(self, run_ids: Sequence[str]) -> None:
        """See ``WritesRuns.restore_runs``."""
        for run_id in run_ids:
            run, mark = self._complete_run(run_id)
            if run.lifecycle_stage == DELETED:
                self._rewrite(run, dataclasses.replace(run, lifecycle_stage=ACTIVE), mark)

    def link_model(self, run_id: str, links: ModelLinks) -> None:
        """See ``WritesLoggedModels.link_model``; a run was written with its links already."""
        run, mark = self._complete_run(run_id)
        wanted = all_links(run.links, links)
        if wanted != run.links:
            self._rewrite(run, dataclasses.replace(run, links=wanted), mark)

    def open_run(self, run_id: str) -> AbstractContextManager[None]:
        """See ``WritesLoggedModels.open_run``; here a deleted run can be written to."""
        return nullcontext()

    def create_logged_model(self, experiment_id: str, model: LoggedModel) -> LoggedModel:
        """See ``WritesLoggedModels.create_logged_model``; goes on with a half-made one.

        Raises ``AlreadyExists`` when it is there, ``DirectoryError`` when it is damaged.
        """
        directory = self._existing_experiment(experiment_id)
        place = logged_model_directory(directory, model.model_id)
        restore_replaced(place)
        if place.exists():
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
        for path in _half_made(folder, logged_model_directory, directory, origins):
            begun = read_started_model(self._open().base, path, experiment_id)
            if begun is not None:
                copies[begun.model_id] = _copy_of(begun, "")
        for path in _complete_models_in(directory, origins):
            with suppress(DirectoryError):  # ``create_logged_model`` names the damage
                model, sidecar = self._parts().models.read(path, experiment_id)
                mark = self._mark(path, LOGGED_MODEL_FILE, sidecar)
                copies[model.model_id] = _copy_of(model, mark)
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

    def log_model_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> None:
        """See ``WritesLoggedModels.log_model_metrics``; a complete copy is replaced at once.

        Those of a copy in the making are written by ``finish_logged_model``.
        """
        with self._lock:
            if model_id not in self._model_writers:
                place = self._owner_path(Ref(Kind.LOGGED_MODEL, model_id))
                if place is not None and not partial_directory(place).exists():
                    self._add_metrics(place, metrics)
                    return
        self._model_writer(model_id).add_metrics(metrics)

    def finish_logged_model(self, copy: LoggedModel, model: LoggedModel, mark: str) -> None:
        """See ``WritesLoggedModels.finish_logged_model``; until it returns, nobody sees it."""
        self._model_writer(copy.model_id).finish(model, mark)
        del self._model_writers[copy.model_id]

    def delete_logged_model(self, experiment_id: str, model_id: str, origin: str) -> None:
        """See ``WritesLoggedModels.delete_logged_model``: its record says so already."""

    def create_registered_model(self, model: RegisteredModel) -> None:
        """See ``WritesRegistry.create_registered_model`` and ``RegistryWriter``."""
        self._registry_to_write().create_registered_model(model)

    def update_registered_model(self, copy: RegisteredModel, model: RegisteredModel) -> None:
        """See ``WritesRegistry.update_registered_model``."""
        self._registry_to_write().update_registered_model(copy, model)

    def delete_registered_model(self, name: str) -> None:
        """See ``WritesRegistry.delete_registered_model``."""
        self._registry_to_write().delete_registered_model(name)

    def create_model_version(self, version: ModelVersion) -> int:
        """See ``WritesRegistry.create_model_version`` and ``RegistryWriter``."""
        return self._registry_to_write().create_model_version(version)

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> None:
        """See ``WritesRegistry.update_model_version``."""
        self._registry_to_write().update_model_version(copy, version)

    def delete_model_version(self, version: ModelVersion) -> None:
        """See ``WritesRegistry.delete_model_version``."""
        self._registry_to_write().delete_model_version(version)

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """See ``ReadsArtifacts.artifacts``; where writable, only what is there and whole.

        Of what is being written, the files it has so far.
        """
        writer = self._writer_of(root.owner)
        if writer is not None:
            files = writer.listing()
        elif self._writable:
            place, base = self._present(root.owner), self._open().base
            files = whole_files(base, place, read_sidecar(base, place))
        else:
            return super().artifacts(root)
        return [Artifact(file.path, file.size) for file in files]

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put_artifact``; of a run, only while it is being written.

        Raises ``Unavailable`` when the stream has not the size of the artifact, ``Refused``,
        ``StorageFull`` or ``DirectoryError``.
        """
        writer = self._writer_of(root.owner)
        if writer is None and root.owner.kind is Kind.LOGGED_MODEL:
            writer = self._model_writer(root.owner.id)
        if writer is None:
            raise DirectoryError(f"{root.owner} is not being written in {self._path}")
        writer.files.put(artifact, stream, self._count_arrived)

    def publish(self) -> None:
        """See ``Target.publish``: lists in the indexes what is there.

        Raises ``DirectoryError`` when an experiment is damaged, after the others are written.
        """
        base = self._base_to_write()
        entries: list[ExperimentEntry] = []
        with self._lock:
            for experiment in list(self.experiments()):
                directory = self._experiment_paths[experiment.experiment_id]
                for folder in (RUNS, LOGGED_MODELS):
                    settle_replaced(directory / folder)
                entries.append(
                    write_contents(base, directory, self._contents(experiment.experiment_id))
                )
            write_experiments_file(base, self._open().identity, entries)
            if self._registry_to_write().publish(self._run_members):
                write_experiments_for_models(base, entries)
        for entry in self.unreadable():
            if entry.ref.kind is Kind.EXPERIMENT and Path(entry.where).exists():
                raise DirectoryError(entry.reason, entry.hint)

    def _connect(self) -> Opened:
        return open_target(self._path) if self._writable else super()._connect()

    def _base_to_write(self) -> Path:
        if not self._writable:
            raise Refused(f"{self._path} was opened for reading only")
        return self._open().base

    def _existing_experiment(self, experiment_id: str) -> Path:
        self._base_to_write()
        directory = self._experiment_path(experiment_id)
        if directory is None:
            raise NotFound(f"experiment {experiment_id} is not in {self._path}")
        return directory

    def _change_experiment(
        self, experiment_id: str, change: Callable[[dict[str, Any]], object]
    ) -> None:
        with self._lock:
            directory = self._existing_experiment(experiment_id)
            change_experiment(self._base_to_write(), directory, change)

    def _take_name(self, name: str, experiment_id: str) -> None:
        """Give a name to an experiment. Raises ``AlreadyExists`` when another one has it."""
        if self._ids_by_name is None:
            self._ids_by_name = {it.name: it.experiment_id for it in self.experiments()}
        holder = self._ids_by_name.setdefault(name, experiment_id)
        if holder != experiment_id:
            raise AlreadyExists(f"experiment {holder} in {self._path} has the name {name!r}")

    def _place_of_run(self, experiment_id: str, run_id: str) -> Path:
        place = run_directory(self._existing_experiment(experiment_id), run_id)
        restore_replaced(place)
        return place

    def _start(
        self, place: Path, experiment_id: str, run: Run, earlier: Earlier | None
    ) -> DirectoryRunWriter:
        base = self._open().base
        writer = DirectoryRunWriter(
            base,
            place,
            dataclasses.replace(run, experiment_id=experiment_id),
            earlier,
            folds_case=_folds_case(base),
            on_end=self._ended,
        )
        self._writers[writer.run_id] = writer
        return writer

    def _ended(self, writer: DirectoryRunWriter) -> None:
        if self._writers.get(writer.run_id) is writer:
            del self._writers[writer.run_id]

    def _half_made(self, experiment_id: str, run_id: str) -> list[Run]:
        directory = self._experiment_path(experiment_id)
        if directory is None:
            return []
        partial = partial_directory(run_directory(directory, run_id))
        run = read_started(self._open().base, partial, experiment_id)
        return [run] if run is not None else []

    def _complete_run(self, run_id: str) -> tuple[Run, str]:
        """Return a run and its mark. Raises ``NotFound`` or ``DirectoryError``."""
        path = self._present(Ref(Kind.RUN, run_id))
        run, sidecar = self._runs().read(path, self._experiment_around(path))
        return run, sidecar.mark if sidecar else ""

    def _rewrite(self, copy: Run, run: Run, mark: str) -> None:
        writer = self.adopt_run(copy.experiment_id, copy, run)
        try:
            writer.finish(run, mark)
        finally:
            writer.abandon()

    def _writer_of(self, owner: Ref) -> DirectoryRunWriter | LoggedModelWriter | None:
        if owner.kind is Kind.LOGGED_MODEL:
            begun = owner.id in self._model_writers or (
                self._writable and bool(self._half_made_model(owner.id))
            )
            return self._model_writer(owner.id) if begun else None
        return self._writers.get(owner.id)

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
        return LoggedModelWriter(base, place, model, earlier, folds_case=_folds_case(base))

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
                self._registry_writer = RegistryWriter(self._open().registry, self._unreadable)
            return self._registry_writer

    def _run_members(self, run_id: str) -> dict[str, str]:
        """Return what a version's entry in model.json says of its run: other tools need it."""
        for run in self.find_runs([run_id] if run_id else []):
            directory = self._experiment_path(run.experiment_id)
            assert directory is not None
            return {
                "_run_artifact_uri": run.artifact_uri,
                "_experiment_name": self._read_experiment(directory).name,
            }
        return {}

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

    def _mark(self, place: Path, record: str, sidecar: Sidecar | None) -> str:
        """Return the mark of a copy; none when its files are not as they were written."""
        if sidecar is None or (place / record).lstat().st_size != sidecar.record_bytes:
            return ""
        try:
            whole = whole_files(self._open().base, place, sidecar)
        except DirectoryError:  # adopting it names the damage
            return ""
        return "" if set(sidecar.artifacts) - set(whole) else sidecar.mark

    def _count_arrived(self, size: int) -> None:
        with self._arrived_lock:
            self._arrived += size


def _complete_in(experiment: Path, origins: Collection[str] | None) -> Iterator[Path]:
    if origins is None:
        return (path for _, path in run_directories(experiment))
    return filter(None, (find_run(experiment, origin) for origin in origins))


def _complete_models_in(experiment: Path, origins: Collection[str] | None) -> Iterator[Path]:
    if origins is None:
        return (path for _, path in logged_model_directories(experiment))
    places = (logged_model_directory(experiment, origin) for origin in origins)
    return filter(None, map(complete_place, places))


def _half_made(
    folder: Path,
    place_of: Callable[[Path, str], Path],
    experiment: Path,
    origins: Collection[str] | None,
) -> Iterator[Path]:
    if origins is None:
        return (path for _, path in half_made_in(folder))
    return (partial_directory(place_of(experiment, origin)) for origin in origins)


def _folds_case(base: Path) -> bool:
    return (base / EXPERIMENTS_FILE.upper()).exists()


def _copy_of(copied: Run | LoggedModel, mark: str) -> Copy:
    ident = copied.run_id if isinstance(copied, Run) else copied.model_id
    return Copy(origin=ident, target_id=ident, mark=mark, lifecycle_stage=copied.lifecycle_stage)
