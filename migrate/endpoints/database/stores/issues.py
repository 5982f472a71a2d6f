"""The issues of a database (MLflow 3.11)."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.endpoints.database.reading import Row
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import Object
from migrate.kinds import Kind
from migrate.records.issues import Issue


class IssueStore(RecordStore[Issue]):
    """Issues of experiments."""

    kind = Kind.ISSUE
    record = Issue
    table = "issues"
    key = "issue_id"
    made = "created_timestamp"
    json = ("root_causes", "categories", "metadata")
    contained = True

    def _more(self, rows: Sequence[Row]) -> More:
        if not self._database.has(self.table, "last_seen_timestamp"):
            return super()._more(rows)

        def seen(row: Row) -> Object:
            # As ``SqlIssue.to_mlflow_entity`` tells it.
            last = row["last_seen_timestamp"]
            return {"last_seen_timestamp": row[self.made] if last is None else last}

        return seen
