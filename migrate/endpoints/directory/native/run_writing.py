"""Puts one run together, with all of its metric points."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from migrate.endpoints.directory.layout import ARTIFACTS, RUN_FILE
from migrate.endpoints.directory.native.artifacts import IncomingFiles
from migrate.endpoints.directory.native.envelope import system_block
from migrate.endpoints.directory.native.metric_lines import MetricSpool, point_line
from migrate.endpoints.directory.native.records import run_from_json, run_to_json
from migrate.endpoints.directory.native.replacing import PartialCopy, started_with
from migrate.endpoints.directory.native.run_file import StoredRun, write_run_file
from migrate.endpoints.directory.native.sidecar import Sidecar, StoredFile
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import run_ref
from migrate.objects import ArtifactRoot, Metric, ModelLinks, ModelOutput, Run
from migrate.outcomes import Loss


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The complete copy of the run that is there already and is to be replaced."""

    run: Run
    sidecar: Sidecar | None
    stored: StoredRun


class DirectoryRunWriter:
    """A ``RunWriter``. Until ``finish`` has returned, a reader sees the earlier copy or none.

    Points of a metric key replace the key's history in the earlier copy, so whoever completes
    a copy writes whole histories. Other params, inputs, links, keys and files of it stay.
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
        self._place = place
        self._earlier = earlier
        self._on_end = on_end
        self._run = run
        self._params = dict(earlier.run.params) if earlier else {}
        self._tags = dict(run.tags)
        self._inputs: dict[tuple[object, object], Mapping[str, object]] = {}
        self.write_inputs(earlier.run.inputs if earlier else ())
        self._copy = PartialCopy(
            base,
            place,
            RUN_FILE,
            started=run_to_json(run, {}, ()),
            replaces=earlier is not None,
            sidecar=earlier.sidecar if earlier else None,
            folds_case=folds_case,
        )
        self._metrics = MetricSpool(self._copy.work)

    @property
    def run_id(self) -> str:
        """Id of the copy: that of the original."""
        return self._run.run_id

    @property
    def experiment_id(self) -> str:
        """Id of the experiment it is in."""
        return self._run.experiment_id

    @property
    def root(self) -> ArtifactRoot:
        """Where the copy's files go."""
        return ArtifactRoot(run_ref(self.run_id), str(self._place / ARTIFACTS))

    @property
    def files(self) -> IncomingFiles:
        """What takes in the copy's files."""
        return self._copy.files

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """See ``RunWriter.write_tags``."""
        self._tags.update(tags)

    def remove_tags(self, keys: Sequence[str]) -> None:
        """See ``RunWriter.remove_tags``."""
        for key in keys:
            self._tags.pop(key, None)

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

    def finish(self, run: Run, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """See ``RunWriter.finish``; refuses nothing. Raises ``StorageFull``, ``DirectoryError``."""
        earlier = self._earlier.run.links if self._earlier else ModelLinks()
        run = dataclasses.replace(
            run,
            run_id=self.run_id,
            experiment_id=self._run.experiment_id,
            tags=self._tags,
            links=all_links(earlier, run.links),
        )
        run_file = self._copy.work / RUN_FILE
        document = {
            "system": system_block(),
            "mlflow": run_to_json(run, self._params, self._inputs.values()),
        }
        histories = write_run_file(run_file, document, self._histories())
        self._metrics.close()
        size = run_file.stat().st_size
        lost = self._earlier.run.losses if self._earlier else ()
        self._copy.publish(
            run_file,
            lambda files: Sidecar(
                mark=mark,
                record_bytes=size,
                artifacts=files,
                histories=histories,
                losses=lost,
            ),
        )
        self._end()
        self._copy.clear()
        return ()

    def abandon(self) -> None:
        """See ``RunWriter.abandon``. Files that arrived whole stay for the next attempt.

        Does nothing after ``finish``.
        """
        self._end()

    def listing(self) -> list[StoredFile]:
        """Return the files the copy has so far, those of the earlier copy included."""
        return self._copy.listing()

    def _histories(self) -> Iterator[tuple[Metric, Iterable[bytes]]]:
        if self._earlier is not None:
            for latest in self._earlier.stored.latest():
                if latest.key not in self._metrics.latest:
                    points = self._earlier.stored.points(latest.key)
                    yield latest, (point_line(point) for point in points)
        for key, latest in self._metrics.latest.items():
            yield latest, self._metrics.lines(key)

    def _end(self) -> None:
        self._metrics.close()
        self._on_end(self)


def all_links(first: ModelLinks, second: ModelLinks) -> ModelLinks:
    """Return the links of both, each once; of a step said twice, the second."""
    outputs = {**dict(first.outputs), **dict(second.outputs)}
    return ModelLinks(
        tuple(dict.fromkeys((*first.inputs, *second.inputs))),
        tuple(ModelOutput(*output) for output in outputs.items()),
    )


def read_started(base: Path, partial: Path, experiment_id: str) -> Run | None:
    """Return what a half-made run was begun with; None when not even that is there whole."""
    try:
        return run_from_json(
            started_with(base, partial),
            directory=partial.name,
            experiment_id=experiment_id,
            latest=(),
        )
    except (DirectoryError, Malformed):
        return None
