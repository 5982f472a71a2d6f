"""Traces of the newest server arrive on servers of every release that takes them with spans."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.traces import SPANS_LOCATION_TAG
from tests.acceptance.environments import BETWEEN
from tests.conftest import ProxyFactory, RunMigrate, ServerFactory, StartMigrate
from tests.faults import Faults, call_after, drop_request, on_nth
from tests.traces.comparison import comparable, experiment_id, traces
from tests.traces.seed import SeededTraces, seed_traces

#: What a release before 3.11 cannot hold of what is seeded, as its losses begin.
LOST_BEFORE_3_11 = {"assessment", "trace of another/form whole"}
#: What a release before 3.8 cannot besides.
LOST_BEFORE_3_8 = {"links"}
TARGETS = (*BETWEEN, "3.8.1")
#: The routes of traces that write.
WRITES = re.compile(r"/traces$|/tags$|/assessments$|/link-prompts$|/delete-traces$")


@pytest.fixture(scope="module")
def source(server_factory: ServerFactory) -> TrackingServerProcess:
    return server_factory()


@pytest.fixture(scope="module")
def seeded(source: TrackingServerProcess) -> SeededTraces:
    return seed_traces(source.uri, "whole")


@pytest.mark.parametrize("killed", [None, "before its spans", "after its spans"])
@pytest.mark.parametrize("target_version", TARGETS)
def test_all_but_the_declared_losses_arrives(
    source: TrackingServerProcess,
    seeded: SeededTraces,
    target_of: Callable[[str], TrackingServerProcess],
    proxy_factory: ProxyFactory,
    run_migrate: RunMigrate,
    start_migrate: StartMigrate,
    target_version: str,
    killed: str | None,
) -> None:
    with target_of(target_version) as target:
        proxy = proxy_factory(target.uri)
        words = ("run", source.uri, proxy.uri, "--include-deleted")
        if killed:
            process = start_migrate(*words)
            accident = drop_request if killed.startswith("before") else call_after
            kill = accident(lambda: process.signal_group(signal.SIGKILL))
            proxy.faults = Faults(on_nth(("POST", "/v1/traces$"), 2, kill))
            assert process.wait(120) == -signal.SIGKILL
            proxy.faults = Faults()
        report = json.loads(run_migrate(*words, "--json").stdout)

        assert report["failures"] == []
        lost = [it["what"] for it in report["losses"] if it["kind"] == "trace"]
        assert {_kind_of(what) for what in lost} == _lost_by(target_version)
        _compare(source.uri, target.uri, seeded, lost)

        proxy.clear()
        json.loads(run_migrate(*words, "--json").stdout)
        assert [it for it in proxy.writes() if WRITES.search(it.path)] == []


def _lost_by(version: str) -> set[str]:
    release = tuple(map(int, version.split(".")[:2]))
    early = LOST_BEFORE_3_8 if release < (3, 8) else set()
    return early | LOST_BEFORE_3_11 if release < (3, 11) else set()


def _kind_of(lost: str) -> str:
    return lost if lost.startswith("trace ") else lost.split(maxsplit=1)[0]


def _compare(source: str, target: str, seeded: SeededTraces, lost: list[str]) -> None:
    """Compares info, tags, assessments and spans; what is lost is left out on both sides."""
    for name in seeded.names.values():
        wanted = traces(source, experiment_id(source, name))
        found = traces(target, experiment_id(target, name))
        assert (
            wanted.keys() - found.keys()
            == {what.removeprefix("trace ") for what in lost if what.startswith("trace ")}
            & wanted.keys()
        )
        for ident, copy in found.items():
            one, other = _without(wanted[ident], lost), _without(copy, lost)
            assert one == other


def _without(trace: dict[str, Any], lost: list[str]) -> dict[str, Any]:
    """A trace as it compares, but for ids that copies have anew, and what is lost."""
    found = comparable(trace, {})
    named = " ".join(lost)
    said = {
        ident: {**it, "metadata": None, "assessment_name": "issue" in it or it["assessment_name"]}
        for ident, it in found["assessments"].items()
        if f"assessment {ident} " not in named
    }
    # MLflow 3.6 says of every trace that its spans are there.
    ours = ("mlflow-migrate.", SPANS_LOCATION_TAG)
    tags = {key: text for key, text in found["tags"].items() if not key.startswith(ours)}
    same = {"assessments": said, "tags": tags, "trace_metadata": None}
    return {**found, **same, "spans": found.get("spans") or None}
