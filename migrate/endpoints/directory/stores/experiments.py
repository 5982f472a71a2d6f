"""Reads what an export says of an experiment, also where experiment.json cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from migrate.endpoints.directory.foreign.records import tidied_experiment
from migrate.endpoints.directory.layout import EXPERIMENT_FILE
from migrate.endpoints.directory.native.envelope import mlflow_member, said_by_us
from migrate.endpoints.directory.native.losses import losses_of
from migrate.endpoints.directory.native.records import experiment_from_json
from migrate.endpoints.directory.places import Opened
from migrate.endpoints.directory.stores.scanning import logged_model_directories, run_directories
from migrate.endpoints.directory.unreadable import nothing_around
from migrate.endpoints.disk import DAMAGED, load_object
from migrate.endpoints.shapes import required
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import DirectoryError, Malformed
from migrate.objects import ACTIVE, DELETED, Experiment, Kind, Loss, Ref


class ExperimentRecords:
    """Reads the experiments of an export that was opened.

    Only who does not write is content with a part of one.
    """

    def __init__(self, opened: Opened, *, writable: bool) -> None:
        self._opened = opened
        self._writable = writable

    def read(self, directory: Path) -> Experiment:
        """Read the experiment in a directory, with what was lost of it when it was exported.

        Where its file is damaged or missing, experiments.json may tell its name: the rest is
        lost. Raises ``DirectoryError``.
        """
        try:
            experiment = self._read(directory)
        except DirectoryError as problem:
            name = self._opened.listed.get(directory.name)
            if self._writable or problem.hint != DAMAGED or not name:
                raise
            lost = Loss(
                "all but its name",
                f"{problem}; the name is that in experiments.json. Which runs were not exported"
                " is not known either",
            )
            deleted = directory.name in self._opened.listed_deleted
            experiment = Experiment(
                experiment_id=directory.name,
                name=name,
                lifecycle_stage=DELETED if deleted else ACTIVE,
                losses=(lost,),
            )
        ref = Ref(Kind.EXPERIMENT, experiment.experiment_id)
        kept = losses_of(self._opened.base, directory, ref)
        return replace(experiment, losses=(*experiment.losses, *kept)) if kept else experiment

    def name_what_is_in(self, directory: Path, unreadable: UnreadableObjects) -> None:
        """Report the runs and logged models of an experiment that cannot be read."""
        for kind, name, path in _held(directory):
            problem = nothing_around(directory / EXPERIMENT_FILE)
            unreadable.report(Ref(kind, name), directory.name, path, problem)

    def _read(self, directory: Path) -> Experiment:
        path = directory / EXPERIMENT_FILE
        document = load_object(self._opened.base, path)
        try:
            value = required(mlflow_member(path, document), "experiment")
            value, lost = (value, ()) if said_by_us(document) else tidied_experiment(value)
            return replace(experiment_from_json(value, directory.name), losses=lost)
        except Malformed as error:
            raise DirectoryError(f"{path} describes no experiment: {error}", DAMAGED) from error


def _held(directory: Path) -> Iterator[tuple[Kind, str, Path]]:
    """Yield what is in an experiment's directory, as far as it can be listed."""
    try:
        for name, path in run_directories(directory):
            yield Kind.RUN, name, path
        for name, path in logged_model_directories(directory):
            yield Kind.LOGGED_MODEL, name, path
    except DirectoryError:
        return  # a link: whoever reads the experiment tells
