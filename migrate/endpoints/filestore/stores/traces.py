"""The traces of a file store, whose spans are among their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from migrate.endpoints.filestore.files import Losses, StoreFiles
from migrate.endpoints.filestore.places import ExperimentFolder, Places
from migrate.endpoints.filestore.stores.contained import ContainedStore
from migrate.endpoints.proto_times import milliseconds
from migrate.endpoints.shapes import (
    Object,
    count,
    integer,
    member,
    present,
    required_text,
    text,
    text_or_none,
)
from migrate.endpoints.stores import Bookkeeping, Identity
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import DirectoryError
from migrate.kinds import Kind
from migrate.traces import (
    EVER,
    OLDER_STATES,
    SPANS_LOCATION_TAG,
    Assessment,
    Spans,
    Stretch,
    Trace,
)

_OLDER_DURATION = "execution_time_ms"


class TraceStore(ContainedStore[Trace]):
    """Implements the half of ``migrate.endpoints.stores.TraceStore`` that reads.

    When each trace began is kept from one listing to the next, so that a stretch of time costs
    no more than what is in it.
    """

    kind = Kind.TRACE
    folder = "traces"
    file = "trace_info.yaml"
    identity = Identity.KEPT
    bookkeeping = Bookkeeping.TAGS
    hides_spans = False
    tells_links = True
    tells_spans = False

    def __init__(self, files: StoreFiles, places: Places, unreadable: UnreadableObjects) -> None:
        super().__init__(files, places, unreadable)
        self._times: dict[str, Sequence[tuple[int, str]]] = {}

    def list(self, experiment_ids: Sequence[str]) -> Iterator[Trace]:
        """See ``Store.list``."""
        for experiment_id in experiment_ids:
            self._times.pop(experiment_id, None)
            yield from self.within(experiment_id)

    def within(self, container: str, stretch: Stretch = EVER) -> Iterator[Trace]:
        """See ``TraceStore.within``."""
        times = self._times.get(container)
        if times is None:
            began = ((it.request_time, it.trace_id) for it in super().list([container]))
            self._times[container] = times = sorted(began)
        for time, trace_id in times:
            if (stretch.first or time) <= time <= (time if stretch.last is None else stretch.last):
                yield from self.read([trace_id])

    def spans(self, ids: Sequence[str]) -> Mapping[str, Spans]:
        """See ``TraceStore.spans``: all are in files."""
        return {}

    def _record(self, experiment: ExperimentFolder, path: Path) -> Trace:
        body = self._files.described(path, self.file)
        # MLflow 2 has the id of the experiment, and other words for what MLflow 3 has.
        place = member(member(body, "trace_location"), "mlflow_experiment")
        self._require_own(experiment, path, {**body, **place}, "trace_id", "request_id")
        losses: Losses = []
        tags = self._files.texts(path / "tags", "tag", losses)
        tags.pop(SPANS_LOCATION_TAG, None)  # only a database has them elsewhere
        duration = "execution_duration_ms" if "execution_duration_ms" in body else _OLDER_DURATION
        state = text(body, "state") or required_text(body, "status")
        return Trace(
            trace_id=path.name,
            experiment_id=experiment.id,
            request_time=_request_time(body),
            execution_duration=integer(body, duration),
            state=OLDER_STATES.get(state, state),
            client_request_id=text_or_none(body, "client_request_id"),
            request_preview=text_or_none(body, "request_preview"),
            response_preview=text_or_none(body, "response_preview"),
            metadata=self._files.texts(path / "request_metadata", "metadata", losses),
            tags=tags,
            assessments=tuple(self._assessments(path, losses)),
            losses=tuple(losses),
        )

    def _assessments(self, path: Path, losses: Losses) -> Sequence[Assessment]:
        """Return what was said of a trace, in the form of MLflow's API, in its order."""
        found = {}
        for key, file in self._files.keys(path / "assessments", "assessment", losses):
            try:
                body = self._files.described(file.parent, file.name)
            except DirectoryError as problem:
                losses.append(self._files.lost(f"assessment {key}", problem.message))
            else:
                found[str(body.get("create_time")), key] = body
        return [found[it] for it in sorted(found)]


def _request_time(body: Object) -> int:
    if "request_time" in body:
        return milliseconds(required_text(body, "request_time"))
    present(body, "timestamp_ms")
    return count(body, "timestamp_ms")
