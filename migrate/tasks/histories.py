"""Reads metric histories and holds them against the latest points that the runs themselves tell.

A server or gateway may answer a question for a history with less than there is, or with nothing.
A run says which metrics it has and the latest point of each, so what lacks that point is not whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext

from migrate.endpoints.answers import Histories
from migrate.endpoints.protocols.runs import ReadsRuns
from migrate.errors import EndpointError, NotAuthenticated, Unavailable
from migrate.objects import Metric, Run, holds_point
from migrate.outcomes import Loss, LossCode, loss_of
from migrate.tasks.side_by_side import reading_in_turn

#: Metric points of a group of runs held in memory at a time.
POINTS_HELD = 50_000


class History:
    """The points of one run's metrics: ``held`` in memory, the others ``streamed``.

    Where a history lacks the latest point, that point is among them all the same, and the metric
    is among the ``losses``, which are complete once ``streamed`` has ended. What the endpoint
    refuses to tell is a loss as well; once ``patient`` is set so is what it does not answer,
    otherwise ``streamed`` raises ``Unavailable``.
    """

    def __init__(self, end: ReadsRuns, run: Run, read: Histories) -> None:
        self.patient = False
        self._end = end
        self._run = run
        self._latest = {point.key: point for point in run.latest_metrics}
        self._unread = read.unread
        self._lost: dict[str, str] = {}
        self.held = self._completed(read.points)

    @property
    def lacking(self) -> Iterable[str]:
        """The keys of the metrics that are among the ``losses``."""
        return self._lost.keys()

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The metrics whose history is not known to be whole."""
        return tuple(
            loss_of(LossCode.NOT_WHOLE, f"metric {key}", why) for key, why in self._lost.items()
        )

    def streamed(self) -> Iterator[Sequence[Metric]]:
        """Yield what is not held, in pages, all points of one key in a row; may be repeated."""
        for key in self._unread:
            self._lost.pop(key, None)
            yield from self._stream(key)

    def _stream(self, key: str) -> Iterator[Sequence[Metric]]:
        latest = self._latest[key]
        found, reason = False, _lacking(latest)
        try:
            for page in self._end.metric_history(self._run.run_id, key):
                found = found or holds_point(page, latest)
                yield page
        except NotAuthenticated:
            raise
        except EndpointError as problem:
            found, reason = False, str(problem)
        except Unavailable as problem:
            if not self.patient:
                message = f"metric {key!r} cannot be read: {problem.message}"
                raise Unavailable(message, problem.hint, problem.retry_after) from None
            found, reason = False, str(problem)
        if not found:
            self._lost[key] = reason
            yield [latest]

    def _completed(self, points: list[Metric]) -> list[Metric]:
        """Return the points with the latest ones that are missing, each with its key's others."""
        streamed = set(self._unread)
        sought = {key: it for key, it in self._latest.items() if key not in streamed}
        for point in points:
            latest = sought.get(point.key)
            if latest and latest.step == point.step and holds_point((point,), latest):
                del sought[point.key]
        missing = list(sought.values())
        self._lost |= {latest.key: _lacking(latest) for latest in missing}
        return sorted([*points, *missing], key=lambda p: p.key) if missing else points


def _lacking(latest: Metric) -> str:
    return (
        f"the run has its latest point at step {latest.step}, "
        "which is not among those that the server told"
    )


def with_histories(
    end: ReadsRuns, runs: Sequence[Run], *, in_turn: bool = False
) -> Iterator[tuple[Run, History | EndpointError]]:
    """Yield each run with its histories, or with the error that concerns this run alone.

    Runs are read in groups small enough to hold; with ``in_turn`` while no other batch of this
    process reads any, for where writing takes longer than reading. Raises ``Unavailable`` as it
    comes.
    """
    left = list(runs)
    together = len(left)
    while left:
        group = left[:together]
        try:
            with reading_in_turn() if in_turn else nullcontext():
                histories = end.histories(group, POINTS_HELD)
        except EndpointError as problem:
            if len(group) > 1:
                together = 1  # one of them is at fault: find out which
                continue
            yield left.pop(0), problem
            continue
        left = [run for run in left if run.run_id not in histories]
        # As many as fitted, and some more when all did.
        together = len(histories) + (len(histories) == len(group)) * (1 + len(group) // 4)
        for run in group:
            if run.run_id in histories:
                yield run, History(end, run, histories.pop(run.run_id))
