"""The logged models of an export, with their metrics."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.foreign.records import tidied_logged_model
from migrate.endpoints.directory.layout import LOGGED_MODEL_FILE, LOGGED_MODELS, partial_directory
from migrate.endpoints.directory.native.envelope import load_mlflow
from migrate.endpoints.directory.native.model_records import (
    logged_model_from_json,
    logged_model_id,
)
from migrate.endpoints.directory.native.model_writing import (
    LoggedModelWriter,
    each_once,
    read_started_model,
)
from migrate.endpoints.directory.native.replacing import restore_replaced
from migrate.endpoints.directory.native.sidecar import Sidecar
from migrate.endpoints.directory.stores.contained import ContainedStore
from migrate.endpoints.directory.stores.experiments import ExperimentStore
from migrate.endpoints.directory.unreadable import require_own
from migrate.endpoints.disk import DAMAGED
from migrate.errors import DirectoryError, Malformed, NotFound
from migrate.kinds import Kind
from migrate.objects import LoggedModel, Loss, ModelMetric


class LoggedModelStore(ContainedStore[LoggedModel]):
    """Reads and writes logged models."""

    kind = Kind.LOGGED_MODEL
    folder = LOGGED_MODELS
    record = LOGGED_MODEL_FILE

    def __init__(self, export: Export, experiments: ExperimentStore) -> None:
        super().__init__(export, experiments)
        self._writers: dict[str, LoggedModelWriter] = {}

    def close(self) -> None:
        """Abandon what is being written."""
        self._writers.clear()

    def load(self, place: Path, experiment_id: str) -> tuple[LoggedModel, Sidecar | None]:
        """Read a logged model with its metrics."""
        sidecar = self._read_sidecar(self._export.base, place)
        path = place / LOGGED_MODEL_FILE
        value = load_mlflow(self._export.base, path)
        try:
            value, lost = (value, sidecar.losses) if sidecar else tidied_logged_model(value)
            model = logged_model_from_json(value, directory=place.name, experiment_id=experiment_id)
        except Malformed as error:
            raise DirectoryError(f"{path} describes no logged model: {error}", DAMAGED) from error
        if not self._export.is_foreign:
            require_own(path, model.model_id)
        self._remember(model.model_id, place)
        return replace(model, losses=lost), sidecar

    def id_of(self, record: LoggedModel) -> str:
        """Return the id of a logged model."""
        return record.model_id

    def stage_of(self, record: LoggedModel) -> str:
        """Return its lifecycle stage."""
        return record.lifecycle_stage

    def read(self, idents: Sequence[str]) -> Sequence[LoggedModel]:
        """See ``ReadsContained.read``; for who writes, half-made ones too."""
        if not self._export.writable:
            return super().read(idents)
        found: builtins.list[LoggedModel] = []
        for ident in idents:
            with suppress(DirectoryError):
                complete = super().read([ident])
                half_made = None if complete else self._begun_anywhere(ident)
                found += complete if half_made is None else [half_made[0]]
        return found

    def create(self, experiment_id: str, model: LoggedModel, *, anew: bool = False) -> LoggedModel:
        """See ``WritesLoggedModels.create``; goes on with a half-made one.

        Unless ``anew``: raises ``AlreadyExists`` when it is there.
        """
        place = self._place_to_create(experiment_id, model.model_id, anew=anew)
        copy = replace(model, experiment_id=experiment_id)
        with self._export.lock:
            self._writers[model.model_id] = self._new_writer(place, copy, None)
        return copy

    def log_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        """See ``WritesLoggedModels.log_metrics``; a complete copy is replaced at once.

        Those of a copy in the making are written by ``finish``.
        """
        with self._export.lock:
            if model_id not in self._writers:
                place = self.path_of(model_id)
                if place is not None and not partial_directory(place).exists():
                    self._add_to_complete(place, metrics)
                    return ()
        self._writer_of(model_id).add_metrics(metrics)
        return ()

    def finish(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``WritesLoggedModels.finish``; until it returns, nobody sees it."""
        self._writer_of(copy.model_id).finish(model, mark)
        del self._writers[copy.model_id]
        return ()

    def delete(self, experiment_id: str, model_id: str, origin: str) -> None:
        """See ``WritesLoggedModels.delete``: its record says so already."""

    def _id_in(self, place: Path) -> str:
        value = load_mlflow(self._export.base, place / LOGGED_MODEL_FILE)
        return logged_model_id(value, place.name)

    def _begun(self, partial: Path, experiment_id: str) -> LoggedModel | None:
        return read_started_model(self._export.base, partial, experiment_id)

    def _writer(self, ident: str, *, wanted: bool = False) -> LoggedModelWriter | None:
        return self._writer_of(ident) if wanted or self._is_begun(ident) else None

    def _is_begun(self, ident: str) -> bool:
        """Say whether one is being written, or was when an export was killed."""
        if not self._export.writable or ident in self._writers:
            return self._export.writable
        path = self.path_of(ident)
        if path is None:
            return self._begun_anywhere(ident) is not None
        return partial_directory(self._own_place(path, ident)).exists()

    def _begun_anywhere(self, ident: str) -> tuple[LoggedModel, Path] | None:
        """Return one that was begun, and its place."""
        for experiment in self._experiments.directories():
            place = self._place(experiment, ident)
            partial = partial_directory(place)
            if partial.exists():
                begun = self._begun(partial, self._experiments.id_of(experiment))
                return None if begun is None else (begun, place)
        return None

    def _own_place(self, path: Path, ident: str) -> Path:
        """Return where one is written that was found, perhaps where it was put aside."""
        return self._place(self._experiments.around(path), ident)

    def _writer_of(self, ident: str) -> LoggedModelWriter:
        """Return what writes one that was begun, here or earlier, or is complete."""
        self._export.require_writable()
        with self._export.lock:
            if ident not in self._writers:
                earlier = None
                path = self.path_of(ident)
                half_made = None if path else self._begun_anywhere(ident)
                if path is not None:
                    place = self._own_place(path, ident)
                    restore_replaced(place)
                    earlier = self.load(place, self._experiments.id_around(path))
                    model = earlier[0]
                elif half_made is not None:
                    model, place = half_made
                else:
                    raise NotFound(f"logged model {ident} is not in {self._export.path}")
                self._writers[ident] = self._new_writer(place, model, earlier)
            return self._writers[ident]

    def _new_writer(
        self,
        place: Path,
        model: LoggedModel,
        earlier: tuple[LoggedModel, Sidecar | None] | None,
    ) -> LoggedModelWriter:
        return LoggedModelWriter(
            self._export.base, place, model, earlier, folds_case=self._export.folds_case
        )

    def _add_to_complete(self, place: Path, metrics: Sequence[ModelMetric]) -> None:
        model, sidecar = self.load(place, self._experiments.id_around(place))
        if each_once((*model.metrics, *metrics)) != each_once(model.metrics):
            wanted = replace(model, metrics=(*model.metrics, *metrics))
            self.finish(model, wanted, sidecar.mark if sidecar else "")
