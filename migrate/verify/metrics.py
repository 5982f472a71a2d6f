"""Counts and digests of metric histories, whose order says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from migrate.endpoints.protocols import Source
from migrate.errors import EndpointError, NotAuthenticated, Unavailable
from migrate.objects import Metric, Run, as_stored
from migrate.outcomes import Loss
from migrate.tasks.fingerprint import point_digest
from migrate.tasks.histories import History, with_histories


@dataclass(slots=True)
class Sums:
    """Of one run by metric key: the count of its points, and a digest of them.

    ``lacking`` are the metrics whose history the endpoint does not tell whole; with ``problem``
    it told none of the run.
    """

    by_key: dict[str, tuple[int, int]] = field(default_factory=dict)
    lacking: tuple[Loss, ...] = ()
    problem: str = ""


def key_sums(end: Source, runs: Sequence[Run]) -> dict[str, Sums]:
    """Return count and order-free digest of every metric's points, by run."""
    return {run.run_id: _sums_of(history) for run, history in with_histories(end.runs, runs)}


def _sums_of(history: History | EndpointError) -> Sums:
    sums = Sums()
    if isinstance(history, NotAuthenticated):
        raise history
    if isinstance(history, EndpointError):
        return Sums(problem=str(history))
    _add(sums, history.held)
    try:
        for page in history.streamed():
            _add(sums, page)
    except Unavailable as problem:
        return Sums(problem=str(problem))
    sums.lacking = history.losses
    return sums


def _add(sums: Sums, points: Iterable[Metric]) -> None:
    for point in points:
        count, total = sums.by_key.get(point.key, (0, 0))
        digest = point_digest(as_stored(point))
        sums.by_key[point.key] = (count + 1, (total + digest) & 0xFFFFFFFFFFFFFFFF)
