"""Fills one run of a tracking server in as few writes as the limits of log-batch allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, NamedTuple

from migrate.endpoints.tracking.http.session import TRIES, HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.refusals import FAULT_TRIES, deliver, refusals
from migrate.endpoints.tracking.request_sizes import BATCH_BYTES, MARK_BYTES, first_of, size_of
from migrate.endpoints.tracking.wire import metric_to
from migrate.errors import MigrateError, NotFound, Refused, ServerFault
from migrate.kinds import run_ref
from migrate.objects import DELETED, RUN_NAME_TAG, ArtifactRoot, Metric, Run, input_name
from migrate.origins import MARK, losses_to_tags
from migrate.outcomes import Loss

BATCH_TOTAL = 1000
BATCH_PARAMS = 100
BATCH_TAGS = 100
BATCH_INPUTS = 100


class ServerRunWriter:
    """A ``RunWriter``; ``copy`` is the run on the server as it was found or just created.

    Every call here may be repeated: equal metric points and params are stored once, tags
    overwrite, deleting twice is no error. What the server refuses of what goes together is left out
    and told by ``finish``. Within one log-batch the server writes params, then
    metrics, then tags, each in a transaction of its own; so the mark goes with the last batch.
    """

    def __init__(self, http: HttpSession, copy: Run, wanted_tags: Mapping[str, str]) -> None:
        self._http = http
        self._copy = copy
        self._tags: dict[str, str] = {}
        self._params: dict[str, str] = {}
        self._metrics: list[Metric] = []
        self._refused: list[tuple[str, MigrateError]] = []
        self.write_tags(wanted_tags)
        if copy.lifecycle_stage == DELETED:
            self._http.post(f"{API}/runs/restore", {"run_id": copy.run_id}, idempotent=True)

    @property
    def run_id(self) -> str:
        """Id of the copy."""
        return self._copy.run_id

    @property
    def root(self) -> ArtifactRoot:
        """Where the copy's files go."""
        return ArtifactRoot(run_ref(self._copy.run_id), self._copy.artifact_uri)

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """See ``RunWriter.write_tags``."""
        existing = self._copy.tags
        for key, value in tags.items():
            # The server keeps the name's tag in step with the run's name by itself.
            if existing.get(key) != value and key != RUN_NAME_TAG:
                self._tags[key] = value

    def remove_tags(self, keys: Sequence[str]) -> None:
        """See ``RunWriter.remove_tags``."""
        for key in keys:
            body = {"run_id": self.run_id, "key": key}
            with suppress(NotFound):
                self._http.post(f"{API}/runs/delete-tag", body, idempotent=True)

    def write_params(self, params: Mapping[str, str]) -> None:
        """See ``RunWriter.write_params``."""
        existing = self._copy.params
        self._params.update((k, v) for k, v in params.items() if existing.get(k) != v)

    def write_metrics(self, points: Iterable[Metric]) -> None:
        """See ``RunWriter.write_metrics``."""
        for point in points:
            self._metrics.append(point)
            if len(self._metrics) >= BATCH_TOTAL:
                self._flush()

    def write_inputs(self, inputs: Sequence[Mapping[str, object]]) -> None:
        """See ``RunWriter.write_inputs``."""
        for start in range(0, len(inputs), BATCH_INPUTS):
            chunk = inputs[start : start + BATCH_INPUTS]
            self._refused += deliver(self._log_inputs, chunk, input_name)

    def flush_tags(self) -> None:
        """Write the tags that are buffered."""
        while self._tags:
            self._flush()

    def finish(self, run: Run, mark: str, losses: Sequence[Loss] = ()) -> tuple[Loss, ...]:
        """See ``RunWriter.finish``."""
        copy = self._copy
        while not self._fits_one_batch():
            self._flush()
        if (run.status, run.end_time, run.name) != (copy.status, copy.end_time, copy.name):
            body = {"run_id": self.run_id, "status": run.status}
            if run.end_time is not None:
                body["end_time"] = str(run.end_time)
            if run.name:
                body["run_name"] = run.name
            self._http.post(f"{API}/runs/update", body, idempotent=True)
        # The mark says "complete", so all that can be written before it is.
        refused = self._close(mark, losses)
        if run.lifecycle_stage == DELETED:
            body = {"run_id": self.run_id}
            self._http.post(f"{API}/runs/delete", body, idempotent=True)
        return refused

    def abandon(self) -> None:
        """Nothing is held outside this object."""

    def _fits_one_batch(self) -> bool:
        return (
            len(self._params) <= BATCH_PARAMS
            and len(self._tags) < BATCH_TAGS
            and len(self._params) + len(self._metrics) + len(self._tags) < BATCH_TOTAL
            and sum(map(size_of, (*self._params.items(), *self._tags.items())))
            < BATCH_BYTES - MARK_BYTES
        )

    def _close(self, mark: str, losses: Sequence[Loss]) -> tuple[Loss, ...]:
        """Write what is left, and the mark; return what the server refused of the run.

        All in one call where nothing is refused; else the copy is first told what it lacks.
        """
        left = self._take()
        closing = [_tag(MARK, mark)]
        if not self._refused:
            try:
                self._log_batch([*left, *closing], FAULT_TRIES)
                return ()
            except (Refused, ServerFault):
                pass
        self._send(left)
        refused = refusals(self._refused)
        lacking = losses_to_tags([*losses, *refused]) if refused else {}
        for key, value in lacking.items():
            # It names what was refused, and may be refused for that: it is told all the same.
            with suppress(Refused):
                self._log_batch([_tag(key, value)], TRIES)
        self._log_batch(closing, TRIES)
        return refused

    def _flush(self) -> None:
        """Send one batch of what is buffered, as full as the limits allow."""
        self._send(self._take())

    def _take(self) -> list[_Member]:
        """Take one batch out of what is buffered."""
        params = first_of(self._params.items(), BATCH_PARAMS, BATCH_BYTES)
        left = BATCH_BYTES - sum(map(size_of, params.items()))
        tags = first_of(reversed(self._tags.items()), BATCH_TAGS, left)
        room = BATCH_TOTAL - len(params) - len(tags)
        metrics = self._metrics[:room]
        del self._metrics[:room]
        for key in params:
            del self._params[key]
        for key in tags:
            del self._tags[key]
        return [
            *(_Member("params", _pair(key, value)) for key, value in params.items()),
            *(_Member("metrics", metric_to(point)) for point in metrics),
            *(_tag(key, value) for key, value in tags.items()),
        ]

    def _send(self, members: Sequence[_Member]) -> None:
        self._refused += deliver(self._log_batch, members, lambda member: member.name)

    def _log_batch(self, members: Sequence[_Member], fault_tries: int) -> None:
        body: dict[str, Any] = {"run_id": self.run_id}
        for field, of_field in groupby(members, lambda member: member.field):
            body.setdefault(field, []).extend([member.item for member in of_field])
        path = f"{API}/runs/log-batch"
        self._http.post(path, body, idempotent=True, fault_tries=fault_tries)

    def _log_inputs(self, inputs: Sequence[Mapping[str, object]], fault_tries: int) -> None:
        body = {"run_id": self.run_id, "datasets": list(inputs)}
        path = f"{API}/runs/log-inputs"
        self._http.post(path, body, idempotent=True, fault_tries=fault_tries)


class _Member(NamedTuple):
    """One entry of a log-batch: the list it goes into, and its JSON."""

    field: str
    item: Mapping[str, object]

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.field.removesuffix('s')} {self.item['key']}"


def _tag(key: str, value: str) -> _Member:
    return _Member("tags", _pair(key, value))


def _pair(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}
