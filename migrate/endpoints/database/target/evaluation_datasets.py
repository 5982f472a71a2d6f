"""The evaluation datasets of a database that is written to, each whole with its records."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from tempfile import SpooledTemporaryFile
from threading import Lock

from migrate.endpoints.database.reading import IDS, Database, Row, among, is_
from migrate.endpoints.database.stores.evaluation_datasets import WRAPPED, EvaluationDatasetStore
from migrate.endpoints.database.target.below import Below, tag_rows
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.dataset_records import record_as_kept, record_from
from migrate.endpoints.stores import Bookkeeping, Found
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.objects import Loss
from migrate.origins import MARK, ORIGIN, losses_from_tags, losses_to_tags
from migrate.records.evaluation_datasets import DatasetRecord, EvaluationDataset

_TAGS, _LINKS = "evaluation_dataset_tags", "entity_associations"
_RECORDS, _ID = "evaluation_dataset_records", "dataset_record_id"
_TOGETHER = 200  # records that go to the database in one call
_HELD_BYTES = 4 << 20  # of the records of one dataset, before they go to a file
_DATASET, _EXPERIMENT, _TRACE = "evaluation_dataset", "experiment", "TRACE"
_BOUND = (is_("source_type", _DATASET), is_("destination_type", _EXPERIMENT))
_TIMES = ("created_time", "last_update_time")


@dataclass(slots=True)
class _Begun:
    """What is given of a dataset, until it is written as a whole."""

    made: EvaluationDataset | None = None
    #: Ids of records that are taken out.
    removed: list[str] = field(default_factory=list)
    #: Records that are put in, each as a line of JSON.
    lines: SpooledTemporaryFile[bytes] | None = None

    def pages(self) -> Iterator[Sequence[DatasetRecord]]:
        """Yield the records that are put in, some at a time."""
        if self.lines is None:
            return
        self.lines.seek(0)
        while some := [*islice(self.lines, _TOGETHER)]:
            yield [record_from(json.loads(line)) for line in some]

    def close(self) -> None:
        """Let go of the file."""
        if self.lines is not None:
            self.lines.close()


class WrittenDatasetStore(WrittenRecordStore[EvaluationDataset], EvaluationDatasetStore):
    """Implements ``Store`` and ``HoldsContents``; a copy tells its origin and mark by tags.

    What is created, put in and taken out is held, and written by ``finish`` in one transaction.
    """

    bookkeeping = Bookkeeping.TAGS
    times = _TIMES
    below = (
        Below(_TAGS, "dataset_id", ("key",)),
        Below(
            _LINKS,
            "source_id",
            ("destination_id",),
            ident="association_id",
            prefix="a-",
            times=("created_time",),
            once=("created_time",),
            listed=_BOUND,
            stays=True,
        ),
    )

    def __init__(self, database: Database, unreadable: UnreadableObjects) -> None:
        super().__init__(database, unreadable)
        self._lock = Lock()
        self._begun: dict[str, _Begun] = {}

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[EvaluationDataset]]]:
        """See ``Store.find``: by the origin among their tags."""
        where = [is_("key", ORIGIN), *([] if keys is None else [among("value", keys)])]
        ids = [row["dataset_id"] for row in self._database.rows(_TAGS, ("dataset_id",), *where)]
        found: dict[str, list[Found[EvaluationDataset]]] = {}
        for record in self.read(ids):
            tags = record.tags
            copy = Found(record, tags.get(MARK, ""), losses_from_tags(tags))
            found.setdefault(tags[ORIGIN], []).append(copy)
        return found

    def create(self, container: str, wanted: EvaluationDataset) -> EvaluationDataset:
        """See ``Store.create``; nothing is there before ``finish``.

        Raises ``Refused`` for an id that something else has, and a name that is too long.
        """
        length = self._written.length(self.table, "name")
        if length is not None and len(wanted.name) > length:
            raise Refused(
                f"its name has {len(wanted.name)} characters, the database holds {length}"
            )
        if self._database.rows(self.table, (self.key,), is_(self.key, wanted.dataset_id)):
            is_ours = self.find(container, [wanted.tags.get(ORIGIN, "")])
            raise (AlreadyExists if is_ours else Refused)(self._taken(wanted.dataset_id))
        with self._lock:
            self._begun[wanted.dataset_id] = _Begun(wanted)
        return wanted

    def contents(self, holder: EvaluationDataset) -> Iterator[Sequence[DatasetRecord]]:
        """See ``HoldsContents.contents``; what was given before, and not finished, is forgotten."""
        with self._lock:
            begun = self._begun.pop(holder.dataset_id, None)
            if begun is not None:
                begun.close()
                self._begun[holder.dataset_id] = _Begun(begun.made)
        yield from super().contents(holder)

    def add(self, holder: EvaluationDataset, contents: Sequence[DatasetRecord]) -> Sequence[Loss]:
        """See ``HoldsContents.add``; refuses nothing."""
        lines = [f"{json.dumps(record_as_kept(it))}\n".encode() for it in contents]
        with self._lock:
            begun = self._begun.setdefault(holder.dataset_id, _Begun())
            if lines and begun.lines is None:
                begun.lines = SpooledTemporaryFile(_HELD_BYTES)  # noqa: SIM115
            if begun.lines is not None:
                begun.lines.writelines(lines)
        return ()

    def remove(self, holder: EvaluationDataset, ids: Sequence[str]) -> None:
        """See ``HoldsContents.remove``."""
        with self._lock:
            self._begun.setdefault(holder.dataset_id, _Begun()).removed += ids

    def finish(
        self,
        copy: EvaluationDataset,
        wanted: EvaluationDataset,
        mark: str,
        losses: Sequence[Loss] = (),
    ) -> Sequence[Loss]:
        """See ``Store.finish``: all that was given is there at once. A copy leaves nothing."""
        with self._lock:
            begun = self._begun.pop(copy.dataset_id, _Begun())
        ident = copy.dataset_id
        if begun.made is None and not self.read([ident]):
            raise NotFound(f"{self.kind} {ident} is not in {self._written.shown} any more")
        tags = {**wanted.tags, **losses_to_tags(losses), **({MARK: mark} if mark else {})}
        wanted = replace(wanted, dataset_id=ident, tags=tags)
        mine = is_(self.key, ident)
        with self._written.transaction() as transaction:
            row = self._row(transaction, wanted)
            if begun.made is None:
                transaction.update(self.table, row, mine)
            else:
                transaction.insert(self.table, row)
            self._write_below(transaction, wanted, row)
            for start in range(0, len(begun.removed), IDS):
                some = among(_ID, begun.removed[start : start + IDS])
                transaction.delete(_RECORDS, mine, some)
            for page in begun.pages():
                transaction.insert_all(_RECORDS, (_record_row(it, ident) for it in page))
        begun.close()
        return ()

    def _rows_below(
        self, transaction: Transaction, record: EvaluationDataset, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        ends = {"source_type": _DATASET, "destination_type": _EXPERIMENT}
        made = {"created_time": record.created_time}
        return {
            _TAGS: tag_rows(record.tags),
            _LINKS: [{"destination_id": it, **ends, **made} for it in record.experiment_ids],
        }


def _record_row(record: DatasetRecord, dataset_id: str) -> Row:
    """Return the row of a record, as MLflow writes it."""
    source = record.source or {}
    data = source.get("source_data") or {}
    return {
        _ID: record.dataset_record_id or f"dr-{uuid.uuid4().hex}",
        "dataset_id": dataset_id,
        "inputs": record.inputs,
        "outputs": None if record.outputs is None else {WRAPPED: record.outputs},
        "expectations": record.expectations,
        "tags": record.tags,
        "source": record.source,
        "source_id": data.get("trace_id" if source.get("source_type") == _TRACE else "source_id"),
        "source_type": source.get("source_type"),
        "created_by": record.created_by or None,
        "last_updated_by": record.last_updated_by or None,
        "input_hash": record.key,
        **{name: getattr(record, name) for name in _TIMES},
    }
