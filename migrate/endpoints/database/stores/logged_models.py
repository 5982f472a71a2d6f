"""The logged models of a database (MLflow 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrate.endpoints.database.reading import Database, Row, among, is_
from migrate.endpoints.database.stores.entries import grouped, numbers, readable, texts_by
from migrate.endpoints.shapes import ident, integer, text, word
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import Malformed
from migrate.kinds import Kind, logged_model_ref
from migrate.objects import ACTIVE, LIFECYCLE_STAGES, MODEL_STATUSES, LoggedModel, ModelMetric

PAGE = 500
_COLUMNS = (
    "model_id",
    "experiment_id",
    "name",
    "model_type",
    "status",
    "status_message",
    "source_run_id",
    "lifecycle_stage",
    "artifact_location",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
)
_METRIC = (
    "metric_name",
    "metric_value",
    "metric_timestamp_ms",
    "metric_step",
    "run_id",
    "dataset_name",
    "dataset_digest",
)


class LoggedModelStore:
    """Implements ``ReadsLoggedModels``; deleted ones are whole here."""

    kind = Kind.LOGGED_MODEL

    def __init__(self, database: Database, unreadable: UnreadableObjects) -> None:
        self._database = database
        self._unreadable = unreadable

    def list(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """See ``ReadsContained.list``; in order of their ids."""
        for experiment_id in experiment_ids:
            self._unreadable.forget(self.kind, experiment_id)
            where = among("experiment_id", numbers([experiment_id])), is_("lifecycle_stage", ACTIVE)
            for page in self._database.pages("logged_models", _COLUMNS, "model_id", PAGE, *where):
                yield from self._whole(page)

    def read(self, ids: Sequence[str]) -> Sequence[LoggedModel]:
        """See ``ReadsContained.read``; deleted ones too."""
        rows = self._database.rows_of("logged_models", _COLUMNS, "model_id", ids)
        return [*self._whole([*rows])]

    def _whole(self, rows: Sequence[Row]) -> Iterator[LoggedModel]:
        ids = [row["model_id"] for row in rows]
        params, tags = (
            texts_by(
                self._database.rows_of(
                    f"logged_model_{what}s",
                    ("model_id", f"{what}_key", f"{what}_value"),
                    "model_id",
                    ids,
                ),
                "model_id",
                f"{what}_key",
                f"{what}_value",
            )
            for what in ("param", "tag")
        )
        metrics = grouped(
            self._database.rows_of("logged_model_metrics", ("model_id", *_METRIC), "model_id", ids),
            "model_id",
        )

        def model(row: Row) -> LoggedModel:
            model_id = row["model_id"]
            return LoggedModel(
                model_id=ident(row, "model_id"),
                experiment_id=ident(row, "experiment_id"),
                name=text(row, "name"),
                model_type=text(row, "model_type"),
                status=_status(row),
                status_message=text(row, "status_message"),
                source_run_id=text(row, "source_run_id"),
                lifecycle_stage=word(row, "lifecycle_stage", LIFECYCLE_STAGES),
                artifact_uri=text(row, "artifact_location"),
                creation_time=integer(row, "creation_timestamp_ms"),
                last_update_time=integer(row, "last_updated_timestamp_ms"),
                params=params[model_id],
                tags=tags[model_id],
                metrics=tuple(sorted(map(_metric, metrics[model_id]))),
            )

        return readable(
            rows,
            model,
            lambda row: (logged_model_ref(str(row["model_id"])), str(row["experiment_id"])),
            "logged_models",
            self._unreadable,
        )


def _status(row: Row) -> str:
    """Return MLflow's word for the number that a database has: it counts from 1."""
    number = integer(row, "status") or 0
    if not 0 < number <= len(MODEL_STATUSES):
        raise Malformed(f"status {number} of a logged model is none of MLflow's")
    return MODEL_STATUSES[number - 1]


def _metric(row: Row) -> ModelMetric:
    name, value, timestamp, step, run_id, dataset, digest = (row[it] for it in _METRIC)
    number = float("nan") if value is None else float(value)
    return ModelMetric(name, number, timestamp, step, run_id or "", dataset or "", digest or "")
