"""The logged models of a database (MLflow 3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from migrate.endpoints.database.reading import Row
from migrate.endpoints.database.stores.contained import ContainedStore
from migrate.endpoints.database.stores.entries import grouped, readable, texts_by
from migrate.endpoints.registry_members import stored_logged_model_of
from migrate.endpoints.run_members import model_metric_from
from migrate.kinds import Kind, logged_model_ref
from migrate.objects import LoggedModel, ModelMetric

_TIMES = ("creation_timestamp_ms", "last_updated_timestamp_ms")
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
    *_TIMES,
)
#: Members of a metric as MLflow's API has it, and their columns.
_METRIC = {
    "key": "metric_name",
    "value": "metric_value",
    "timestamp": "metric_timestamp_ms",
    "step": "metric_step",
    "run_id": "run_id",
    "dataset_name": "dataset_name",
    "dataset_digest": "dataset_digest",
}


class LoggedModelStore(ContainedStore[LoggedModel]):
    """Implements ``ReadsLoggedModels``; deleted ones are whole here, and listed."""

    kind = Kind.LOGGED_MODEL
    table = "logged_models"
    key = "model_id"
    columns = _COLUMNS

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
            self._database.rows_of(
                "logged_model_metrics", ("model_id", *_METRIC.values()), "model_id", ids
            ),
            "model_id",
        )

        def model(row: Row) -> LoggedModel:
            ident = row["model_id"]
            points = map(_metric, metrics[ident])
            return stored_logged_model_of(row, params[ident], tags[ident], points, times=_TIMES)

        return readable(
            rows,
            model,
            lambda row: (logged_model_ref(str(row["model_id"])), str(row["experiment_id"])),
            "logged_models",
            self._unreadable,
        )


def _metric(row: Row) -> ModelMetric:
    body = {member: row[name] for member, name in _METRIC.items()}
    if body["value"] is None:
        body["value"] = math.nan
    return model_metric_from(body)
