"""Evaluation datasets of an export: a record as of other kinds, and a file of records beside it.

That has a JSON object a line. Its last line tells how many there are, and their digest: without it
the file is half-made.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from migrate.endpoints.dataset_records import record_as_kept, record_from
from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.stores.simple import Simple, SimpleStore
from migrate.endpoints.disk import (
    DAMAGED,
    open_file,
    parse_object,
    partial_file,
    reading,
    refuse_links,
    sync,
    writing,
)
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.evaluation_datasets import DatasetRecord, EvaluationDataset

RECORDS_PER_PAGE = 200
SIMPLE = Simple(
    kind=Kind.EVALUATION_DATASET,
    record=EvaluationDataset,
    ident="dataset_id",
    created="created_time",
)
_COMPLETE = "complete"
#: Longer than the last line of a file that is complete.
_TAIL = 4096


class EvaluationDatasetStore(SimpleStore[EvaluationDataset]):
    """Implements ``Store`` and ``HoldsContents`` for evaluation datasets."""

    def __init__(self, export: Export) -> None:
        super().__init__(SIMPLE, export)

    def finish(
        self,
        copy: EvaluationDataset,
        wanted: EvaluationDataset,
        mark: str,
        losses: Sequence[Loss] = (),
    ) -> Sequence[Loss]:
        """See ``Store.finish``: the file of records is made complete first."""
        with self._lock:
            path = self._path_of(self._present(copy.dataset_id).path)
            seen = hashlib.sha256()
            count = 0
            for line in _lines(self._export.top, path) if os.path.lexists(path) else ():
                seen.update(line)
                count += 1
            end = {_COMPLETE: {"records": count, "sha256": seen.hexdigest()}}
            self._append(path, [json.dumps(end)])
        return super().finish(copy, wanted, mark, losses)

    def delete(self, copy: EvaluationDataset) -> None:
        """See ``Store.delete``."""
        with self._lock:
            stored = self._stored_in(self._folder(""), copy.dataset_id)
            super().delete(copy)
            if stored is not None:
                path = self._path_of(stored.path)
                with writing(path):
                    path.unlink(missing_ok=True)

    def contents(self, holder: EvaluationDataset) -> Iterator[Sequence[DatasetRecord]]:
        """See ``HoldsContents.contents``.

        Raises ``DirectoryError`` for a file that is damaged, and of an export that is only read
        for one that is half-made.
        """
        stored = self._stored_in(self._folder(""), holder.dataset_id)
        if stored is None:
            return
        path = self._path_of(stored.path)
        if self._export.writable and not os.path.lexists(path):
            return
        page: list[DatasetRecord] = []
        for line in _lines(self._export.top, path, must_be_complete=not self._export.writable):
            try:
                page.append(record_from(parse_object(path, line)))
            except Malformed as problem:
                raise DirectoryError(
                    f"{path} has a line that is none: {problem}", DAMAGED
                ) from None
            if len(page) == RECORDS_PER_PAGE:
                yield page
                page = []
        if page:
            yield page

    def add(self, holder: EvaluationDataset, contents: Sequence[DatasetRecord]) -> Sequence[Loss]:
        """See ``HoldsContents.add``. Refuses nothing."""
        if contents:
            with self._lock:
                path = self._path_of(self._present(holder.dataset_id).path)
                self._append(path, [_line_of(record) for record in contents])
        return ()

    def remove(self, holder: EvaluationDataset, ids: Sequence[str]) -> None:
        """See ``HoldsContents.remove``."""
        if not ids:
            return
        out = frozenset(ids)
        with self._lock:
            path = self._path_of(self._present(holder.dataset_id).path)
            partial = partial_file(path)
            with writing(path):
                with partial.open("wb") as file:
                    for line in _lines(self._export.top, path):
                        if parse_object(path, line).get("dataset_record_id") not in out:
                            file.write(line)
                sync(partial)
                os.replace(partial, path)

    def _path_of(self, described: Path) -> Path:
        """Return where the records are of the dataset that is described there."""
        return described.with_name(described.name.removesuffix(".json") + ".records.jsonl")

    def _append(self, path: Path, lines: Sequence[str]) -> None:
        """Write lines behind the whole ones of a file, in place of its end."""
        refuse_links(self._export.top, path)
        with writing(path), path.open("r+b" if os.path.lexists(path) else "w+b") as file:
            file.truncate(_end_of_records(file))
            file.seek(0, os.SEEK_END)
            file.writelines(f"{line}\n".encode() for line in lines)
            file.flush()
            os.fsync(file.fileno())


def _line_of(record: DatasetRecord) -> str:
    return json.dumps(record_as_kept(record))


def _lines(top: Path, path: Path, *, must_be_complete: bool = False) -> Iterator[bytes]:
    """Yield the lines of records, whole ones; at the end they are held against what it says."""
    seen = hashlib.sha256()
    count = 0
    with open_file(top, path) as file, reading(path):
        for line in file:
            if line.startswith(f'{{"{_COMPLETE}"'.encode()):
                told: Any = parse_object(path, line)[_COMPLETE]
                if told != {"records": count, "sha256": seen.hexdigest()}:
                    raise DirectoryError(f"{path} is not as it was written", DAMAGED)
                return
            if not line.endswith(b"\n"):
                break
            seen.update(line)
            count += 1
            yield line
    if must_be_complete:
        raise DirectoryError(f"{path} is cut off, or its export was not finished", DAMAGED)


def _end_of_records(file: BinaryIO) -> int:
    """Return where the last whole line of a record ends."""
    size = end = file.seek(0, os.SEEK_END)
    tail = b""
    while end and b"\n" not in tail:  # a line that was cut off may be long
        start = max(0, end - _TAIL)
        file.seek(start)
        tail, end = file.read(end - start) + tail, start
    whole = size - len(tail) + tail.rfind(b"\n") + 1
    file.seek(max(0, whole - _TAIL))
    before = file.read(whole - file.tell())
    last = before[:-1].rfind(b"\n") + 1
    if before[last:].startswith(f'{{"{_COMPLETE}"'.encode()):
        return whole - len(before) + last
    return whole
