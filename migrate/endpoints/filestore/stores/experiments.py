"""The experiments of a file store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrate.endpoints.file_stores import META, TRASH
from migrate.endpoints.filestore.files import Losses, StoreFiles
from migrate.endpoints.filestore.places import ExperimentFolder, Places
from migrate.endpoints.shapes import ident, integer, required_text, text, word
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import EndpointError, Malformed
from migrate.kinds import Kind, experiment_ref
from migrate.objects import DELETED, LIFECYCLE_STAGES, Experiment


class ExperimentStore:
    """Implements ``ReadsExperiments``."""

    kind = Kind.EXPERIMENT

    def __init__(self, files: StoreFiles, places: Places, unreadable: UnreadableObjects) -> None:
        self._files = files
        self._places = places
        self._unreadable = unreadable

    def list(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.list``."""
        self._unreadable.forget(self.kind)
        found: dict[str, Experiment] = {}
        for folder in self._places.experiments():
            if folder.id in found:
                same = Malformed("there is an experiment of this id outside of the trash too")
                self._report(folder, f"{TRASH}/{folder.id}", same)
            else:
                found |= {it.experiment_id: it for it in self._readable(folder)}
        # Ids count up, or are made of chance; the oldest have no times.
        yield from sorted(
            found.values(),
            key=lambda it: (it.creation_time or 0, len(it.experiment_id), it.experiment_id),
        )

    def read(self, ids: Sequence[str]) -> Sequence[Experiment]:
        """See ``ReadsExperiments.read``."""
        folders = filter(None, map(self._places.experiment, ids))
        return [it for folder in folders for it in self._readable(folder)]

    def name_of(self, experiment_id: str) -> str:
        """Return the name of an experiment, empty where it is not there."""
        return next((it.name for it in self.read([experiment_id])), "")

    def _readable(self, folder: ExperimentFolder) -> Sequence[Experiment]:
        """Return the experiment of a folder; none where it cannot be read, which is reported."""
        try:
            return [self._experiment(folder)]
        except EndpointError as problem:
            self._report(folder, folder.id, problem)
            return []

    def _report(self, folder: ExperimentFolder, ident: str, problem: EndpointError) -> None:
        self._unreadable.report(experiment_ref(ident), "", folder.path / META, problem)

    def _experiment(self, folder: ExperimentFolder) -> Experiment:
        body = self._files.described(folder.path)
        losses: Losses = []
        if (told := ident(body, "experiment_id")) != folder.id:
            raise Malformed(f"experiment_id is {told[:60]!r}, in the folder of {folder.id!r}")
        stage = word(body, "lifecycle_stage", LIFECYCLE_STAGES)
        return Experiment(
            experiment_id=folder.id,
            name=required_text(body, "name"),
            tags=self._files.texts(folder.path / "tags", "tag", losses),
            lifecycle_stage=DELETED if folder.in_trash else stage,
            artifact_location=text(body, "artifact_location"),
            creation_time=integer(body, "creation_time"),
            last_update_time=integer(body, "last_update_time"),
            losses=tuple(losses),
        )
