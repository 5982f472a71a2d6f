"""What runs and logged models share: how their copies are found, and how values are kept."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import ClassVar, NamedTuple

from sqlalchemy import column

from migrate.endpoints.answers import Copy
from migrate.endpoints.database.reading import IDS, Database, among, is_
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.database.target.experiments import WrittenExperimentStore
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import AlreadyExists
from migrate.kinds import Ref
from migrate.objects import LARGEST
from migrate.origins import LOSSES, MARK, ORIGIN, losses_from_tags


class Tagged(NamedTuple):
    """The tables of a kind, and what their columns are called."""

    table: str
    key: str
    tags: str
    tag: str = "key"
    value: str = "value"


RUNS = Tagged("runs", "run_uuid", "tags")
LOGGED_MODELS = Tagged("logged_models", "model_id", "logged_model_tags", "tag_key", "tag_value")


class WrittenContained:
    """The half of a store of runs or logged models that finds copies."""

    #: Where its objects and their tags are.
    tagged: ClassVar[Tagged]

    def __init__(
        self,
        database: WrittenDatabase,
        unreadable: UnreadableObjects,
        experiments: WrittenExperimentStore,
    ) -> None:
        super().__init__(database, unreadable)  # type: ignore[call-arg]
        self._written = database
        self._experiments = experiments

    def find(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> Mapping[str, list[Copy]]:
        """See ``WritesContained.find``."""
        return copies_by_origin(self._written, self.tagged, experiment_id, origins)


def copies_by_origin(
    database: Database, kind: Tagged, experiment_id: str, origins: Collection[str] | None
) -> Mapping[str, list[Copy]]:
    """Return the copies in an experiment; see ``WritesContained.find``."""
    where = among("experiment_id", numbers([experiment_id]))
    rows = database.rows(kind.table, (kind.key, "lifecycle_stage"), where)
    stages = {row[kind.key]: str(row["lifecycle_stage"]) for row in rows}
    tags = _bookkeeping(database, kind, list(stages))
    found: defaultdict[str, list[Copy]] = defaultdict(list)
    for ident, mine in tags.items():
        origin = mine.get(ORIGIN, "")
        if origin and (origins is None or origin in origins):
            found[origin].append(
                Copy(
                    origin=origin,
                    target_id=ident,
                    mark=mine.get(MARK, ""),
                    lifecycle_stage=stages[ident],
                    losses=losses_from_tags(mine),
                )
            )
    return {origin: sorted(same, key=lambda it: it.rank) for origin, same in found.items()}


def require_free(database: Database, kind: Tagged, ref: Ref) -> None:
    """Raise ``AlreadyExists`` for an id that something has."""
    for row in database.rows(kind.table, ("experiment_id",), is_(kind.key, ref.id)):
        raise AlreadyExists(
            f"{ref.kind} {ref.id} is in experiment {row['experiment_id']} of {database.shown} "
            "already, and is no copy that this migration can complete: it stays as it is",
            "is the target a copy of the source's database? Compare them: migrate verify",
        )


def stored_value(value: float) -> tuple[float, bool]:
    """Return a value as MLflow's SQL stores keep it, and whether it is no number."""
    if math.isnan(value):
        return 0.0, True
    return min(max(value, -LARGEST), LARGEST), False


def _bookkeeping(database: Database, kind: Tagged, ids: list[str]) -> Mapping[str, dict[str, str]]:
    """Return the tags by which copies are told, by the ids of what has them."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    columns = (kind.key, kind.tag, kind.value)
    ours = among(kind.tag, (ORIGIN, MARK)) | column(kind.tag).startswith(LOSSES)
    for start in range(0, len(ids), IDS):
        chosen = among(kind.key, ids[start : start + IDS])
        for row in database.rows(kind.tags, columns, chosen, ours):
            found[row[kind.key]][row[kind.tag]] = row[kind.value] or ""
    return found
