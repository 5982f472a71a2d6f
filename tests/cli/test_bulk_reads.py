"""Runs are read in bulk however many threads write them, and the first is written soon."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qs

import pytest

from migrate.scheduler import FIRST_BATCH
from tests.conftest import ProxyFactory, RunMigrate, TrackingServerProcess
from tests.crash.samples import seed_runs

RUNS = 14
KEYS = {"loss", "auc"}


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.thorough), "6"])
def test_histories_are_asked_for_once_for_all_runs_but_the_first_few(
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    run_migrate: RunMigrate,
    unique_name: str,
    workers: str,
) -> None:
    seed_runs(source_server.uri, unique_name, RUNS)
    source, target = proxy_factory(source_server.uri), proxy_factory(fresh_target.uri)
    ended = run_migrate(
        "run", source.uri, target.uri, "--experiments", f"{unique_name}runs", "--workers", workers
    )
    assert ended.returncode == 0, ended.stderr
    assert len(target.matching(("POST", "/runs/create$"))) == RUNS
    asked: dict[str, list[int]] = {}
    for one in source.matching(("GET", "/get-history-bulk")):
        query = parse_qs(one.query)
        asked.setdefault(query["metric_key"][0], []).append(len(query["run_id"]))
    assert asked.keys() == KEYS
    for of_key in asked.values():
        assert Counter(of_key) == Counter([FIRST_BATCH, RUNS - FIRST_BATCH])
    read_back = target.matching(("POST", "/runs/search$"))
    assert len(read_back) <= RUNS / 2
