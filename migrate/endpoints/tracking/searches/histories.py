"""Metric histories read in bulk where the server can, and exactly where it cannot.

``metrics/get-history-bulk`` (a route of MLflow's UI, since 2.3) answers one key of up to 100
runs at once, but cuts off silently after 25,000 points, ordered by run id; gateways cut sooner, and
some servers leave runs out. What may have been cut off, and an answer without the latest point that
one of its runs tells itself, is read again through ``metrics/get-history``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from migrate.endpoints.answers import Histories
from migrate.endpoints.run_members import plain_point
from migrate.endpoints.shapes import Object, objects, text
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.wire import metric_from
from migrate.errors import EndpointError, Malformed, NotAuthenticated, Unavailable
from migrate.folding import may_be_one
from migrate.in_turn import in_turn
from migrate.objects import Metric, Run, holds_point

BULK_ROUTE = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
BULK_POINTS = 25_000
PAGE_POINTS = 10_000
#: What one bulk call does not tell is asked for run by run.
BULK_TRIES = 2
#: Bulk calls at a time for a group of runs: each may bring ``BULK_POINTS``.
BULK_AT_ONCE = 4


class HistoryReader:
    """Reads metric histories of one server; remembers whether it has the bulk route.

    ``bulk_runs`` is how many runs one bulk call may name: 100, or 20 before MLflow 2.22.
    """

    def __init__(self, http: HttpSession, bulk_runs: int) -> None:
        self._http = http
        self._bulk_runs = bulk_runs
        self._has_bulk = bulk_runs > 0
        self._bulk_answered = False

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``."""
        read = {run.run_id: Histories() for run in runs}
        latest: dict[str, dict[str, Metric]] = {}
        for run in runs:
            for point in run.latest_metrics:
                latest.setdefault(point.key, {})[run.run_id] = point
        answers = True
        in_bulk = self._all_in_bulk(latest, read)
        keys = zip(latest.items(), in_bulk, strict=True)
        for number, ((key, of_key), found) in enumerate(keys, start=1):
            holders = of_key.keys() & read.keys()
            if _points_held(read) > budget:
                # Only one run can be left here: what it has more is streamed.
                for run_id in holders:
                    read[run_id].unread.append(key)
                continue
            for run_id in holders - found.keys():
                if answers:
                    try:
                        found[run_id] = self._exactly(key, run_id, budget)
                    except Unavailable:
                        # Waiting for each of a hundred runs may take hours; a task waits for one.
                        answers = False
            for run_id in holders:
                points = found.get(run_id)
                if points is None:
                    read[run_id].unread.append(key)
                else:
                    read[run_id].points += points
            _let_go(read, budget, number / len(latest))
        return read

    def _all_in_bulk(
        self, latest: Mapping[str, Mapping[str, Metric]], read: Mapping[str, Histories]
    ) -> Iterator[dict[str, list[Metric] | None]]:
        """Yield what bulk calls tell of each key, for the runs that are still among those ``read``.

        The next keys are asked for while one is looked at, once the route has answered.
        """
        if len(read) == 1 or not self._has_bulk:
            yield from ({} for _ in latest)
            return
        calls = (
            partial(self._in_bulk, key, {it: of_key[it] for it in of_key if it in read})
            for key, of_key in latest.items()
        )
        if not self._bulk_answered:
            yield from (call() for call in islice(calls, 1))
        yield from in_turn(BULK_AT_ONCE, calls, ahead=BULK_AT_ONCE - 1)

    def _exactly(self, key: str, run_id: str, budget: int) -> list[Metric] | None:
        """Return one key's points of a run; None where they are too many, or not told.

        Whoever streams them then learns why, for that metric alone.
        """
        points: list[Metric] = []
        try:
            for page in self.metric_history(run_id, key):
                points.extend(page)
                if len(points) > budget:
                    return None
        except NotAuthenticated:
            raise
        except EndpointError:
            return None
        return points

    def _in_bulk(self, key: str, latest: Mapping[str, Metric]) -> dict[str, list[Metric] | None]:
        """Return one key's points of those runs whose history bulk calls tell whole.

        ``latest`` has the latest point of each run, as the run tells it.
        """
        found: dict[str, list[Metric] | None] = {}
        run_ids = list(latest)
        if len(run_ids) > 1:
            for start in range(0, len(run_ids), max(1, self._bulk_runs)):
                if self._has_bulk:
                    chunk = run_ids[start : start + self._bulk_runs]
                    found |= self._bulk(key, {run_id: latest[run_id] for run_id in chunk})
        return found

    def _bulk(self, key: str, latest: Mapping[str, Metric]) -> dict[str, list[Metric]]:
        """Return the points of the runs that one bulk call tells whole.

        Where the answer lacks the latest point of one of them, or tells of another run, nothing of
        it is believed: any point may be missing.
        """
        params = [("run_id", run_id) for run_id in latest]
        params += [("metric_key", key), ("max_results", str(BULK_POINTS))]
        found: dict[str, list[Metric]] = {run_id: [] for run_id in latest}
        try:
            rows = objects(self._http.get(BULK_ROUTE, params, tries=BULK_TRIES), "metrics")
            self._bulk_answered = True
            for row in rows:
                points = found.get(text(row, "run_id"))
                if points is None:
                    return {}
                points.append(_point_of(key, row))
        except NotAuthenticated:
            raise
        except Unavailable:
            return {}
        except EndpointError:
            self._has_bulk = False
            return {}
        if len(rows) >= BULK_POINTS:
            last = text(rows[-1], "run_id")
            found = {run_id: points for run_id, points in found.items() if run_id < last}
        if any(not holds_point(points, latest[run_id]) for run_id, points in found.items()):
            return {}
        return found

    def metric_history(self, run_id: str, key: str) -> Iterator[list[Metric]]:
        """See ``ReadsRuns.metric_history``.

        ``max_results`` is always sent: without it, servers 3.1 to 3.13 return nothing.
        Servers up to 2.22 ignore it and send all points in one answer.
        """
        params: dict[str, Any] = {"run_id": run_id, "run_uuid": run_id, "metric_key": key}
        params["max_results"] = PAGE_POINTS
        for answer in self._http.get_pages("/api/2.0/mlflow/metrics/get-history", params):
            rows = objects(answer, "metrics")
            for start in range(0, len(rows), PAGE_POINTS):
                yield [_point_of(key, row) for row in rows[start : start + PAGE_POINTS]]


def _point_of(key: str, row: Object) -> Metric:
    """Read a point of a metric. Raises ``Malformed``, also where it is one of another metric."""
    if row.get("key") == key and (plain := plain_point(key, row)):
        return plain
    point = metric_from(row)
    if not may_be_one(point.key, key):
        raise Malformed(f"key is {point.key[:60]!r}, where the points of {key!r} were asked for")
    return point


def _points_held(read: Mapping[str, Histories]) -> int:
    return sum(len(history.points) for history in read.values())


def _let_go(read: dict[str, Histories], budget: int, part: float) -> None:
    """Let the longest runs go when all keys together look like more points than ``budget``.

    ``part`` is the share of the keys read so far. Runs that go are read again later, with
    fewer others. One run always stays.
    """
    held = _points_held(read)
    if held <= budget // 4:
        return
    for run_id in sorted(read, key=lambda run_id: len(read[run_id].points), reverse=True):
        if len(read) == 1 or held / part <= budget:
            return
        held -= len(read.pop(run_id).points)
