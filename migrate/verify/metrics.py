"""Counts and digests of metric histories, whose order says nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from migrate.endpoints.answers import Histories
from migrate.endpoints.protocols import Source
from migrate.errors import EndpointError
from migrate.objects import Metric, Run
from migrate.tasks.fingerprint import point_digest
from migrate.tasks.run import with_histories

LARGEST = 1.7976931348623157e308

#: By metric key: the count of its points, and a digest of them.
Sums = dict[str, tuple[int, int]]


def key_sums(end: Source, runs: Sequence[Run]) -> dict[str, Sums]:
    """Return count and order-free digest of every metric's points, by run and key."""
    sums: dict[str, Sums] = {}
    for run, history in with_histories(end, runs):
        if isinstance(history, EndpointError):
            raise history
        sums[run.run_id] = _sums_of(end, run, history)
    return sums


def _sums_of(end: Source, run: Run, history: Histories) -> Sums:
    sums: Sums = {}
    _add(sums, history.points)
    for key in history.unread:
        for page in end.metric_history(run.run_id, key):
            _add(sums, page)
    return sums


def _add(sums: Sums, points: Iterable[Metric]) -> None:
    for point in points:
        count, total = sums.get(point.key, (0, 0))
        digest = point_digest(as_stored(point))
        sums[point.key] = (count + 1, (total + digest) & 0xFFFFFFFFFFFFFFFF)


def as_stored(point: Metric) -> Metric:
    """Return a point as MLflow's SQL stores keep it: infinity as the largest float."""
    if not math.isinf(point.value):
        return point
    return point._replace(value=math.copysign(LARGEST, point.value))
