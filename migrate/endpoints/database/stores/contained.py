"""What runs and logged models share: each is in an experiment, and told by several tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Generic, TypeVar

from migrate.endpoints.database.reading import Database, Row, among
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import Kind

C = TypeVar("C")
#: Rows in one page of a listing, which is held with what other tables say of them.
PAGE = 500


class ContainedStore(ABC, Generic[C]):
    """Implements ``ReadsContained``."""

    kind: ClassVar[Kind]
    table: ClassVar[str]
    #: The column of its ids.
    key: ClassVar[str]
    columns: ClassVar[Sequence[str]]

    def __init__(self, database: Database, unreadable: UnreadableObjects) -> None:
        self._database = database
        self._unreadable = unreadable

    def list(self, experiment_ids: Sequence[str]) -> Iterator[C]:
        """See ``ReadsContained.list``; in order of their ids."""
        for experiment_id in experiment_ids:
            self._unreadable.forget(self.kind, experiment_id)
            where = among("experiment_id", numbers([experiment_id]))
            for page in self._database.pages(self.table, self.columns, (self.key,), PAGE, where):
                yield from self._whole(page)

    def read(self, ids: Sequence[str]) -> Sequence[C]:
        """See ``ReadsContained.read``; deleted ones too, in the order of ``ids``."""
        place = {ident: number for number, ident in enumerate(ids)}
        rows = [*self._database.rows_of(self.table, self.columns, self.key, ids)]
        rows.sort(key=lambda row: place.get(row[self.key], len(place)))
        return [*self._whole(rows)]

    @abstractmethod
    def _whole(self, rows: Sequence[Row]) -> Iterator[C]:
        """Yield the records of some rows, with what other tables say of them."""
