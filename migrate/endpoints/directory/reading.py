"""An export directory as a source: experiments, runs, histories and files, read as a stream."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import BinaryIO

from migrate.endpoints.directory.artifacts import open_stored, stored_files
from migrate.endpoints.directory.counting import count_in_experiments, count_registry
from migrate.endpoints.directory.disk import DAMAGED, load_object
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    directory_name,
    experiment_directory,
)
from migrate.endpoints.directory.opening import Opened, open_export
from migrate.endpoints.directory.records import MALFORMED, experiment_from_json
from migrate.endpoints.directory.run_file import mlflow_member
from migrate.endpoints.directory.run_store import RunStore
from migrate.endpoints.directory.scanning import (
    Listed,
    experiment_directories,
    half_made_runs,
    listed_runs,
    run_directories,
)
from migrate.endpoints.directory.sidecar import read_sidecar
from migrate.endpoints.directory.unreadable import (
    UnreadableObjects,
    half_made,
    held_twice,
    not_listed,
    not_there,
)
from migrate.endpoints.protocols import Capabilities, Histories, Unreadable
from migrate.errors import DirectoryError, NotFound
from migrate.objects import Artifact, ArtifactRoot, Experiment, Kind, Metric, Ref, Run
from migrate.origins import experiment_origin

KINDS = frozenset({Kind.EXPERIMENT, Kind.RUN, Kind.DELETION})
_PAGE = 10_000


class ExportReader:
    """Reads an export directory; implements ``Source``. Writes nothing.

    What cannot be read is left out by ``experiments`` and ``runs`` and told by ``unreadable``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()
        self._opened: Opened | None = None
        self._store: RunStore | None = None
        self._identity = ""
        self._experiment_paths: dict[str, Path] = {}
        self._holders: dict[str, str] = {}  # run id -> the first directory found with it
        self._unreadable = UnreadableObjects()

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``. Raises ``DirectoryError`` when it is no export."""
        opened = self._open()
        with self._lock:
            self._identity = self._identity or opened.identity or self._foreign_identity()
        return Capabilities(
            description=f"export directory {self._path}",
            version=opened.version,
            identity=self._identity,
            readable=KINDS,
            writable=frozenset(),
            keeps_ids=True,
            notes=opened.notes,
        )

    def transferred(self) -> int:
        """See ``Endpoint.transferred``."""
        return 0

    def close(self) -> None:
        """Nothing is kept open."""

    def unreadable(self) -> list[Unreadable]:
        """Return what the last ``experiments``, and ``runs`` of each experiment, left out.

        Files that are damaged, of another format or links; objects that an index lists and
        that are missing; runs whose export did not finish.
        """
        return self._unreadable.all()

    def experiments(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.experiments``."""
        opened = self._open()
        self._unreadable.forget(Kind.EXPERIMENT)
        found: dict[str, Experiment] = {}
        names = set()
        for directory in experiment_directories(opened):
            names.add(directory.name)
            try:
                experiment = self._read_experiment(directory)
                ident = experiment.experiment_id
                if ident in found:
                    first = self._experiment_paths[ident]
                    raise held_twice(f"experiment {ident}", directory, first)
            except DirectoryError as problem:
                ref = Ref(Kind.EXPERIMENT, directory.name)
                self._unreadable.report(ref, "", directory, problem)
                continue
            found[ident] = experiment
            self._experiment_paths[ident] = directory
        for ident, name in opened.listed.items():
            if not {ident, directory_name(ident)} & (names | found.keys()):
                path = experiment_directory(opened.base, ident) / EXPERIMENT_FILE
                gone = DirectoryError(f"experiment {name!r}: {path} is missing", DAMAGED)
                self._unreadable.report(Ref(Kind.EXPERIMENT, ident), "", path, gone)
        return iter(sorted(found.values(), key=_order_of_creation))

    def unsupported(self, experiment_ids: Sequence[str]) -> Mapping[Kind, int]:
        """See ``ReadsExperiments.unsupported``."""
        paths = (self._experiment_path(ident) for ident in experiment_ids)
        return count_in_experiments(path for path in paths if path is not None)

    def unsupported_registry(self) -> Mapping[Kind, int]:
        """See ``ReadsExperiments.unsupported_registry``."""
        self._open()
        return count_registry(self._path)

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        """See ``ReadsRuns.runs``."""
        for experiment_id in experiment_ids:
            self._unreadable.forget(Kind.RUN, experiment_id)
            directory = self._experiment_path(experiment_id)
            if directory is None:
                continue
            try:
                yield from self._runs_of(experiment_id, directory)
            except DirectoryError as problem:
                ref = Ref(Kind.EXPERIMENT, experiment_id)
                self._unreadable.report(ref, "", directory, problem)

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsRuns.read_runs``. Raises ``DirectoryError`` when one is unreadable."""
        paths = (self._run_path(run_id, experiment_id) for run_id in run_ids)
        store = self._runs()
        return [store.read(path, experiment_id)[0] for path in paths if path is not None]

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``. Raises ``DirectoryError`` when the first is damaged."""
        histories: dict[str, Histories] = {}
        held = 0
        for run in runs:
            try:
                history = self._history(run, budget)
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
        _, stored = self._runs().open(self._present(run_id))
        points = stored.points(key)
        while page := list(islice(points, _PAGE)):
            yield page

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """See ``ReadsArtifacts.artifacts``; of a damaged run, what it was written with.

        Raises ``DirectoryError`` when there is a link among them.
        """
        run = self._present(root.owner.id)
        base = self._open().base
        files = stored_files(base, run, read_sidecar(base, run))
        return [Artifact(file.path, file.size) for file in files]

    def open_artifact(
        self, root: ArtifactRoot, artifact: Artifact
    ) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open_artifact``.

        Raises ``NotFound``, and ``DirectoryError`` when the file is cut off.
        """
        run = self._present(root.owner.id)
        names = self._runs().stored_names(run)
        stored_as = names.get(artifact.path, artifact.path)
        return open_stored(self._open().base, run, stored_as, artifact.size)

    def _open(self) -> Opened:
        with self._lock:
            if self._opened is None:
                self._opened = self._connect()
                self._store = RunStore(
                    self._opened.base,
                    renamed=not self._opened.identity,  # ours have their ids for names
                )
            return self._opened

    def _connect(self) -> Opened:
        return open_export(self._path)

    def _runs(self) -> RunStore:
        self._open()
        assert self._store is not None
        return self._store

    def _foreign_identity(self) -> str:
        """Name an export of another tool by its oldest experiment, which stays when it grows."""
        oldest = next(self.experiments(), None)
        text = experiment_origin(oldest) + oldest.name if oldest else str(self._path.resolve())
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _read_experiment(self, directory: Path) -> Experiment:
        path = directory / EXPERIMENT_FILE
        document = mlflow_member(path, load_object(self._open().base, path))
        try:
            return experiment_from_json(document["experiment"], directory.name)
        except MALFORMED as error:
            raise DirectoryError(f"{path} describes no experiment: {error!r}", DAMAGED) from error

    def _experiment_path(self, experiment_id: str) -> Path | None:
        opened = self._open()
        if experiment_id not in self._experiment_paths:
            path = experiment_directory(opened.base, experiment_id)
            if not opened.lone and os.path.lexists(path / EXPERIMENT_FILE):
                self._experiment_paths[experiment_id] = path
            else:
                self.experiments()  # finds those whose directory has another name
        return self._experiment_paths.get(experiment_id)

    def _run_path(self, run_id: str, experiment_id: str | None = None) -> Path | None:
        """Find a run by its id, in one experiment or in all of them."""
        if experiment_id is None:
            return self._runs().find(run_id, lambda: experiment_directories(self._open()))
        directory = self._experiment_path(experiment_id)
        return None if directory is None else self._runs().find(run_id, lambda: [directory])

    def _present(self, run_id: str) -> Path:
        path = self._run_path(run_id)
        if path is None:
            raise NotFound(f"run {run_id} is not in {self._path}")
        return path

    def _runs_of(self, experiment_id: str, directory: Path) -> Iterator[Run]:
        """Yield the runs of one experiment and report those that cannot be."""
        index = directory / EXPERIMENT_FILE
        listed = listed_runs(index, load_object(self._open().base, index))
        names = set()
        for name, path in run_directories(directory):
            names.add(name)
            try:
                run, sidecar = self._runs().read(path, experiment_id)
                names.add(run.run_id)
                self._require_only(run.run_id, path)
                if sidecar is None and not listed.holds(name, run.run_id):
                    raise not_listed(path, index)
            except DirectoryError as problem:
                self._unreadable.report(Ref(Kind.RUN, name), experiment_id, path, problem)
                continue
            yield run
        for name, path in half_made_runs(directory):
            if name not in names:
                names.add(name)
                self._unreadable.report(Ref(Kind.RUN, name), experiment_id, path, half_made(path))
        self._report_absent(experiment_id, index, listed, names)

    def _require_only(self, run_id: str, path: Path) -> None:
        """Raise ``DirectoryError`` when another directory holds a run of the same id."""
        first = self._holders.setdefault(run_id, str(path))
        if first != str(path):
            if os.path.lexists(first):
                raise held_twice(f"run {run_id}", path, Path(first))
            self._holders[run_id] = str(path)

    def _report_absent(
        self, experiment_id: str, index: Path, listed: Listed, there: set[str]
    ) -> None:
        known = there | {directory_name(name) for name in there}
        for name in sorted((listed.runs or frozenset()) | listed.failed):
            if name not in known and directory_name(name) not in known:
                problem = not_there(index, f"run {name}", failed=name in listed.failed)
                path = index.with_name(directory_name(name))
                self._unreadable.report(Ref(Kind.RUN, name), experiment_id, path, problem)

    def _history(self, run: Run, budget: int) -> Histories:
        _, stored = self._runs().open(self._present(run.run_id))
        points: list[Metric] = []
        unread = []
        for key, size in stored.sizes().items():
            if len(points) + size > budget:
                unread.append(key)
            else:
                points += stored.points(key)
        return Histories(points=points, unread=tuple(unread))


def _order_of_creation(experiment: Experiment) -> tuple[int, int, str]:
    ident = experiment.experiment_id
    number = int(ident) if ident.isascii() and ident.isdigit() and len(ident) < 20 else 0
    return experiment.creation_time or 0, number, ident
