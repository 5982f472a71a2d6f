"""Where the traces of an export are: a directory each, in that of their experiment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.foreign.traces import foreign_trace, trace_id_in
from migrate.endpoints.directory.layout import (
    ARTIFACTS,
    SPANS_FILE,
    TRACE_FILE,
    TRACES,
    TRACES_FILE,
    partial_directory,
)
from migrate.endpoints.directory.native.envelope import (
    load_mlflow,
    mlflow_member,
    require_known_format,
    said_by_us,
)
from migrate.endpoints.directory.native.replacing import discard_partial, restore_replaced
from migrate.endpoints.directory.native.sidecar import Sidecar
from migrate.endpoints.directory.native.trace_records import TRACE, trace_from_json
from migrate.endpoints.directory.native.trace_writing import TraceWriter, stored_spans
from migrate.endpoints.directory.stores.contained import ContainedStore
from migrate.endpoints.directory.stores.experiments import ExperimentStore
from migrate.endpoints.directory.unreadable import require_own
from migrate.endpoints.disk import DAMAGED, load_object, open_file, parse_object, reading, writing
from migrate.endpoints.shapes import Object, objects
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind, Ref
from migrate.objects import ACTIVE, Artifact
from migrate.origins import MARK, losses_to_tags
from migrate.traces import SPANS_LOCATION_TAG, Spans, Trace

#: Where a server keeps the spans that it gives itself.
_TRACKING_STORE = "TRACKING_STORE"


class TraceFolders(ContainedStore[Trace]):
    """Reads traces and their spans, and holds what is being written; ``HasFiles`` for them."""

    kind = Kind.TRACE
    folder = TRACES
    record = TRACE_FILE

    def __init__(self, export: Export, experiments: ExperimentStore) -> None:
        super().__init__(export, experiments)
        self._writers: dict[str, TraceWriter] = {}
        #: The experiments that have traces, as keys.
        self._holding: dict[Path, None] | None = None

    def close(self) -> None:
        """Abandon what is being written."""
        self._writers.clear()

    def load(self, place: Path, experiment_id: str) -> tuple[Trace, Sidecar | None]:
        """Read a trace without its spans, of which the file has to be there."""
        base, path = self._export.base, place / TRACE_FILE
        sidecar = self._read_sidecar(base, place)
        document = load_object(base, path)
        ours = said_by_us(document)
        if ours:
            require_known_format(path, ours.get("format_version"))
        value = mlflow_member(path, document)
        try:
            if ours and TRACE in value:
                trace = self._of_ours(place, trace_from_json(value, experiment_id), ours, sidecar)
            else:
                trace = foreign_trace(
                    value,
                    directory=place.name,
                    experiment_id=experiment_id,
                    has_spans_file=os.path.lexists(place / ARTIFACTS / TRACES_FILE),
                )
        except Malformed as error:
            raise DirectoryError(f"{path} describes no trace: {error}", DAMAGED) from error
        if not self._export.is_foreign:
            require_own(path, trace.trace_id)
        self._remember(trace.trace_id, place)
        return trace, sidecar

    def id_of(self, record: Trace) -> str:
        """Return the id of a trace."""
        return record.trace_id

    def stage_of(self, record: Trace) -> str:
        """Return the lifecycle stage of a trace, which has none."""
        return ACTIVE

    def read_in(self, experiment_id: str, ident: str) -> Iterator[Trace]:
        """Yield a trace of an experiment; none where it is gone, or unreadable and reported."""
        path = self.path_of(ident, experiment_id)
        if path is not None:
            try:
                yield self._whole(path, experiment_id)
            except DirectoryError as problem:
                self._experiments.report(Ref(self.kind, ident), path, problem)

    def spans(self, ident: str) -> Spans:
        """Return the spans of a trace. Raises ``NotFound``, and where they are damaged."""
        place = self.present(ident)
        ours = said_by_us(load_object(self._export.base, place / TRACE_FILE))
        told = stored_spans(ours)
        if told is None:
            return ()
        path = place / SPANS_FILE
        with open_file(self._export.base, path) as file, reading(path):
            content = file.read(told.size + 1)
        if hashlib.sha256(content).hexdigest() != told.digest:
            raise DirectoryError(f"{path} is not what was exported", DAMAGED)
        return objects(parse_object(path, content), "spans")

    def artifacts(self, ref: Ref) -> Sequence[Artifact]:
        """See ``HasFiles.artifacts``; a dump of spans for other tools is none."""
        found = super().artifacts(ref)
        if self._writer(ref.id) is not None:
            return found
        place = self.present(ref.id)
        sidecar = self._read_sidecar(self._export.base, place)
        given = {it.path for it in sidecar.artifacts} if sidecar else {TRACES_FILE}
        return [it for it in found if it.path != TRACES_FILE or it.path in given]

    def has_dump(self, trace: Trace) -> bool:
        """Say whether other tools find the spans of a trace."""
        place = self.present(trace.trace_id)
        return os.path.lexists(place / ARTIFACTS / TRACES_FILE)

    def begin(self, trace: Trace) -> None:
        """Begin to write a trace; one that is there stays until the new one is finished."""
        experiment = self._experiments.present(trace.experiment_id)
        place = self._place(experiment, trace.trace_id)
        restore_replaced(place)
        discard_partial(self._export.base, place)
        writer = TraceWriter(self._export.base, place, trace, folds_case=self._export.folds_case)
        with self._export.lock:
            self._writers[trace.trace_id] = writer
            self._holding = {**self._holders(), experiment: None}

    def begun(self, ident: str) -> TraceWriter | None:
        """Return what writes a trace that was begun; None for any other."""
        return self._writers.get(ident)

    def ended(self, ident: str) -> None:
        """Forget what has written a trace."""
        with self._export.lock:
            self._writers.pop(ident, None)

    def remove(self, ident: str) -> None:
        """Remove a trace, which may be gone."""
        place = self.path_of(ident)
        if place is not None:
            with writing(place):
                os.rename(place, partial_directory(place))
            discard_partial(self._export.base, place)

    def _holders(self) -> dict[Path, None]:
        if self._holding is None:
            experiments = self._experiments.directories()
            self._holding = {it: None for it in experiments if os.path.lexists(it / TRACES)}
        return self._holding

    def _look_for(self, ident: str, experiments: Sequence[Path] | None) -> Path | None:
        return super()._look_for(ident, [*self._holders()] if experiments is None else experiments)

    def _of_ours(self, place: Path, trace: Trace, ours: Object, sidecar: Sidecar | None) -> Trace:
        """Return a trace with what its directory says beside its record.

        Raises ``DirectoryError`` where its spans are missing or cut off; a copy has no mark then.
        """
        told, tags = stored_spans(ours), dict(trace.tags)
        whole = told is None or _size_of(place / SPANS_FILE) == told.size
        if told is not None:
            tags[SPANS_LOCATION_TAG] = _TRACKING_STORE
        if not self._export.is_target:
            if not whole:
                raise DirectoryError(f"{place / SPANS_FILE} is missing or cut off", DAMAGED)
            return replace(trace, tags=tags, losses=sidecar.losses if sidecar else ())
        if whole and (mark := self._mark(place, sidecar)):
            tags[MARK] = mark
        return replace(trace, tags=tags | losses_to_tags(sidecar.losses if sidecar else ()))

    def _id_in(self, place: Path) -> str:
        return trace_id_in(load_mlflow(self._export.base, place / TRACE_FILE), place.name)

    def _begun(self, partial: Path, experiment_id: str) -> Trace | None:
        return None  # a half-made one is begun anew

    def _writer(self, ident: str, *, wanted: bool = False) -> TraceWriter | None:
        return self._writers.get(ident)


def _size_of(path: Path) -> int:
    """Return the size of a file, -1 where there is none."""
    return path.lstat().st_size if os.path.lexists(path) else -1
