"""Two ends that are made up as they are asked: a million runs that nobody has to keep.

A run is a function of its number, so that what is measured beside them is all there is in memory.
The id of a run is spread over all hexadecimal digits, as those of MLflow are: a database that
takes them in order would do better with them than with real ones.
"""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from migrate.endpoints.answers import Copy, Histories
from migrate.objects import ACTIVE, PARENT_RUN_TAG, Experiment, Metric, Run
from migrate.origins import MARK, ORIGIN, experiment_origin
from migrate.tasks.fingerprint import Fingerprint
from tests.graph.memory import MemoryRuns, MemoryServer

START_MS = 1_700_000_000_000
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
_IDS = 1 << 128
_INVERSE = pow(_SPREAD, -1, _IDS)
#: Number of which runs of the target begin: no id of a copy is one of an original.
_OF_COPIES = 1 << 40
#: Every so manieth run is a child of the one before it.
NESTED = 10


def run_id_of(number: int) -> str:
    """Return the id of the run of a number."""
    return f"{(number + 1) * _SPREAD % _IDS:032x}"


def copy_id_of(number: int) -> str:
    """Return the id that the copy of a run has."""
    return run_id_of(_OF_COPIES + number)


def number_of(run_id: str) -> int:
    """Return the number of the run, or of the original of the copy, with this id."""
    return (int(run_id, 16) * _INVERSE % _IDS - 1) % _OF_COPIES


class Generated(MemoryServer):
    """A source of ``runs`` in ``experiments``, all alike but for what tells them apart."""

    def __init__(self, runs: int, experiments: int, name: str = "source") -> None:
        super().__init__(name)
        self.total = runs
        self.within = -(-runs // experiments)
        self.runs = GeneratedRuns(self)
        for number in range(experiments):
            self._add(self.experiment(number))

    def _add(self, experiment: Experiment) -> None:
        self.experiments_held[experiment.experiment_id] = experiment

    def experiment(self, number: int) -> Experiment:
        """Return an experiment."""
        return Experiment(
            experiment_id=f"{number + 1}", name=f"experiment {number}", creation_time=START_MS
        )

    def run(self, number: int) -> Run:
        """Return the run of a number."""
        tags = {
            "mlflow.user": "ada",
            "mlflow.runName": f"legendary-shark-{number % 1000}",
            "mlflow.source.name": "/home/ada/train.py",
            "mlflow.source.type": "LOCAL",
        }
        if number % NESTED == NESTED - 1:
            tags[PARENT_RUN_TAG] = run_id_of(number - 1)
        run_id = run_id_of(number)
        return Run(
            run_id=run_id,
            experiment_id=f"{number // self.within + 1}",
            name=tags["mlflow.runName"],
            user_id="ada",
            status="FINISHED",
            start_time=START_MS + number,
            end_time=START_MS + number + 1000,
            artifact_uri=f"mlflow-artifacts:/{number // self.within + 1}/{run_id}/artifacts",
            params={"alpha": f"{number}", "layers": "3"},
            tags=tags,
            latest_metrics=self.points_of(number),
        )

    def points_of(self, number: int) -> tuple[Metric, ...]:
        """Return the points of the one metric of a run."""
        return (Metric("loss", number / 7, START_MS + number, 0),)

    def numbers_in(self, experiment_id: str) -> range:
        """Return the numbers of the runs of an experiment."""
        first = (int(experiment_id) - 1) * self.within
        return range(first, min(first + self.within, self.total))


class GeneratedCopy(Generated):
    """A target that holds whole copies of the first runs of a source, and what is due of it."""

    def __init__(self, runs: int, experiments: int, copied: int) -> None:
        super().__init__(runs, experiments, "target")
        self.copied = copied
        self.experiments_held.clear()
        for number in range(experiments if copied else 0):
            original = self.experiment(number)
            copy = Experiment(
                experiment_id=original.experiment_id,
                name=original.name,
                creation_time=START_MS + 1,
                tags={ORIGIN: experiment_origin(original)},
            )
            self._add(copy)

    def run(self, number: int) -> Run:
        """Return the copy of the run of a number."""
        return _copied(super().run(number), number)

    def numbers_in(self, experiment_id: str) -> range:
        """Return the numbers of the runs whose copies an experiment holds."""
        there = super().numbers_in(experiment_id)
        return range(there.start, min(there.stop, max(there.start, self.copied)))


def _copied(run: Run, number: int) -> Run:
    tags = dict(run.tags)
    if PARENT_RUN_TAG in tags:
        tags[PARENT_RUN_TAG] = copy_id_of(number - 1)
    tags |= {ORIGIN: run.run_id, MARK: _mark_of(run)}
    return dataclasses.replace(run, run_id=copy_id_of(number), tags=tags)


def _mark_of(run: Run) -> str:
    fingerprint = Fingerprint(run, ())
    fingerprint.add_files(())
    fingerprint.add_points(run.latest_metrics)
    return fingerprint.mark()


class GeneratedRuns(MemoryRuns):
    """The runs of either."""

    def __init__(self, server: Generated) -> None:
        super().__init__(server)
        self._made = server

    def list(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        for ident in experiment_ids:
            for number in self._made.numbers_in(ident):
                yield self._made.run(number)

    def read(self, ids: Sequence[str]) -> Sequence[Run]:
        return [self._made.run(number_of(run_id)) for run_id in ids]

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        return {
            run.run_id: Histories(points=[*self._made.points_of(number_of(run.run_id))])
            for run in runs
        }

    def find(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> Mapping[str, builtins.list[Copy]]:
        found = {}
        for run in self.list([experiment_id]):
            origin = run.tags[ORIGIN]
            if origins is None or origin in origins:
                copy = Copy(
                    origin=origin,
                    target_id=run.run_id,
                    mark=run.tags[MARK],
                    lifecycle_stage=ACTIVE,
                )
                found[origin] = [copy]
        return found
