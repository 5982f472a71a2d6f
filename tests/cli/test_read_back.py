"""A target that answers 200 and does not do what it was asked, or does it otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Seeded, Typed
from tests.conftest import ProxyFactory
from tests.faults import (
    Fault,
    Faults,
    Match,
    always,
    answer_with,
    change_request,
    change_response,
    on_nth,
)
from tests.proxy import Proxy
from tests.seed import Source

SILENT = answer_with("{}")
#: Of a search, but not of the questions that tell a server from a gateway which answers for it.
SHOWS_NOTHING = change_response(
    lambda content: json.dumps({**json.loads(content), "runs": []}).encode()
)
BATCH: Match = ("POST", "/runs/log-batch$")
UPDATE: Match = ("POST", "/runs/update$")
SEARCH: Match = ("POST", "/runs/search$")


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def args(source_server: TrackingServerProcess, proxy: Proxy, seeded: Seeded) -> list[str]:
    return ["run", source_server.uri, proxy.uri, "--experiments", seeded.name]


def verified(typed: Typed, args: list[str]) -> None:
    """Checks that all is there, once, and that nothing is left to do."""
    typed("verify", *args[1:])
    assert "Wrote nothing" in typed(*args).stdout


@pytest.mark.parametrize(
    "silent",
    [BATCH, pytest.param(UPDATE, marks=pytest.mark.thorough)],
    ids=lambda match: match[1].strip("/$"),
)
def test_a_write_that_was_not_carried_out_is_made_again(
    typed: Typed, proxy: Proxy, args: list[str], silent: Match
) -> None:
    proxy.faults = Faults(on_nth(silent, 1, SILENT))
    typed(*args)
    verified(typed, args)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("match", "silent", "named"),
    [
        (UPDATE, SILENT, "status"),
        (BATCH, SILENT, "mlflow-migrate.copied"),
        (SEARCH, SHOWS_NOTHING, "the run itself"),
    ],
)
def test_a_target_that_never_does_it_gets_no_copy_that_counts_as_complete(
    typed: Typed, proxy: Proxy, args: list[str], match: Match, silent: Fault, named: str
) -> None:
    proxy.faults = Faults(always(match, silent))
    report = typed(*args, code=3).stdout
    assert "answered that it stored run 'parent', and does not show" in report
    assert named in report
    proxy.faults = Faults()
    typed(*args)
    verified(typed, args)


def cut(body: bytes) -> bytes:
    sent = json.loads(body)
    for param in sent.get("params", ()):
        param["value"] = param["value"][:1]
    return json.dumps(sent).encode()


def aged(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "start_time": 7, "user_id": "nobody"}).encode()


@pytest.mark.parametrize(
    ("match", "fault", "what"),
    [
        (("POST", "/runs/create$"), change_request(aged), {"start time", "user id"}),
        pytest.param(BATCH, change_request(cut), {"param depth"}, marks=pytest.mark.thorough),
    ],
    ids=["at creation", "cut"],
)
def test_what_a_target_keeps_otherwise_is_a_loss_by_name_that_the_copy_remembers(
    typed: Typed,
    source_server: TrackingServerProcess,
    proxy: Proxy,
    unique_name: str,
    match: Match,
    fault: Fault,
    what: set[str],
) -> None:
    with Source(source_server.uri) as source:
        run = source.run("a", source.experiment(unique_name), user="ada")
        source.params(run, {"depth": "33"})
    args = ["run", source_server.uri, proxy.uri, "--experiments", unique_name, "--json"]
    proxy.faults = Faults(always(match, fault))
    for _ in range(2):
        ended: dict[str, Any] = json.loads(typed(*args, code=3).stdout)
        assert {loss["what"] for loss in ended["losses"]} == what
    assert ended["totals"]["run"]["wrote"] == 0
    typed("verify", *args[1:5])
