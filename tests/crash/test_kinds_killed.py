"""Kills where the kinds that are records are copied, and traces with what people said of them."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.comparison_records import NO_WRITES, SEEDED, kinds_that_differ
from tests.conftest import ProxyFactory, StartMigrate
from tests.crash.migrations import Ended, Migration
from tests.crash.test_windows import Accident
from tests.faults import Match, call_after, drop_request, lose_response
from tests.seed import Source
from tests.seed_gateway import Gateway
from tests.seed_records import Api
from tests.seed_reviews import add, make_queue, make_traces, set_status
from tests.servers import IS_3_18
from tests.traces.comparison import comparable, experiment_id, traces

#: What makes or changes something, but for what a migration says of itself.
WRITE = ("POST", r"/(?!search|batch|set-experiment-tag)[^/]+$")
REVIEWED = "support"
SAID = 3  #: assessments of each trace


@dataclass(kw_only=True)
class KindsMigration(Migration):
    """Copies a whole server; the values of secrets are lost, always."""

    @property
    def selection(self) -> list[str]:
        return []

    def differences(self) -> list[str]:
        source, target = (it.upstream.geturl() for it in (self.source, self.target))
        found = kinds_that_differ(source, target)
        if reviewed(source) != reviewed(target):
            found.append("trace")
        return found

    def complete(self, ended: Ended) -> None:
        """Checks that all is there once, and that another run writes nothing."""
        assert ended.code == 3, ended
        assert self.differences() == []
        self.target.clear()
        again = self.run()
        assert again.code == 3, again
        assert [it for it in self.target.writes() if not re.search(NO_WRITES, it.path)] == []


def reviewed(uri: str) -> dict[str, dict[str, object]]:
    found = traces(uri, experiment_id(uri, REVIEWED))
    return {key: comparable(it, {}) for key, it in found.items()}


def seed_assessments(uri: str) -> None:
    """Traces with assessments, the last of which overrides another, in a queue."""
    api = Api(uri)
    experiment = api.experiment(REVIEWED)
    ids = make_traces(api, experiment, 3)
    for trace in ids:
        said: dict[str, object] = {"source": {"source_type": "HUMAN", "source_id": "ada"}}
        said |= {"assessment_name": "good", "trace_id": trace}
        for number in range(SAID):
            body = {"assessment": {**said, "feedback": {"value": number}}}
            made = api("POST", f"traces/{trace}/assessments", body)["assessment"]
            said["overrides"] = made["assessment_id"]
    queue = make_queue(api, experiment, "Of traces")
    add(api, queue, *ids)
    set_status(api, queue, ids[0], "COMPLETE", "Ada")


@pytest.fixture(scope="module")
def work(fresh_source: TrackingServerProcess) -> Iterator[Source]:
    """A server with all of them."""
    uri = fresh_source.uri
    Gateway(uri)
    for seeded in SEEDED:
        seeded.seed(Api(uri))
    seed_assessments(uri)
    with Source(uri) as source:
        yield source


@pytest.fixture
def migration(
    work: Source,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    tmp_path: Path,
) -> KindsMigration:
    return KindsMigration(
        seeded=work,
        source=proxy_factory(work.seeded.uri),
        target=proxy_factory(fresh_target.uri),
        directory=tmp_path,
        starter=start_migrate,
    )


OF_SKILLS: dict[str, tuple[Match, int]] = {
    "a skill": (("POST", "/skills$"), 2),
    "a version of a skill": (("POST", "/skills/.*/versions$"), 3),
    "a number of a skill that is passed over": (("DELETE", "/skills/.*/versions/"), 1),
    "an alias of a skill": (("POST", "/skills/.*/aliases$"), 1),
}
#: The requests that make something, or a part of it, and which of them a kill meets.
WINDOWS: dict[str, tuple[Match, int]] = {
    "between two versions of a scorer": (("POST", "/scorers/register$"), 4),
    "in a gap of a scorer": (("DELETE", "/scorers/delete$"), 1),
    "the second of two equal issues": (("POST", "/issues$"), 4),
    "a model of the gateway": (("POST", "/gateway/model-definitions/create$"), 1),
    "a dataset": (("POST", "/datasets/create$"), 2),
    "between two pages of records": (("POST", "/datasets/[^/]+/records$"), 3),
    "how a scorer is run": (("PUT", "/scorers/online-config$"), 1),
    "a question": (("POST", "/label-schemas/create$"), 2),
    "a queue": (("POST", "/review-queues/create$"), 2),
    "the items of a queue": (("POST", "/review-queues/items/add$"), 1),
    "what became of an item": (("POST", "/review-queues/items/set-status$"), 1),
    "an MCP server": (("POST", "/mcp-servers$"), 1),
    "a version of an MCP server": (("POST", "/mcp-servers/.*/versions$"), 2),
    "an alias of an MCP server": (("POST", "/mcp-servers/.*/aliases$"), 1),
    **(OF_SKILLS if IS_3_18 else {}),
    "a secret": (("POST", "/gateway/secrets/create$"), 2),
    "an endpoint": (("POST", "/gateway/endpoints/create$"), 2),
    "a tag of an endpoint": (("POST", "/gateway/endpoints/set-tag$"), 1),
    "a budget": (("POST", "/gateway/budgets/create$"), 2),
    "a guardrail": (("POST", "/gateway/guardrails/create$"), 1),
    "the place of a guardrail": (("POST", "/gateway/guardrails/add-to-endpoint$"), 1),
    "a webhook": (("POST", "/webhooks$"), 3),
    "before an assessment": (("POST", "/assessments$"), 2),
}
#: Each before it arrives, before its answer, and with it, before it is written down.
ACCIDENTS: dict[str, Accident] = {
    "dropped": drop_request,
    "unanswered": lose_response,
    "not recorded": call_after,
}
#: Of these one every day.
DAILY = (("between two versions of a scorer", "unanswered"),)


@pytest.mark.parametrize(
    ("window", "accident"),
    [
        pytest.param(*it, marks=() if it in DAILY else pytest.mark.thorough)
        for it in product(WINDOWS, ACCIDENTS)
    ],
)
def test_killed_in_a_window_nothing_is_missing_or_there_twice(
    migration: KindsMigration, window: str, accident: str
) -> None:
    match, nth = WINDOWS[window]
    migration.kill_at(match, nth, ACCIDENTS[accident](migration.kill))
    migration.start_run()
    assert migration.await_kill(), f"{match} came less than {nth} times"
    migration.complete(migration.resume())


@pytest.mark.thorough
def test_killed_twenty_times_nothing_is_missing_or_there_twice(migration: KindsMigration) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    print(f"KILL_SEED={seed}")
    draw = random.Random(seed)
    assert migration.plan().code == 0
    for _ in range(20):
        accident = ACCIDENTS[draw.choice([*ACCIDENTS])]
        migration.kill_at(WRITE, draw.randint(1, 4), accident(migration.kill))
        migration.start_resume()
        assert migration.await_kill()
    migration.complete(migration.resume())
