"""The runs of an export, with their metric histories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

from migrate.endpoints.answers import Histories
from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.foreign.loaded_run import LoadedRun
from migrate.endpoints.directory.foreign.records import tidied_run, with_run_id
from migrate.endpoints.directory.layout import RUN_FILE, RUNS, partial_directory
from migrate.endpoints.directory.native.records import run_from_json, run_id_of
from migrate.endpoints.directory.native.replacing import restore_replaced
from migrate.endpoints.directory.native.run_file import IndexedRun, StoredRun
from migrate.endpoints.directory.native.run_writing import (
    DirectoryRunWriter,
    Earlier,
    all_links,
    read_started,
)
from migrate.endpoints.directory.native.sidecar import Sidecar
from migrate.endpoints.directory.stores.contained import ContainedStore
from migrate.endpoints.directory.stores.experiments import ExperimentStore
from migrate.endpoints.directory.unreadable import require_own
from migrate.endpoints.disk import DAMAGED, open_file, reading
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind
from migrate.objects import ACTIVE, DELETED, Loss, Metric, ModelLinks, Run

_PAGE = 10_000


class RunStore(ContainedStore[Run]):
    """Reads and writes runs.

    Each thread keeps the last run.json it had to read as a whole, so that one of another tool is
    not parsed again for each of its metric keys.
    """

    kind = Kind.RUN
    folder = RUNS
    record = RUN_FILE

    def __init__(self, export: Export, experiments: ExperimentStore) -> None:
        super().__init__(export, experiments)
        self._writers: dict[str, DirectoryRunWriter] = {}

    def close(self) -> None:
        """Abandon what is being written."""
        for writer in list(self._writers.values()):
            writer.abandon()

    def load(self, place: Path, experiment_id: str) -> tuple[Run, Sidecar | None]:
        """Read a run without its histories."""
        sidecar, stored = self._open(place)
        path = place / RUN_FILE
        try:
            head, lost = (stored.head(), sidecar.losses) if sidecar else tidied_run(stored.head())
            run = run_from_json(
                head, directory=place.name, experiment_id=experiment_id, latest=stored.latest()
            )
        except Malformed as error:
            raise DirectoryError(f"{path} describes no run: {error}", DAMAGED) from error
        if not self._export.is_foreign:
            require_own(path, run.run_id)
        self._remember(run.run_id, place)
        return replace(run, losses=tuple(dict.fromkeys((*lost, *stored.losses)))), sidecar

    def id_of(self, record: Run) -> str:
        """Return the id of a run."""
        return record.run_id

    def stage_of(self, record: Run) -> str:
        """Return its lifecycle stage."""
        return record.lifecycle_stage

    def read_in(self, experiment_id: str, run_ids: Sequence[str]) -> Sequence[Run]:
        """See ``ReadsRuns.read_in``; for who writes, half-made ones too, but no damaged ones."""
        found: list[Run] = []
        for run_id in run_ids:
            try:
                path = self.path_of(run_id, experiment_id)
                if path is not None:
                    found.append(self._whole(path, experiment_id))
                    continue
            except DirectoryError:
                if not self._export.writable:
                    raise
                continue
            if self._export.writable:
                found += self._half_made_of(experiment_id, run_id)
        return found

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``; raises when the first is damaged."""
        histories: dict[str, Histories] = {}
        points = 0
        for run in runs:
            try:
                history = self._history(self.present(run.run_id), budget)
            except DirectoryError:
                if histories:
                    break  # requested first the next time, it is known by name
                raise
            points += len(history.points)
            if histories and (points > budget or history.unread):
                break
            histories[run.run_id] = history
        return histories

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """See ``ReadsRuns.metric_history``."""
        _, stored = self._open(self.present(run_id))
        points = stored.points(key)
        while page := list(islice(points, _PAGE)):
            yield page

    def create(self, experiment_id: str, run: Run, *, anew: bool = False) -> DirectoryRunWriter:
        """See ``WritesRuns.create``; goes on with a half-made run of this id.

        Unless ``anew``: raises ``AlreadyExists`` when the run is there.
        """
        place = self._place_to_create(experiment_id, run.run_id, anew=anew)
        return self._start(place, experiment_id, run, None)

    def adopt(self, experiment_id: str, copy: Run, run: Run) -> DirectoryRunWriter:
        """See ``WritesRuns.adopt``. A complete copy stays as it is until ``finish``."""
        self._export.require_writable()
        place = self._place(self._experiments.present(experiment_id), copy.run_id)
        restore_replaced(place)
        earlier = None
        if place.exists():
            existing, sidecar = self.load(place, experiment_id)
            _, stored = self._open(place)
            earlier = Earlier(run=existing, sidecar=sidecar, stored=stored)
        return self._start(place, experiment_id, replace(run, run_id=copy.run_id), earlier)

    def restore(self, run_ids: Sequence[str]) -> None:
        """See ``WritesRuns.restore``."""
        for run_id in run_ids:
            run, mark = self._complete(run_id)
            if run.lifecycle_stage == DELETED:
                self._rewrite(run, replace(run, lifecycle_stage=ACTIVE), mark)

    def restored(self, run_id: str) -> AbstractContextManager[None]:
        """See ``WritesRuns.restored``; here a deleted run can be written to."""
        return nullcontext()

    def link(self, run_id: str, links: ModelLinks) -> None:
        """Make a run name logged models, beside those it was written with."""
        run, mark = self._complete(run_id)
        wanted = all_links(run.links, links)
        if wanted != run.links:
            self._rewrite(run, replace(run, links=wanted), mark)

    def _open(self, place: Path) -> tuple[Sidecar | None, StoredRun]:
        """Open a run's files."""
        sidecar = self._read_sidecar(self._export.base, place)
        path = place / RUN_FILE
        with reading(path):
            status = path.lstat()
        if sidecar is not None and sidecar.record_bytes == status.st_size:
            return sidecar, IndexedRun(self._export.base, place, sidecar)
        signature = (path, status.st_size, status.st_mtime_ns)
        last = getattr(self._last, "run", None)
        if last is None or last[0] != signature:
            self._last.run = None  # let go of the old one before the new one is read
            with open_file(self._export.base, path) as file, reading(path):
                content = file.read()
            last = self._last.run = (signature, LoadedRun(path, content))
        return sidecar, last[1]

    def _history(self, place: Path, budget: int) -> Histories:
        """Read whole histories of a run, ``budget`` points at most."""
        _, stored = self._open(place)
        points: list[Metric] = []
        unread = []
        for key, size in stored.sizes().items():
            if len(points) + size > budget:
                unread.append(key)
            else:
                points += stored.points(key)
        return Histories(points=points, unread=unread)

    def _id_in(self, place: Path) -> str:
        return run_id_of(with_run_id(self._open(place)[1].head()), place.name)

    def _begun(self, partial: Path, experiment_id: str) -> Run | None:
        return read_started(self._export.base, partial, experiment_id)

    def _writer(self, ident: str, *, wanted: bool = False) -> DirectoryRunWriter | None:
        return self._writers.get(ident)

    def _half_made_of(self, experiment_id: str, run_id: str) -> Sequence[Run]:
        directory = self._experiments.path(experiment_id)
        if directory is None:
            return ()
        run = self._begun(partial_directory(self._place(directory, run_id)), experiment_id)
        return () if run is None else (run,)

    def _start(
        self, place: Path, experiment_id: str, run: Run, earlier: Earlier | None
    ) -> DirectoryRunWriter:
        self._export.durations.note(experiment_id)
        writer = DirectoryRunWriter(
            self._export.base,
            place,
            replace(run, experiment_id=experiment_id),
            earlier,
            folds_case=self._export.folds_case,
            on_end=self._ended,
        )
        self._writers[writer.run_id] = writer
        return writer

    def _ended(self, writer: DirectoryRunWriter) -> None:
        self._export.durations.note(writer.experiment_id)
        if self._writers.get(writer.run_id) is writer:
            del self._writers[writer.run_id]

    def _complete(self, run_id: str) -> tuple[Run, str]:
        """Return a run and its mark."""
        place = self.present(run_id)
        run, sidecar = self.load(place, self._experiments.id_around(place))
        return run, sidecar.mark if sidecar else ""

    def _rewrite(self, copy: Run, run: Run, mark: str) -> None:
        writer = self.adopt(copy.experiment_id, copy, run)
        try:
            writer.finish(run, mark)
        finally:
            writer.abandon()


class ModelLinkStore:
    """Which logged models runs name: their records say so."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    def read(self, run_ids: Sequence[str]) -> Mapping[str, ModelLinks]:
        """See ``ReadsModelLinks.read``."""
        return {run.run_id: run.links for run in self._runs.read(run_ids)}

    def write(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        """See ``WritesModelLinks.write``."""
        self._runs.link(run_id, links)
        return ()
