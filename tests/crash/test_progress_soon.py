"""Something lasting is done soon, so whoever is killed again and again still gets to the end."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from tests.conftest import ProxyFactory, RunMigrate, TrackingServerProcess
from tests.crash.samples import seed_runs
from tests.faults import Fault, Faults, on_nth

RUNS = 24


@pytest.mark.thorough
def test_the_first_run_is_made_when_a_few_have_been_read(
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    run_migrate: RunMigrate,
    unique_name: str,
) -> None:
    """A batch is read before it is written, histories and all; the first ones are small."""
    seed_runs(source_server.uri, unique_name, RUNS)
    source = proxy_factory(source_server.uri)
    read_before: list[int] = []

    def note() -> None:
        named = (
            run_id
            for one in source.matching(("GET", "/get-history"))
            for run_id in parse_qs(one.query).get("run_id", ())
        )
        read_before.append(len(set(named)))

    first = on_nth(("POST", "/runs/create$"), 1, Fault(before=note))
    target = proxy_factory(fresh_target.uri, faults=Faults(first))
    ended = run_migrate(
        "run", source.uri, target.uri, "--experiments", f"{unique_name}runs", "--workers", "1"
    )
    assert ended.returncode == 0, ended.stderr
    assert len(target.matching(("POST", "/runs/create$"))) == RUNS
    assert read_before
    assert 0 < read_before[0] <= 4
