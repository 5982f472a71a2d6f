"""The issues of a database that is written to."""

from __future__ import annotations

from migrate.endpoints.database.stores.issues import IssueStore
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.records.issues import Issue


class WrittenIssueStore(WrittenRecordStore[Issue], IssueStore):
    """Issues of experiments: a row each."""

    times = ("created_timestamp", "last_updated_timestamp")
