"""The scorers of a database (MLflow 3.4), each with its versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from migrate.endpoints.database.reading import Row, among, is_
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.database.stores.judges import endpoint_of, with_endpoint
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import Object, json_text, version_number
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

        def more(row: Row) -> Object:
            mine = versions[row[self.key]]
            texts = [json_text(it, "serialized_scorer") for it in mine]
            names = self._names_of({it for it in map(endpoint_of, texts) if it is not None})
            told = [
                _version(it, with_endpoint(text, names.get))
                for it, text in zip(mine, texts, strict=True)
            ]
            return {
                "scorer_id": self._id(row),
                "mlflow_id": row[self.key],
                "versions": sorted(told, key=_number_of),
                "online": next(iter(online[row[self.key]]), None),
            }

        return more

    def _names_of(self, endpoints: set[str]) -> Mapping[str, str]:
        """Return the names of endpoints of the gateway, which a server tells in place of ids."""
        columns, table = ("endpoint_id", "name"), "endpoints"
        here = self._database.here(table)
        found = self._database.rows_of(table, columns, columns[0], sorted(endpoints), *here)
        return {str(row["endpoint_id"]): str(row["name"]) for row in found}


def _version(row: Row, serialized: str) -> Row:
    told = ScorerVersion(version_number(row, _NUMBER), serialized, row["creation_time"])
    return {name: value for name, value in told._asdict().items() if value is not None}


def _number_of(version: Row) -> int:
    return int(version["version"])
