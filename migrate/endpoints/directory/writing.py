"""An export directory as a target: experiments, and runs that appear whole or not at all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from migrate.endpoints.answers import Capabilities, Copy
from migrate.endpoints.directory.indexes.contents import write_new_experiment
from migrate.endpoints.directory.indexes.durations import Durations
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    EXPERIMENTS_FILE,
    RUN_FILE,
    RUNS,
    experiment_directory,
    partial_directory,
    run_directory,
)
from migrate.endpoints.directory.native.artifacts import whole_files
from migrate.endpoints.directory.native.experiment_file import change_experiment
from migrate.endpoints.directory.native.replacing import (
    discard_partial,
    half_made_in,
    restore_replaced,
    take_up,
)
from migrate.endpoints.directory.native.run_writing import (
    DirectoryRunWriter,
    Earlier,
    all_links,
    read_started,
)
from migrate.endpoints.directory.native.sidecar import Sidecar
from migrate.endpoints.directory.opening import open_target
from migrate.endpoints.directory.places import Opened
from migrate.endpoints.directory.reading import KINDS, ExportReader
from migrate.endpoints.directory.stores.scanning import find_run, run_directories
from migrate.endpoints.disk import DAMAGED
from migrate.errors import AlreadyExists, DirectoryError, NotFound
from migrate.objects import (
    ACTIVE,
    DELETED,
    Experiment,
    Kind,
    LoggedModel,
    ModelLinks,
    Ref,
    Run,
)
from migrate.outcomes import Loss


class ExperimentsWriter(ExportReader):
    """The part of ``ExportDirectory`` that writes experiments and runs."""

    def __init__(self, path: Path, *, writable: bool, holds_models: bool) -> None:
        super().__init__(path, writable=writable)
        self._holds_models = holds_models
        self._durations = Durations()
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
        """Abandon what is being written."""
        for writer in list(self._writers.values()):
            writer.abandon()

    def create_experiment(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create_experiment``; a deleted one is created active."""
        ident = experiment.experiment_id
        with self._lock:
            directory = experiment_directory(self._base_to_write(), ident)
            if self._is_described(directory):
                raise AlreadyExists(f"experiment {ident} is in {self._path} already")
            self._take_name(experiment.name, ident)
            write_new_experiment(directory, dataclasses.replace(experiment, lifecycle_stage=ACTIVE))
            self._durations.note(ident)
        return ident

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """See ``WritesExperiments.set_experiment_tags``."""

        def change(experiment: dict[str, Any]) -> None:
            experiment["tags"] = dict(sorted({**experiment["tags"], **tags}.items()))

        self._change_experiment(experiment_id, change)
        return ()

    def remove_experiment_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """See ``WritesExperiments.remove_experiment_tags``."""

        def change(experiment: dict[str, Any]) -> None:
            left = {key: text for key, text in experiment["tags"].items() if key not in keys}
            experiment["tags"] = left

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

    def create_run(self, experiment_id: str, run: Run, *, anew: bool = False) -> DirectoryRunWriter:
        """See ``WritesRuns.create_run``; goes on with a half-made run of this id.

        Unless ``anew``: raises ``AlreadyExists`` when the run is there, ``DirectoryError`` when
        it is damaged.
        """
        place = self._place_of_run(experiment_id, run.run_id)
        if anew:
            discard_partial(self._open().base, place)
        else:
            take_up(place, RUN_FILE)
        if place.exists() and not anew:
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
        for path in half_made_of(directory / RUNS, run_directory, directory, origins):
            run = read_started(self._open().base, path, experiment_id)
            if run is not None:
                copies[run.run_id] = copy_of(run, "")
        for path in _complete_in(directory, origins):
            with suppress(DirectoryError):  # ``create_run`` names the damage
                run, sidecar = self._runs().read(path, experiment_id)
                copies[run.run_id] = copy_of(run, self._mark(path, RUN_FILE, sidecar))
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

    def link_model(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        """See ``WritesLoggedModels.link_model``; a run was written with its links already."""
        run, mark = self._complete_run(run_id)
        wanted = all_links(run.links, links)
        if wanted != run.links:
            self._rewrite(run, dataclasses.replace(run, links=wanted), mark)
        return ()

    def open_run(self, run_id: str) -> AbstractContextManager[None]:
        """See ``WritesLoggedModels.open_run``; here a deleted run can be written to."""
        return nullcontext()

    def _connect(self) -> Opened:
        if self._writable:
            return open_target(self._path, holds_models=self._holds_models)
        return super()._connect()

    def _base_to_write(self) -> Path:
        self._require_writable()
        return self._open().base

    def _is_described(self, directory: Path) -> bool:
        """Say whether there is an experiment; one whose file is damaged is described anew."""
        if not os.path.lexists(directory / EXPERIMENT_FILE):
            return False
        try:
            self._records().read(directory)
        except DirectoryError as problem:
            if problem.hint != DAMAGED:
                raise
            return False
        return True

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
        self._durations.note(experiment_id)
        writer = DirectoryRunWriter(
            base,
            place,
            dataclasses.replace(run, experiment_id=experiment_id),
            earlier,
            folds_case=folds_case(base),
            on_end=self._ended,
        )
        self._writers[writer.run_id] = writer
        return writer

    def _ended(self, writer: DirectoryRunWriter) -> None:
        self._durations.note(writer.experiment_id)
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


def half_made_of(
    folder: Path,
    place_of: Callable[[Path, str], Path],
    experiment: Path,
    origins: Collection[str] | None,
) -> Iterator[Path]:
    """Yield the half-made directories in ``folder``: all, or those of ``origins``."""
    if origins is None:
        return (path for _, path in half_made_in(folder))
    return (partial_directory(place_of(experiment, origin)) for origin in origins)


def folds_case(base: Path) -> bool:
    """Say whether the file system takes names that differ only by case for the same."""
    return (base / EXPERIMENTS_FILE.upper()).exists()


def copy_of(copied: Run | LoggedModel, mark: str) -> Copy:
    """Return what the directory says of a copy; its origin is its own id."""
    ident = copied.run_id if isinstance(copied, Run) else copied.model_id
    return Copy(origin=ident, target_id=ident, mark=mark, lifecycle_stage=copied.lifecycle_stage)
