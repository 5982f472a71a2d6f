"""An export directory as a target: copies keep their ids, and appear whole or not at all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from migrate.endpoints.directory.artifacts import whole_files
from migrate.endpoints.directory.indexes import (
    ExperimentEntry,
    RunList,
    change_experiment,
    write_experiments_file,
    write_new_experiment,
    write_run_list,
)
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    EXPERIMENTS_FILE,
    RUN_FILE,
    experiment_directory,
    partial_directory,
    run_directory,
)
from migrate.endpoints.directory.opening import Opened, open_target
from migrate.endpoints.directory.reading import KINDS, ExportReader
from migrate.endpoints.directory.run_writing import (
    DirectoryRunWriter,
    Earlier,
    read_started,
    restore_replaced,
    settle_replaced,
)
from migrate.endpoints.directory.scanning import find_run, half_made_runs, run_directories
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
        """Abandon the runs that are being written."""
        for writer in list(self._writers.values()):
            writer.abandon()

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
            earlier = Earlier(path=place, run=there, sidecar=sidecar, stored=stored)
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
        for path in _half_made_in(directory, origins):
            run = read_started(self._open().base, path, experiment_id)
            if run is not None:
                copies[run.run_id] = _copy_of(run, "")
        for path in _complete_in(directory, origins):
            with suppress(DirectoryError):  # ``create_run`` names the damage
                run, sidecar = self._runs().read(path, experiment_id)
                copies[run.run_id] = _copy_of(run, self._mark(path, sidecar))
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
            path = self._present(run_id)
            experiment_id = self._read_experiment(path.parent.parent).experiment_id
            run, sidecar = self._runs().read(path, experiment_id)
            if run.lifecycle_stage == DELETED:
                restored = dataclasses.replace(run, lifecycle_stage=ACTIVE)
                writer = self.adopt_run(experiment_id, run, restored)
                try:
                    writer.finish(restored, sidecar.mark if sidecar else "")
                finally:
                    writer.abandon()

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """See ``ReadsArtifacts.artifacts``; where writable, only what is there and whole.

        Of a run that is being written, the files it has so far.
        """
        writer = self._writers.get(root.owner.id)
        if writer is not None:
            files = writer.listing()
        elif self._writable:
            run, base = self._present(root.owner.id), self._open().base
            files = whole_files(base, run, read_sidecar(base, run))
        else:
            return super().artifacts(root)
        return [Artifact(file.path, file.size) for file in files]

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put_artifact``; only while the run is being written.

        Raises ``Unavailable`` when the stream has not the size of the artifact, ``Refused``,
        ``StorageFull`` or ``DirectoryError``.
        """
        writer = self._writers.get(root.owner.id)
        if writer is None:
            raise DirectoryError(f"run {root.owner.id} is not being written in {self._path}")
        writer.files.put(artifact, stream, self._count_arrived)

    def publish(self) -> None:
        """See ``Target.publish``: lists in experiment.json and experiments.json what is there.

        Raises ``DirectoryError`` when an experiment is damaged, after the others are written.
        """
        base = self._base_to_write()
        entries: list[ExperimentEntry] = []
        with self._lock:
            for experiment in list(self.experiments()):
                directory = self._experiment_paths[experiment.experiment_id]
                settle_replaced(directory)
                entries.append(
                    write_run_list(base, directory, self._run_list(experiment.experiment_id))
                )
            write_experiments_file(base, self._open().identity, entries)
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
            folds_case=(base / EXPERIMENTS_FILE.upper()).exists(),
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

    def _run_list(self, experiment_id: str) -> RunList:
        """Return an experiment's runs; those damaged or half made count as failed."""
        runs = RunList()
        for run in self.runs([experiment_id]):
            runs.add(run)
        runs.failed += [
            entry.ref.id
            for entry in self.unreadable()
            if entry.container == experiment_id and os.path.lexists(entry.where)
        ]
        return runs

    def _mark(self, run: Path, sidecar: Sidecar | None) -> str:
        """Return the mark of a copy; none when its files are not as they were written."""
        if sidecar is None or (run / RUN_FILE).lstat().st_size != sidecar.run_file_bytes:
            return ""
        try:
            whole = whole_files(self._open().base, run, sidecar)
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


def _half_made_in(experiment: Path, origins: Collection[str] | None) -> Iterator[Path]:
    if origins is None:
        return (path for _, path in half_made_runs(experiment))
    return (partial_directory(run_directory(experiment, origin)) for origin in origins)


def _copy_of(run: Run, mark: str) -> Copy:
    return Copy(
        origin=run.run_id,
        target_id=run.run_id,
        mark=mark,
        lifecycle_stage=run.lifecycle_stage,
    )
