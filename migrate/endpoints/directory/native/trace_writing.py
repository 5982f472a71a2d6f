"""Puts one trace together: its record, its spans, and its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.directory.layout import (
    ARTIFACTS,
    SPANS_FILE,
    TRACE_FILE,
    TRACES_FILE,
    partial_directory,
)
from migrate.endpoints.directory.native.artifacts import IncomingFiles
from migrate.endpoints.directory.native.envelope import system_block
from migrate.endpoints.directory.native.replacing import PartialCopy
from migrate.endpoints.directory.native.sidecar import Sidecar, StoredFile
from migrate.endpoints.directory.native.span_dump import ForOthers, for_others
from migrate.endpoints.directory.native.trace_records import trace_to_json
from migrate.endpoints.disk import json_text, sync, writing
from migrate.endpoints.shapes import Object, member, required_count, required_text
from migrate.objects import Loss
from migrate.traces import Spans, Trace

_SPANS = "spans"


class StoredSpans(NamedTuple):
    """What the record of a trace says of the file of its spans: its size in bytes, and SHA-256."""

    size: int
    digest: str


def stored_spans(ours: Object) -> StoredSpans | None:
    """Read what a record says of its spans; None where it has none. Raises ``Malformed``."""
    if _SPANS not in ours:
        return None
    told = member(ours, _SPANS)
    return StoredSpans(required_count(told, "size"), required_text(told, "sha256"))


class TraceWriter:
    """Until ``finish`` has returned, a reader sees the earlier copy or none."""

    def __init__(self, base: Path, place: Path, trace: Trace, *, folds_case: bool) -> None:
        self.trace = trace
        self._spans: Spans = ()
        self._for_others = ForOthers()
        self._place = place
        self._copy = PartialCopy(
            base,
            place,
            TRACE_FILE,
            started={},
            replaces=False,
            sidecar=None,
            folds_case=folds_case,
        )

    @property
    def files(self) -> IncomingFiles:
        """What takes in the copy's files."""
        return self._copy.files

    def listing(self) -> list[StoredFile]:
        """Return the files the copy has so far."""
        return self._copy.listing()

    @property
    def has_spans(self) -> bool:
        """True once it was given spans."""
        return bool(self._spans)

    def add_spans(self, spans: Spans) -> None:
        """Take its spans. Raises ``Malformed`` for what are none."""
        self._for_others = for_others(spans)
        self._spans = spans

    def finish(self, trace: Trace, mark: str, losses: Sequence[Loss]) -> None:
        """Complete the copy to match ``trace``. Raises ``StorageFull`` or ``DirectoryError``."""
        ours, has_dump = {}, False
        if self._spans:
            ours[_SPANS] = self._write_spans()
            has_dump = self._write_dump()
        record = self._copy.work / TRACE_FILE
        told = trace_to_json(trace, self._for_others.outline)
        document = {"system": system_block(ours), "mlflow": told}
        content = json_text(document).encode()
        with writing(record):
            record.write_bytes(content)

        def sidecar(files: Sequence[StoredFile]) -> Sidecar:
            given = tuple(it for it in files if not (has_dump and it.path == TRACES_FILE))
            return Sidecar(
                mark=mark, record_bytes=len(content), artifacts=given, losses=tuple(losses)
            )

        self._copy.publish(record, sidecar)
        self._copy.clear()

    def _write_spans(self) -> dict[str, Any]:
        """Write the spans as they were given; return what is to be said of the file."""
        path = partial_directory(self._place) / SPANS_FILE
        content = json.dumps({"spans": list(self._spans)}).encode()
        with writing(path):
            path.write_bytes(content)
            sync(path)
        return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def _write_dump(self) -> bool:
        """Write the spans for other tools, unless such a file is among those of the trace."""
        if any(file.path == TRACES_FILE for file in self.listing()):
            return False
        path = partial_directory(self._place) / ARTIFACTS / TRACES_FILE
        with writing(path):
            path.write_text(json.dumps(self._for_others.dump))
        return True
