"""The experiments of a database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrate.endpoints.database.reading import Condition, Database, Row, among
from migrate.endpoints.database.stores.entries import numbers, readable, texts_by
from migrate.endpoints.shapes import ident, integer, required_text, text, word
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import Kind, experiment_ref
from migrate.objects import LIFECYCLE_STAGES, Experiment

_COLUMNS = (
    "experiment_id",
    "name",
    "artifact_location",
    "lifecycle_stage",
    "creation_time",
    "last_update_time",
)


class ExperimentStore:
    """Implements ``ReadsExperiments``."""

    kind = Kind.EXPERIMENT

    def __init__(self, database: Database, unreadable: UnreadableObjects) -> None:
        self._database = database
        self._unreadable = unreadable

    def list(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.list``."""
        self._unreadable.forget(self.kind)
        return self._where(*self._database.here("experiments"))

    def read(self, ids: Sequence[str]) -> Sequence[Experiment]:
        """See ``ReadsExperiments.read``."""
        here = self._database.here("experiments")
        return [*self._where(among("experiment_id", numbers(ids)), *here)]

    def name_of(self, experiment_id: str) -> str:
        """Return the name of an experiment, empty where it is not there."""
        rows = self._database.rows(
            "experiments", ("name",), among("experiment_id", numbers([experiment_id]))
        )
        return str(rows[0]["name"]) if rows else ""

    def _where(self, *where: Condition) -> Iterator[Experiment]:
        rows = self._database.rows("experiments", _COLUMNS, *where, order=("experiment_id",))
        tags = texts_by(
            self._database.rows_of(
                "experiment_tags",
                ("experiment_id", "key", "value"),
                "experiment_id",
                [row["experiment_id"] for row in rows],
            ),
            "experiment_id",
        )

        def experiment(row: Row) -> Experiment:
            return Experiment(
                experiment_id=ident(row, "experiment_id"),
                name=required_text(row, "name"),
                tags=tags[row["experiment_id"]],
                lifecycle_stage=word(row, "lifecycle_stage", LIFECYCLE_STAGES),
                artifact_location=text(row, "artifact_location"),
                creation_time=integer(row, "creation_time"),
                last_update_time=integer(row, "last_update_time"),
            )

        return readable(
            rows,
            experiment,
            lambda row: (experiment_ref(str(row["experiment_id"])), ""),
            "experiments",
            self._unreadable,
        )
