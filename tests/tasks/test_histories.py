"""Histories that are read for runs with very many metrics."""

from __future__ import annotations

from migrate.endpoints.answers import Histories
from migrate.objects import Metric, Run
from migrate.tasks.histories import History
from tests.graph.memory import MemoryServer

METRICS = 400


class CountedKey(str):
    """The key of a metric that counts how often it is held against another."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedKey.compared += 1
        return str.__eq__(self, other) is True

    __hash__ = str.__hash__


def test_each_metric_that_is_streamed_is_looked_for_once_among_the_others() -> None:
    keys = [f"metric {number}" for number in range(METRICS)]
    latest = tuple(Metric(CountedKey(key), 0.5, 1, 0) for key in keys)
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
    CountedKey.compared = 0
    history = History(MemoryServer(), run, Histories(unread=[str(key) for key in keys]))
    assert not history.held
    assert CountedKey.compared <= 4 * METRICS
