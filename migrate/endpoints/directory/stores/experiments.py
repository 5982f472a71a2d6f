"""The experiments of an export: a directory each, which holds its runs and logged models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.foreign.identity import order_of_creation
from migrate.endpoints.directory.foreign.records import tidied_experiment
from migrate.endpoints.directory.foreign.scanning import (
    experiment_directories,
    members_in,
)
from migrate.endpoints.directory.indexes.contents import write_new_experiment
from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    LOGGED_MODEL_FILE,
    LOGGED_MODELS,
    RUN_FILE,
    RUNS,
    TRACE_FILE,
    TRACES,
    directory_name,
    experiment_directory,
)
from migrate.endpoints.directory.native.envelope import mlflow_member, said_by_us
from migrate.endpoints.directory.native.experiment_file import change_experiment, keep_permissions
from migrate.endpoints.directory.native.kept_permissions import read_permissions
from migrate.endpoints.directory.native.losses import keep_losses, losses_of
from migrate.endpoints.directory.native.records import experiment_from_json
from migrate.endpoints.directory.unreadable import held_twice, nothing_around
from migrate.endpoints.disk import DAMAGED, load_object
from migrate.endpoints.shapes import required
from migrate.errors import AlreadyExists, DirectoryError, Malformed, NotFound
from migrate.kinds import Kind, Ref, experiment_ref
from migrate.objects import ACTIVE, DELETED, Experiment, Loss, Permissions


class ExperimentStore:
    """Reads and writes experiments; what cannot be read is left out and reported.

    Methods that write raise ``Refused``, ``StorageFull`` and ``DirectoryError``, and ``NotFound``
    where the experiment is not there.
    """

    kind: ClassVar[Kind] = Kind.EXPERIMENT

    def __init__(self, export: Export) -> None:
        self._export = export
        self._paths: dict[str, Path] = {}
        self._has_listed = False
        self._ids: dict[Path, str] = {}
        self._ids_by_name: dict[str, str] | None = None

    def list(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.list``."""
        opened, unreadable = self._export.open(), self._export.unreadable
        unreadable.forget(Kind.EXPERIMENT)
        found: dict[str, Experiment] = {}
        names = set()
        for directory in self.directories():
            names.add(directory.name)
            try:
                experiment = self._read(directory)
                ident = experiment.experiment_id
                if ident in found:
                    raise held_twice(f"experiment {ident}", directory, self._paths[ident])
            except DirectoryError as problem:
                ref = experiment_ref(directory.name)
                unreadable.report(ref, "", directory, problem)
                self._report_what_is_in(directory)
                continue
            found[ident] = experiment
            self._paths[ident] = directory
        for ident, name in opened.listed.items():
            if not {ident, directory_name(ident)} & (names | found.keys()):
                path = experiment_directory(opened.base, ident) / EXPERIMENT_FILE
                gone = DirectoryError(f"experiment {name!r}: {path} is missing", DAMAGED)
                unreadable.report(experiment_ref(ident), "", path, gone)
        self._report_lacking({*found, *names})
        self._has_listed = True
        return iter(sorted(found.values(), key=order_of_creation))

    def read(self, idents: Sequence[str]) -> Sequence[Experiment]:
        """See ``ReadsExperiments.read``."""
        found = []
        for ident in idents:
            directory = self.path(ident)
            if directory is None:
                continue
            try:
                found.append(self._read(directory))
            except DirectoryError as problem:
                ref = experiment_ref(ident)
                self._export.unreadable.report(ref, "", directory, problem)
        return found

    def directories(self) -> Iterator[Path]:
        """Yield the directory of every experiment, readable or not."""
        return experiment_directories(self._export.open())

    def path(self, ident: str) -> Path | None:
        """Return the directory of an experiment; None where it is not there."""
        opened = self._export.open()
        if ident not in self._paths:
            path = experiment_directory(opened.base, ident)
            if not opened.lone and os.path.lexists(path / EXPERIMENT_FILE):
                self._paths[ident] = path
            elif not self._has_listed:
                self.list()  # finds those whose directory has another name
        return self._paths.get(ident)

    def present(self, ident: str) -> Path:
        """Return the directory of an experiment. Raises ``NotFound``."""
        directory = self.path(ident)
        if directory is None:
            raise NotFound(f"experiment {ident} is not in {self._export.path}")
        return directory

    def around(self, place: Path) -> Path:
        """Return the directory of the experiment that a run or logged model is in."""
        directory = place.parent
        below = directory.name in (RUNS, LOGGED_MODELS, TRACES) and directory != self._export.base
        return directory.parent if below else directory

    def id_around(self, place: Path) -> str:
        """Return the id of the experiment that a run or logged model is in."""
        return self.id_of(self.around(place))

    def id_of(self, directory: Path) -> str:
        """Return the id of the experiment in a directory."""
        if directory not in self._ids:
            self._ids[directory] = self._read(directory).experiment_id
        return self._ids[directory]

    def report(self, ref: Ref, place: Path, problem: DirectoryError) -> None:
        """Report a run or logged model; what has no readable experiment is in its directory."""
        directory = self.around(place)
        container = self._ids.get(directory, directory.name)
        self._export.unreadable.report(ref, container, place, problem)

    def name_of(self, ident: str) -> str:
        """Return the name of an experiment, empty where it is not there."""
        directory = self.path(ident)
        return "" if directory is None else self._read(directory).name

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.read``."""
        path = self.present(ref.id) / EXPERIMENT_FILE
        return read_permissions(path, mlflow_member(path, load_object(self._export.base, path)))

    def create(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create``; a deleted one is created active."""
        self._export.require_writable()
        ident = experiment.experiment_id
        with self._export.lock:
            directory = experiment_directory(self._export.base, ident)
            if self._is_described(directory):
                raise AlreadyExists(f"experiment {ident} is in {self._export.path} already")
            self._take_name(experiment.name, ident)
            write_new_experiment(directory, replace(experiment, lifecycle_stage=ACTIVE))
            self._export.durations.note(ident)
        return ident

    def set_tags(self, ident: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """See ``WritesExperiments.set_tags``."""

        def change(experiment: dict[str, Any]) -> None:
            experiment["tags"] = dict(sorted({**experiment["tags"], **tags}.items()))

        self._change(ident, change)
        return ()

    def remove_tags(self, ident: str, keys: Sequence[str]) -> None:
        """See ``WritesExperiments.remove_tags``."""

        def change(experiment: dict[str, Any]) -> None:
            left = {key: text for key, text in experiment["tags"].items() if key not in keys}
            experiment["tags"] = left

        self._change(ident, change)

    def delete(self, ident: str) -> None:
        """See ``WritesExperiments.delete``; its runs stay as their records say."""
        self._change(ident, lambda it: it.update(lifecycle_stage=DELETED))

    def restore(self, ident: str) -> None:
        """See ``WritesExperiments.restore``; its runs stay as their records say."""
        self._change(ident, lambda it: it.update(lifecycle_stage=ACTIVE))

    def rename(self, ident: str, name: str) -> None:
        """See ``WritesExperiments.rename``. Raises ``AlreadyExists``."""
        with self._export.lock:
            self.present(ident)
            self._take_name(name, ident)
            self._change(ident, lambda it: it.update(name=name))
            self._ids_by_name = None  # the old name is free again

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        self._export.require_writable()
        with self._export.lock:
            return keep_permissions(self._export.base, self.present(ref.id), permissions)

    def keep_losses(self, ref: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``."""
        self._export.require_writable()
        with self._export.lock:
            keep_losses(self._export.base, self.present(ref.id), ref, losses)

    def _read(self, directory: Path) -> Experiment:
        """Read the experiment in a directory, with what was lost of it when it was exported.

        Where its file is damaged or missing, experiments.json may tell its name: the rest is
        lost. Only who writes is not content with that. Raises ``DirectoryError``.
        """
        opened = self._export.open()
        try:
            experiment = self._read_record(directory)
        except DirectoryError as problem:
            name = opened.listed.get(directory.name)
            if self._export.writable or problem.hint != DAMAGED or not name:
                raise
            lost = Loss(
                "all but its name",
                f"{problem}; the name is that in experiments.json. Which runs were not exported"
                " is not known either",
            )
            deleted = directory.name in opened.listed_deleted
            experiment = Experiment(
                experiment_id=directory.name,
                name=name,
                lifecycle_stage=DELETED if deleted else ACTIVE,
                losses=(lost,),
            )
        ref = experiment.ref
        kept = losses_of(opened.base, directory, ref)
        return replace(experiment, losses=(*experiment.losses, *kept)) if kept else experiment

    def _read_record(self, directory: Path) -> Experiment:
        path = directory / EXPERIMENT_FILE
        document = load_object(self._export.base, path)
        try:
            value = required(mlflow_member(path, document), "experiment")
            value, lost = (value, ()) if said_by_us(document) else tidied_experiment(value)
            return replace(experiment_from_json(value, directory.name), losses=lost)
        except Malformed as error:
            raise DirectoryError(f"{path} describes no experiment: {error}", DAMAGED) from error

    def _report_what_is_in(self, directory: Path) -> None:
        """Report the runs and logged models of an experiment that cannot be read."""
        for kind, name, path in _members_of(directory):
            problem = nothing_around(directory / EXPERIMENT_FILE)
            self._export.unreadable.report(Ref(kind, name), directory.name, path, problem)

    def _report_lacking(self, known: set[str]) -> None:
        """Report what failed to export, of experiments and of what is in those that are not here.

        Others are reported by whoever lists what they are in.
        """
        for lacking in self._export.lacks.failed:
            around = lacking.container or lacking.ref.id
            is_apart = known.isdisjoint({around, directory_name(around)})
            if is_apart and not lacking.ref.kind.in_registry:
                self._export.unreadable.add(lacking)

    def _is_described(self, directory: Path) -> bool:
        """Say whether there is an experiment; one whose file is damaged is described anew."""
        if not os.path.lexists(directory / EXPERIMENT_FILE):
            return False
        try:
            self._read(directory)
        except DirectoryError as problem:
            if problem.hint != DAMAGED:
                raise
            return False
        return True

    def _change(self, ident: str, change: Callable[[dict[str, Any]], object]) -> None:
        self._export.require_writable()
        with self._export.lock:
            change_experiment(self._export.base, self.present(ident), change)

    def _take_name(self, name: str, ident: str) -> None:
        """Give a name to an experiment. Raises ``AlreadyExists`` when another one has it."""
        if self._ids_by_name is None:
            self._ids_by_name = {it.name: it.experiment_id for it in self.list()}
        holder = self._ids_by_name.setdefault(name, ident)
        if holder != ident:
            raise AlreadyExists(f"experiment {holder} in {self._export.path} has the name {name!r}")


def _members_of(directory: Path) -> Iterator[tuple[Kind, str, Path]]:
    """Yield what is in an experiment's directory, as far as it can be listed."""
    with suppress(DirectoryError):  # a link: whoever reads the experiment tells
        for name, path in members_in(directory, RUNS, RUN_FILE):
            yield Kind.RUN, name, path
        for name, path in members_in(directory, LOGGED_MODELS, LOGGED_MODEL_FILE):
            yield Kind.LOGGED_MODEL, name, path
        for name, path in members_in(directory, TRACES, TRACE_FILE):
            yield Kind.TRACE, name, path
