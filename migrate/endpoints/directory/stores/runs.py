"""Finds the runs of an export and opens their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import local

from migrate.endpoints.answers import Histories
from migrate.endpoints.directory.foreign.loaded_run import LoadedRun
from migrate.endpoints.directory.foreign.records import tidied_run, with_run_id
from migrate.endpoints.directory.layout import RUN_FILE, SIDECAR_FILE
from migrate.endpoints.directory.native.records import run_from_json, run_id_of
from migrate.endpoints.directory.native.run_file import IndexedRun, StoredRun
from migrate.endpoints.directory.native.sidecar import (
    ReadSidecar,
    Sidecar,
    StoredFile,
    read_sidecar,
)
from migrate.endpoints.directory.stores.scanning import find_run, run_directories
from migrate.endpoints.directory.unreadable import require_own
from migrate.endpoints.disk import DAMAGED, open_file, reading
from migrate.errors import DirectoryError, Malformed
from migrate.objects import Metric, Run

_PATHS_KEPT = 10_000


class RunStore:
    """Reads the runs below ``base``; ``renamed``: their directories may not have their ids.

    ``sidecar`` reads that of a run.

    Several threads may use it. Each keeps the last run.json it had to read as a whole, so that
    one of another tool is not parsed again for each of its metric keys.
    """

    def __init__(self, base: Path, *, renamed: bool, sidecar: ReadSidecar = read_sidecar) -> None:
        self._base = base
        self._sidecar = sidecar
        self._may_be_renamed = renamed
        self._paths: dict[str, Path] = {}
        self._renamed: dict[Path, dict[str, Path]] = {}
        self._last = local()

    def open(self, run: Path) -> tuple[Sidecar | None, StoredRun]:
        """Open a run's files. Raises ``DirectoryError``."""
        sidecar = self._sidecar(self._base, run)
        path = run / RUN_FILE
        with reading(path):
            status = path.lstat()
        if sidecar is not None and sidecar.record_bytes == status.st_size:
            return sidecar, IndexedRun(self._base, run, sidecar)
        signature = (path, status.st_size, status.st_mtime_ns)
        last = getattr(self._last, "run", None)
        if last is None or last[0] != signature:
            self._last.run = None  # let go of the old one before the new one is read
            with open_file(self._base, path) as file, reading(path):
                content = file.read()
            last = self._last.run = (signature, LoadedRun(path, content))
        return sidecar, last[1]

    def read(self, run: Path, experiment_id: str) -> tuple[Run, Sidecar | None]:
        """Read a run without its histories. Raises ``DirectoryError``."""
        sidecar, stored = self.open(run)
        try:
            head, lost = (stored.head(), sidecar.losses) if sidecar else tidied_run(stored.head())
            record = run_from_json(
                head, directory=run.name, experiment_id=experiment_id, latest=stored.latest()
            )
            record = replace(record, losses=tuple(dict.fromkeys((*lost, *stored.losses))))
            if not self._may_be_renamed:
                require_own(run / RUN_FILE, record.run_id)
        except Malformed as error:
            message = f"{run / RUN_FILE} describes no run: {error}"
            raise DirectoryError(message, DAMAGED) from error
        self._remember(record.run_id, run)
        return record, sidecar

    def history(self, run: Path, budget: int) -> Histories:
        """Read whole histories of a run, ``budget`` points at most. Raises ``DirectoryError``."""
        _, stored = self.open(run)
        points: list[Metric] = []
        unread = []
        for key, size in stored.sizes().items():
            if len(points) + size > budget:
                unread.append(key)
            else:
                points += stored.points(key)
        return Histories(points=points, unread=unread)

    def find_in(self, experiment: Path, run_id: str) -> Path | None:
        """Return the directory of a run in one experiment; None when it is not there."""
        known = self._paths.get(run_id)
        if known is not None and known.is_relative_to(experiment) and known.exists():
            return known
        found = find_run(experiment, run_id)
        if found is None and self._may_be_renamed:
            found = self._renamed_in(experiment).get(run_id)
        return found

    def find(self, run_id: str, experiments: Callable[[], Iterable[Path]]) -> Path | None:
        """Return the directory of a run in one of ``experiments``; None when it is not there."""
        known = self._paths.get(run_id)
        if known is not None and known.exists():
            return known
        self._paths.pop(run_id, None)
        found = next(filter(None, (find_run(path, run_id) for path in experiments())), None)
        if found is None and self._may_be_renamed:
            renamed = (self._renamed_in(path).get(run_id) for path in experiments())
            found = next(filter(None, renamed), None)
        if found is not None:
            self._remember(run_id, found)
        return found

    def recorded_files(self, run: Path) -> Mapping[str, StoredFile]:
        """Return by path the artifacts that a run or logged model was written with.

        Without those of which nothing is recorded but the path and the size.
        """
        path = run / SIDECAR_FILE
        try:
            status = path.lstat()
        except OSError:
            return {}
        signature = (path, status.st_size, status.st_mtime_ns)
        last: tuple[object, dict[str, StoredFile]] | None = getattr(self._last, "files", None)
        if last is None or last[0] != signature:
            sidecar = self._sidecar(self._base, run)
            files = sidecar.artifacts if sidecar else ()
            told = {it.path: it for it in files if it.digest or it.path != it.stored_as}
            last = self._last.files = (signature, told)
        return last[1]

    def _remember(self, run_id: str, path: Path) -> None:
        if len(self._paths) >= _PATHS_KEPT:
            self._paths.clear()
        self._paths.setdefault(run_id, path)

    def _renamed_in(self, experiment: Path) -> dict[str, Path]:
        if experiment not in self._renamed:
            renamed: dict[str, Path] = {}
            for name, path in run_directories(experiment):
                try:
                    run_id = run_id_of(with_run_id(self.open(path)[1].head()), name)
                except (DirectoryError, Malformed):
                    continue  # listing the runs reports it
                if run_id != name:
                    renamed.setdefault(run_id, path)
            self._renamed[experiment] = renamed
        return self._renamed[experiment]
