"""Puts one logged model together, with its metrics and files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock

from migrate.endpoints.directory.layout import LOGGED_MODEL_FILE
from migrate.endpoints.directory.native.artifacts import IncomingFiles
from migrate.endpoints.directory.native.envelope import system_block
from migrate.endpoints.directory.native.model_records import (
    logged_model_from_json,
    logged_model_to_json,
)
from migrate.endpoints.directory.native.replacing import PartialCopy, started_with
from migrate.endpoints.directory.native.sidecar import Sidecar, StoredFile
from migrate.endpoints.disk import json_text, writing
from migrate.errors import DirectoryError, Malformed
from migrate.objects import LoggedModel, ModelMetric


class LoggedModelWriter:
    """Until ``finish`` has returned, a reader sees the earlier copy or none.

    ``earlier`` is the complete copy that is there: its params, metrics and files stay.
    """

    def __init__(
        self,
        base: Path,
        place: Path,
        model: LoggedModel,
        earlier: tuple[LoggedModel, Sidecar | None] | None,
        *,
        folds_case: bool,
    ) -> None:
        self.model = model
        self._earlier = earlier[0] if earlier else None
        self._lock = Lock()
        self._metrics: list[ModelMetric] = []
        self._copy = PartialCopy(
            base,
            place,
            LOGGED_MODEL_FILE,
            started=logged_model_to_json(dataclasses.replace(model, metrics=())),
            replaces=earlier is not None,
            sidecar=earlier[1] if earlier else None,
            folds_case=folds_case,
        )

    @property
    def files(self) -> IncomingFiles:
        """What takes in the copy's files."""
        return self._copy.files

    def add_metrics(self, metrics: Sequence[ModelMetric]) -> None:
        """Add metrics to those that ``finish`` is given."""
        with self._lock:
            self._metrics += metrics

    def finish(self, model: LoggedModel, mark: str) -> None:
        """Complete the copy to match ``model``. Raises ``StorageFull`` or ``DirectoryError``."""
        earlier = self._earlier
        there = earlier.metrics if earlier else ()
        model = dataclasses.replace(
            model,
            model_id=self.model.model_id,
            experiment_id=self.model.experiment_id,
            params={**(earlier.params if earlier else {}), **model.params},
            metrics=each_once((*there, *model.metrics, *self._metrics)),
        )
        record = self._copy.work / LOGGED_MODEL_FILE
        document = {"system": system_block(), "mlflow": logged_model_to_json(model)}
        content = json_text(document).encode()
        with writing(record):
            record.write_bytes(content)
        lost = earlier.losses if earlier else ()
        self._copy.publish(
            record,
            lambda files: Sidecar(
                mark=mark, record_bytes=len(content), artifacts=files, losses=lost
            ),
        )
        self._copy.clear()

    def listing(self) -> list[StoredFile]:
        """Return the files the copy has so far, those of the earlier copy included."""
        return self._copy.listing()


def each_once(metrics: Iterable[ModelMetric]) -> tuple[ModelMetric, ...]:
    """Return metrics in their order without those that came before; NaN equals itself."""
    return tuple({repr(metric): metric for metric in metrics}.values())


def read_started_model(base: Path, partial: Path, experiment_id: str) -> LoggedModel | None:
    """Return what a half-made one was begun with; None when not even that is there whole."""
    try:
        return logged_model_from_json(
            started_with(base, partial), directory=partial.name, experiment_id=experiment_id
        )
    except (DirectoryError, Malformed):
        return None
