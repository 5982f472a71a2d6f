"""Metric histories read in bulk where the server can, and exactly where it cannot.

``metrics/get-history-bulk`` (a route of MLflow's UI, since 2.3) answers one key of up to 100
runs at once, but cuts off silently after 25,000 points, ordered by run id. What may have been
cut off is read again through ``metrics/get-history``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from migrate.endpoints.answers import Histories
from migrate.endpoints.tracking.http import HttpSession
from migrate.endpoints.tracking.wire import metric_from
from migrate.errors import NotFound, Refused
from migrate.objects import Metric, Run

BULK_ROUTE = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
BULK_POINTS = 25_000
PAGE_POINTS = 10_000


class HistoryReader:
    """Reads metric histories of one server; remembers whether it has the bulk route.

    ``bulk_runs`` is how many runs one bulk call may name: 100, or 20 before MLflow 2.22.
    """

    def __init__(self, http: HttpSession, bulk_runs: int) -> None:
        self._http = http
        self._bulk_runs = bulk_runs
        self._has_bulk = bulk_runs > 0

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``."""
        read = {run.run_id: Histories() for run in runs}
        keys = {run.run_id: [point.key for point in run.latest_metrics] for run in runs}
        distinct = list(dict.fromkeys(key for held in keys.values() for key in held))
        for number, key in enumerate(distinct, start=1):
            holders = [run_id for run_id in read if key in keys[run_id]]
            if _points_held(read) > budget:
                # Only one run can be left here: what it has more is streamed.
                for run_id in holders:
                    read[run_id].unread += (key,)
                continue
            for run_id, points in self._key_of_runs(key, holders, budget).items():
                if points is None:
                    read[run_id].unread += (key,)
                else:
                    read[run_id].points += points
            _let_go(read, budget, number / len(distinct))
        return read

    def _key_of_runs(
        self, key: str, run_ids: Sequence[str], budget: int
    ) -> dict[str, list[Metric] | None]:
        """Return one key's points per run; None where they are too many to hold."""
        found: dict[str, list[Metric] | None] = {run_id: [] for run_id in run_ids}
        complete: set[str] = set()
        if len(run_ids) > 1:
            for start in range(0, len(run_ids), max(1, self._bulk_runs)):
                if self._has_bulk:
                    chunk = run_ids[start : start + self._bulk_runs]
                    complete |= self._bulk(key, chunk, found)
        for run_id in run_ids:
            if run_id in complete:
                continue
            points: list[Metric] = []
            found[run_id] = points
            for page in self.metric_history(run_id, key):
                points.extend(page)
                if len(points) > budget:
                    found[run_id] = None
                    break
        return found

    def _bulk(
        self, key: str, run_ids: Sequence[str], found: dict[str, list[Metric] | None]
    ) -> set[str]:
        """Fill ``found`` from one bulk call; return the runs whose history is whole."""
        params = [("run_id", run_id) for run_id in run_ids]
        params += [("metric_key", key), ("max_results", str(BULK_POINTS))]
        try:
            rows = self._http.get(BULK_ROUTE, params).get("metrics", ())
        except (NotFound, Refused):
            self._has_bulk = False
            return set()
        for row in rows:
            points = found[row["run_id"]]
            assert points is not None
            points.append(metric_from(row))
        if len(rows) < BULK_POINTS:
            return set(run_ids)
        last = rows[-1]["run_id"]
        whole = {run_id for run_id in run_ids if run_id < last}
        for run_id in set(run_ids) - whole:
            found[run_id] = []
        return whole

    def metric_history(self, run_id: str, key: str) -> Iterator[list[Metric]]:
        """See ``ReadsRuns.metric_history``.

        ``max_results`` is always sent: without it, servers 3.1 to 3.13 return nothing.
        Servers up to 2.22 ignore it and send all points in one answer.
        """
        params: dict[str, Any] = {"run_id": run_id, "run_uuid": run_id, "metric_key": key}
        params["max_results"] = PAGE_POINTS
        while True:
            answer = self._http.get("/api/2.0/mlflow/metrics/get-history", params)
            rows = answer.pop("metrics", [])
            for start in range(0, len(rows), PAGE_POINTS):
                yield [metric_from(row) for row in rows[start : start + PAGE_POINTS]]
            token = answer.get("next_page_token")
            if not token or not rows:
                return
            params["page_token"] = token


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
