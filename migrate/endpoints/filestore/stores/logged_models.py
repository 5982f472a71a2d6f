"""The logged models of a file store (MLflow 3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from migrate.endpoints.filestore.files import Losses
from migrate.endpoints.filestore.metric_files import MetricFile
from migrate.endpoints.filestore.places import ExperimentFolder
from migrate.endpoints.filestore.stores.contained import ContainedStore
from migrate.endpoints.registry_members import stored_logged_model_of
from migrate.kinds import Kind
from migrate.objects import LoggedModel, ModelMetric


class LoggedModelStore(ContainedStore[LoggedModel]):
    """Implements ``ReadsLoggedModels``; deleted ones are whole here, and listed."""

    kind = Kind.LOGGED_MODEL
    folder = "models"

    def _record(self, experiment: ExperimentFolder, path: Path) -> LoggedModel:
        body = self._files.described(path)
        self._require_own(experiment, path, body, "model_id")
        losses: Losses = []
        return stored_logged_model_of(
            body,
            params=self._files.texts(path / "params", "param", losses),
            tags=self._files.texts(path / "tags", "tag", losses),
            metrics=[*self._metrics(path, losses)],
            losses=losses,
        )

    def _metrics(self, path: Path, losses: Losses) -> Iterator[ModelMetric]:
        for key, place in self._files.keys(path / "metrics", "metric", losses):
            yield from MetricFile(self._files, place, key).model_points(losses)
