"""Puts one run together beside its place, and then gives it its name in one step."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from migrate.endpoints.directory.artifacts import INCOMING, IncomingFiles, whole_files
from migrate.endpoints.directory.disk import (
    json_text,
    load_object,
    refuse_links,
    sync,
    writing,
)
from migrate.endpoints.directory.indexes import system_block
from migrate.endpoints.directory.layout import (
    ARTIFACTS,
    RUN_FILE,
    RUN_SIDECAR,
    partial_directory,
    replaced_directory,
)
from migrate.endpoints.directory.metric_lines import MetricSpool, point_line
from migrate.endpoints.directory.records import MALFORMED, run_from_json, run_to_json
from migrate.endpoints.directory.run_file import StoredRun, write_run_file
from migrate.endpoints.directory.scanning import replaced_runs
from migrate.endpoints.directory.sidecar import Sidecar, StoredFile
from migrate.errors import DirectoryError
from migrate.objects import ArtifactRoot, Kind, Metric, Ref, Run

_WORK = ".work"  # what a later attempt needs to go on; nothing in it belongs to the export
_STARTED = "started.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The complete copy of the run that is there already and is to be replaced."""

    path: Path
    run: Run
    sidecar: Sidecar | None
    stored: StoredRun


class DirectoryRunWriter:
    """A ``RunWriter``. Until ``finish`` has returned, a reader sees the earlier copy or none.

    Points of a metric key replace the key's history in the earlier copy, so whoever completes
    a copy writes whole histories. Other params, inputs, keys and files of it stay.
    """

    def __init__(
        self,
        base: Path,
        place: Path,
        run: Run,
        earlier: Earlier | None,
        *,
        folds_case: bool,
        on_end: Callable[[DirectoryRunWriter], None],
    ) -> None:
        self._base = base
        self._place = place
        self._earlier = earlier
        self._on_end = on_end
        self._partial = partial_directory(place)
        self._work = self._partial / _WORK
        self._run = run
        self._params = dict(earlier.run.params) if earlier else {}
        self._tags = dict(run.tags)
        self._inputs: dict[tuple[object, object], Mapping[str, object]] = {}
        self.write_inputs(earlier.run.inputs if earlier else ())
        self._begin()
        self.files = IncomingFiles(self._partial, self._work, folds_case=folds_case)
        self._metrics = MetricSpool(self._work)

    @property
    def run_id(self) -> str:
        """Id of the copy: that of the original."""
        return self._run.run_id

    @property
    def root(self) -> ArtifactRoot:
        """Where the copy's files go."""
        return ArtifactRoot(Ref(Kind.RUN, self.run_id), str(self._place / ARTIFACTS))

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """See ``RunWriter.write_tags``."""
        self._tags.update(tags)

    def write_params(self, params: Mapping[str, str]) -> None:
        """See ``RunWriter.write_params``."""
        self._params.update(params)

    def write_metrics(self, points: Iterable[Metric]) -> None:
        """See ``RunWriter.write_metrics``. Raises ``StorageFull`` or ``DirectoryError``."""
        self._metrics.add(points)

    def write_inputs(self, inputs: Sequence[Mapping[str, object]]) -> None:
        """See ``RunWriter.write_inputs``."""
        for entry in inputs:
            dataset = entry.get("dataset")
            known = dataset if isinstance(dataset, Mapping) else {}
            self._inputs[known.get("name"), known.get("digest")] = entry

    def finish(self, run: Run, mark: str) -> None:
        """See ``RunWriter.finish``. Raises ``StorageFull`` or ``DirectoryError``."""
        run = dataclasses.replace(
            run, run_id=self.run_id, experiment_id=self._run.experiment_id, tags=self._tags
        )
        run_file = self._work / RUN_FILE
        document = {
            "system": system_block(),
            "mlflow": run_to_json(run, self._params, self._inputs.values()),
        }
        histories = write_run_file(run_file, document, self._histories())
        self._metrics.close()
        self.files.carry(self._base, *self._files_to_carry())
        with writing(self._place):
            sidecar = Sidecar(
                mark=mark,
                run_file_bytes=run_file.stat().st_size,
                artifacts=tuple(sorted(self.files.listing())),
                histories=histories,
                model_ids=run.model_ids,
            )
            self.files.sync()
            self.files.remove_if_empty()
            self._publish(run_file, sidecar)
        self._end()
        shutil.rmtree(self._place / _WORK, ignore_errors=True)

    def abandon(self) -> None:
        """See ``RunWriter.abandon``. Files that arrived whole stay for the next attempt.

        Does nothing after ``finish``.
        """
        self._end()

    def listing(self) -> list[StoredFile]:
        """Return the files the copy has so far, those of the earlier copy included."""
        files = {file.path: file for file in self._files_to_carry()[1]}
        files |= {file.path: file for file in self.files.listing()}
        return list(files.values())

    def _begin(self) -> None:
        """Make the partial directory, or clear one that was left of all but whole files."""
        refuse_links(self._base, self._work)
        with writing(self._partial):
            self._work.mkdir(parents=True, exist_ok=True)
            for leftover in self._work.glob(f"*{INCOMING}"):
                leftover.unlink()
            for name in (RUN_FILE, RUN_SIDECAR):
                (self._partial / name).unlink(missing_ok=True)
            started = json_text({"mlflow": run_to_json(self._run, {}, ())})
            (self._work / _STARTED).write_text(started)

    def _histories(self) -> Iterator[tuple[Metric, Iterable[bytes]]]:
        if self._earlier is not None:
            for latest in self._earlier.stored.latest():
                if latest.key not in self._metrics.latest:
                    points = self._earlier.stored.points(latest.key)
                    yield latest, (point_line(point) for point in points)
        for key, latest in self._metrics.latest.items():
            yield latest, self._metrics.lines(key)

    def _files_to_carry(self) -> tuple[Path, list[StoredFile]]:
        """Return the files of the earlier copy that are as they were written."""
        if self._earlier is None:
            return self._place, []
        path = self._earlier.path
        return path, whole_files(self._base, path, self._earlier.sidecar)

    def _publish(self, run_file: Path, sidecar: Sidecar) -> None:
        """Complete the partial directory, run.json last, and give it its name.

        Contents are made durable first, names with the last one: file systems keep their order,
        and where one does not, the sizes in migrate.json show it.
        """
        sidecar_file = self._partial / RUN_SIDECAR
        sidecar_file.write_text(json_text(sidecar.to_json()))
        sync(sidecar_file)
        sync(run_file)
        os.replace(run_file, self._partial / RUN_FILE)
        replaced = replaced_directory(self._place)
        if self._place.exists():
            os.rename(self._place, replaced)
        os.rename(self._partial, self._place)
        sync(self._place.parent)
        shutil.rmtree(replaced, ignore_errors=True)

    def _end(self) -> None:
        self._metrics.close()
        self._on_end(self)


def settle_replaced(experiment: Path) -> None:
    """Undo or finish every replacement that was killed. Raises ``DirectoryError``."""
    for place in replaced_runs(experiment):
        restore_replaced(place)


def restore_replaced(place: Path) -> None:
    """Undo or finish a replacement that was killed half-way. Raises ``DirectoryError``."""
    replaced = replaced_directory(place)
    if not os.path.lexists(replaced):
        return
    with writing(place):
        if place.exists():
            shutil.rmtree(replaced)
        else:
            os.rename(replaced, place)


def read_started(base: Path, partial: Path, experiment_id: str) -> Run | None:
    """Return what a half-made run was begun with; None when not even that is there whole."""
    try:
        document = load_object(base, partial / _WORK / _STARTED)
        return run_from_json(
            document["mlflow"], directory=partial.name, experiment_id=experiment_id, latest=()
        )
    except (DirectoryError, *MALFORMED):
        return None
