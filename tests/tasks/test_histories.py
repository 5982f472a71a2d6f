"""Histories that are read for runs with very many metrics."""

from __future__ import annotations

from migrate.endpoints.answers import Histories
from migrate.objects import Metric, Run
from migrate.tasks.histories import History
from tests.counted import Counted
from tests.graph.memory import MemoryServer

METRICS = 400


def test_each_metric_that_is_streamed_is_looked_for_once_among_the_others() -> None:
    keys = [f"metric {number}" for number in range(METRICS)]
    latest = tuple(Metric(Counted(key), 0.5, 1, 0) for key in keys)
    run = Run(
        run_id="a",
        experiment_id="1",
        name="",
        user_id="",
        status="FINISHED",
        start_time=0,
        end_time=1,
        latest_metrics=latest,
    )
    Counted.compared = 0
    history = History(MemoryServer().runs, run, Histories(unread=[str(key) for key in keys]))
    assert not history.held
    assert Counted.compared <= 4 * METRICS
