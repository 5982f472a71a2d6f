"""The scorers of a database that is written to, each with its versions under their numbers."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping

from migrate.endpoints.database.reading import Row, is_
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.database.stores.judges import endpoint_of, with_endpoint
from migrate.endpoints.database.stores.scorers import ScorerStore
from migrate.endpoints.database.target.below import Below
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.stores import Identity
from migrate.errors import Refused
from migrate.records.scorers import Scorer, scorer_id

_VERSIONS, _ONLINE = "scorer_versions", "online_scoring_configs"
_BINDINGS = "endpoint_bindings"
_MADE = ("created_at", "last_updated_at")


class WrittenScorerStore(WrittenRecordStore[Scorer], ScorerStore):
    """Scorers; one that asks an endpoint of the gateway is bound to it, as MLflow does."""

    identity = Identity.NAMED
    named = ("scorer_name", "name")
    own = ("mlflow_id",)
    below = (
        Below(_VERSIONS, "scorer_id", ("scorer_version",), times=("creation_time",)),
        Below(_ONLINE, "scorer_id", ("experiment_id",), ident="online_scoring_config_id"),
        Below(
            _BINDINGS,
            "resource_id",
            ("endpoint_id",),
            times=_MADE,
            once=_MADE,
            listed=(is_("resource_type", "scorer"),),
        ),
    )

    def _placed(self, container: str, wanted: Scorer) -> Scorer:
        ident = scorer_id(container, wanted.name)
        mlflow_id = wanted.mlflow_id or str(uuid.uuid4())
        return dataclasses.replace(
            wanted, experiment_id=container, scorer_id=ident, mlflow_id=mlflow_id
        )

    def _row_id(self, transaction: Transaction, record: Scorer) -> str:
        for number in numbers([record.experiment_id]):
            same = (is_("experiment_id", number), is_("scorer_name", record.name))
            for row in transaction.rows(self.table, ("scorer_id",), *same):
                return str(row["scorer_id"])
        return record.mlflow_id

    def _rows_below(
        self, transaction: Transaction, record: Scorer, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        def id_of(name: str) -> str:
            here = self._written.here("endpoints")
            for it in transaction.rows("endpoints", ("endpoint_id",), is_("name", name), *here):
                return str(it["endpoint_id"])
            place = self._written.shown
            raise Refused(f"it asks {name!r} of the gateway, an endpoint that {place} has not")

        versions = [
            {
                "scorer_version": it.version,
                "serialized_scorer": with_endpoint(it.serialized_scorer, id_of),
                "creation_time": it.creation_time,
            }
            for it in record.versions
        ]
        configs = () if record.online is None else (record.online,)
        online = [{"experiment_id": row["experiment_id"], **it._asdict()} for it in configs]
        bindings = []
        for version in reversed(record.versions):
            if (name := endpoint_of(version.serialized_scorer)) is not None:
                said = {"resource_type": "scorer", "display_name": record.name}
                made = dict.fromkeys(_MADE, version.creation_time)
                bindings = [{"endpoint_id": id_of(name), **said, **made}]
                break
        return {_VERSIONS: versions, _ONLINE: online, _BINDINGS: bindings}
