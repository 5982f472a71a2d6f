"""The issues of a database (MLflow 3.11)."""

from __future__ import annotations

from migrate.endpoints.database.stores.record import RecordStore
from migrate.kinds import Kind
from migrate.records.issues import Issue


class IssueStore(RecordStore[Issue]):
    """Issues of experiments."""

    kind = Kind.ISSUE
    record = Issue
    table = "issues"
    key = "issue_id"
    made = "created_timestamp"
    json = ("root_causes", "categories")
    contained = True
