"""What runs and logged models share: each has a folder in that of its experiment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from migrate.endpoints.file_stores import META
from migrate.endpoints.filestore.files import StoreFiles
from migrate.endpoints.filestore.places import ExperimentFolder, Places
from migrate.endpoints.shapes import Object, ident
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import EndpointError, Malformed
from migrate.kinds import Kind, Ref

C = TypeVar("C")


class ContainedStore(ABC, Generic[C]):
    """Implements ``ReadsContained``."""

    kind: ClassVar[Kind]
    #: The folder of an experiment that theirs are in; empty where that is the experiment's own.
    folder: ClassVar[str]
    #: The file that says what each is.
    file: ClassVar[str] = META

    def __init__(self, files: StoreFiles, places: Places, unreadable: UnreadableObjects) -> None:
        self._files = files
        self._places = places
        self._unreadable = unreadable

    def list(self, experiment_ids: Sequence[str]) -> Iterator[C]:
        """See ``ReadsContained.list``; in order of their ids."""
        for experiment_id in experiment_ids:
            self._unreadable.forget(self.kind, experiment_id)
            experiment = self._places.experiment(experiment_id)
            if experiment is not None:
                for path in self._paths(experiment):
                    yield from self._readable(experiment, path)

    def _paths(self, experiment: ExperimentFolder) -> Sequence[Path]:
        """Return the folders of what is in an experiment; report where they cannot be listed."""
        try:
            return [*self._places.within(experiment, self.folder)]
        except EndpointError as problem:
            ref = Ref(self.kind, f"{experiment.id}/{self.folder}")
            place = experiment.path / self.folder
            self._unreadable.report(ref, experiment.id, place, problem)
            return ()

    def read(self, ids: Sequence[str]) -> Sequence[C]:
        """See ``ReadsContained.read``; deleted ones too."""
        found = (self._places.find(it, self.folder) for it in ids)
        return [record for place in found if place for record in self._readable(*place)]

    def _readable(self, experiment: ExperimentFolder, path: Path) -> Sequence[C]:
        """Return the object of a folder; none, where it cannot be read, which is reported."""
        try:
            return [self._record(experiment, path)]
        except EndpointError as problem:
            ref = Ref(self.kind, path.name)
            self._unreadable.report(ref, experiment.id, path / self.file, problem)
            return []

    @abstractmethod
    def _record(self, experiment: ExperimentFolder, path: Path) -> C:
        """Return the object of a folder."""

    def _require_own(
        self, experiment: ExperimentFolder, path: Path, body: Object, *keys: str
    ) -> None:
        """Raise ``Malformed`` where the file of an object is about another. ``keys``: its id.

        A folder that was copied by hand says still whose it was.
        """
        for names, place in ((keys, path), (("experiment_id",), experiment.path)):
            if (told := ident(body, *names)) != place.name:
                raise Malformed(f"{names[0]} is {told[:60]!r}, in the folder of {place.name!r}")
