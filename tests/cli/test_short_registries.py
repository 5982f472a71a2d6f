"""Searches of a registry that leave out versions which their model names itself."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, always, answer, change_response
from tests.proxy import Proxy
from tests.seed import Source

SEARCH = ("GET", "/model-versions/search$")
ONE = ("GET", "/model-versions/get$")
VERSIONS = 3


@pytest.fixture
def prompt(source_server: TrackingServerProcess, unique_name: str) -> str:
    """The name of a prompt with versions, of which an alias names the first."""
    is_prompt = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    with Source(source_server.uri) as source:
        source.post("registered-models/create", {"name": unique_name, "tags": [is_prompt]})
        for number in range(1, VERSIONS + 1):
            content = {"key": "mlflow.prompt.text", "value": f"text {number}"}
            body = {"name": unique_name, "source": "prompt-template", "tags": [is_prompt, content]}
            source.post("model-versions/create", body)
        alias = {"name": unique_name, "alias": "best", "version": "1"}
        source.post("registered-models/alias", alias)
    return unique_name


@pytest.fixture
def odd_source(source_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(source_server.uri)


def only(keep: Callable[[int], bool]) -> Fault:
    def change(content: bytes) -> bytes:
        told = json.loads(content)
        found = told.get("model_versions", [])
        told["model_versions"] = [item for item in found if keep(int(item["version"]))]
        return json.dumps(told).encode()

    return change_response(change)


@pytest.mark.parametrize(
    ("fault", "arrive"),
    [
        pytest.param(only(lambda number: number == 2), [1, 2, 3], id="newest-and-aliased-left-out"),
        pytest.param(
            only(lambda number: number != 1), [1, 2, 3], id="aliased", marks=pytest.mark.thorough
        ),
    ],
)
def test_versions_that_a_search_leaves_out_and_their_model_names_are_read_by_number(
    typed: Typed,
    odd_source: Proxy,
    fresh_target: TrackingServerProcess,
    prompt: str,
    fault: Fault,
    arrive: list[int],
) -> None:
    odd_source.faults = Faults(always(SEARCH, fault))
    typed("run", odd_source.uri, fresh_target.uri, "--models", prompt)
    with Source(fresh_target.uri) as target:
        there = [
            int(
                target.send("GET", f"model-versions/get?name={prompt}&version={n}", {})[
                    "model_version"
                ]["version"]
            )
            for n in arrive
        ]
    assert there == arrive


@pytest.mark.parametrize(
    "search",
    [
        pytest.param(only(lambda number: number == 2), id="some"),
        pytest.param(only(lambda _: False), id="all", marks=pytest.mark.thorough),
    ],
)
def test_versions_that_their_model_names_and_nobody_shows_fail_by_name(
    typed: Typed, odd_source: Proxy, fresh_target: TrackingServerProcess, prompt: str, search: Fault
) -> None:
    odd_source.faults = Faults(always(SEARCH, search), always(ONE, answer(404)))
    done = typed("run", odd_source.uri, fresh_target.uri, "--models", prompt, "--json", code=3)
    failed = {failure["id"] for failure in json.loads(done.stdout)["failures"]}
    assert failed >= {f"{prompt}/1", f"{prompt}/3"}
