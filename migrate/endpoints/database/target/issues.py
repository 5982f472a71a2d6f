"""The issues of a database that is written to."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from migrate.endpoints.database.reading import Row
from migrate.endpoints.database.stores.issues import IssueStore
from migrate.endpoints.database.target.below import Below
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.objects import Loss
from migrate.records.issues import SINCE_3_18, Issue

_CATEGORIES = "issue_categories"


class WrittenIssueStore(WrittenRecordStore[Issue], IssueStore):
    """Issues of experiments: a row each, and since MLflow 3.18 one for each category."""

    times = ("created_timestamp", "last_updated_timestamp", "last_seen_timestamp")
    below = (Below(_CATEGORIES, "issue_id", ("category_hash",)),)

    def _fitting(
        self, container: str, wanted: Issue, there: Issue | None
    ) -> tuple[Issue, Sequence[Loss]]:
        if wanted.is_of_3_18 or not self._written.has(_CATEGORIES):
            return wanted, ()
        if there is not None:  # what is not known of the original stays as it is
            newer: dict[str, Any] = {name: getattr(there, name) for name in SINCE_3_18}
            return dataclasses.replace(wanted, **newer), ()
        # As MLflow's own upgrade to 3.18 takes it.
        return dataclasses.replace(wanted, last_seen_timestamp=wanted.created_timestamp), ()

    def _rows_below(
        self, transaction: Transaction, record: Issue, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        categories = {category_hash(it): it for it in record.categories}
        rows = [{"category_hash": key, "category": it} for key, it in categories.items()]
        return {_CATEGORIES: rows}


def category_hash(category: str) -> str:
    """Return by what MLflow looks for a category (``mlflow.utils.issue_utils`` of 3.18.0)."""
    return hashlib.sha256(category.strip().lower().encode()).hexdigest()
