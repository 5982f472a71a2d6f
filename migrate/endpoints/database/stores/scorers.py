"""The scorers of a database (MLflow 3.4), each with its versions."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.endpoints.database.reading import Row, among, is_
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import json_text, version_number
from migrate.kinds import Kind
from migrate.records.scorers import OnlineConfig, Scorer, ScorerVersion, scorer_id

_NUMBER = "scorer_version"


class ScorerStore(RecordStore[Scorer]):
    """Scorers of experiments; an id is made of experiment and name, as for servers."""

    kind = Kind.SCORER
    record = Scorer
    table = "scorers"
    key = "scorer_id"
    made = "scorer_name"  # no time is kept
    columns = {"name": "scorer_name"}  # noqa: RUF012
    contained = True

    def read(self, ids: Sequence[str]) -> Sequence[Scorer]:
        """See ``Store.read``."""
        places = [it.partition("/") for it in ids]
        return [
            scorer
            for experiment_id, _, name in places
            for scorer in self._where(
                among("experiment_id", numbers([experiment_id])), is_("scorer_name", name)
            )
        ]

    def _id(self, row: Row) -> str:
        return scorer_id(str(row["experiment_id"]), str(row["scorer_name"]))

    def _more(self, rows: Sequence[Row]) -> More:
        versions = self._below(
            rows, "scorer_versions", (_NUMBER, "serialized_scorer", "creation_time")
        )
        online = self._below(rows, "online_scoring_configs", OnlineConfig._fields)
        return lambda row: {
            "scorer_id": self._id(row),
            "versions": sorted(map(_version, versions[row[self.key]]), key=_number_of),
            "online": next(iter(online[row[self.key]]), None),
        }


def _version(row: Row) -> Row:
    serialized = json_text(row, "serialized_scorer")
    told = ScorerVersion(version_number(row, _NUMBER), serialized, row["creation_time"])
    return {name: value for name, value in told._asdict().items() if value is not None}


def _number_of(version: Row) -> int:
    return int(version["version"])
