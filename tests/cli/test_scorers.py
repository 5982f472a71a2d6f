"""Scorers: how their versions get their numbers, and what a server that lists fewer gives."""

from __future__ import annotations

import json

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, always, answer, answer_with, lose_response, on_nth
from tests.seed_records import SCORERS, Api, register, scorers_shown

LIST = ("GET", "/scorers/list$")
REGISTER = ("POST", "/scorers/register$")


@pytest.fixture(scope="module")
def source(fresh_source: TrackingServerProcess) -> Api:
    api = Api(fresh_source.uri)
    SCORERS.seed(api)
    return api


def in_order(api: Api) -> list[str]:
    return sorted(json.dumps(it, sort_keys=True) for it in scorers_shown(api))


@pytest.mark.parametrize(
    ("after", "fault", "code"),
    [(2, answer(401), 1), (3, answer(401), 1), (5, answer(401), 1), (3, lose_response(), 0)],
)
def test_a_scorer_that_stopped_half_way_is_completed_under_its_numbers(
    typed: Typed,
    source: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    after: int,
    fault: Fault,
    code: int,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    proxy.faults = Faults(on_nth(REGISTER, after, fault))
    typed("run", fresh_source.uri, proxy.uri, "--workers", "1", code=code)
    proxy.faults = Faults()
    # A plan made anew knows nothing of what was begun; what is there is part of what is wanted.
    typed("run", fresh_source.uri, proxy.uri, "--state", "anew.db")
    assert in_order(Api(fresh_target.uri)) == in_order(source)


def test_they_are_found_where_a_server_lists_those_of_one_experiment_only(
    typed: Typed,
    source: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    proxy = proxy_factory(fresh_source.uri)
    refused = answer_with('{"error_code": "INVALID_PARAMETER_VALUE", "message": "required"}', 400)
    # The first question is the one for all; one of the others is about an experiment in the trash.
    proxy.faults = Faults(on_nth(LIST, 1, refused))
    typed("run", proxy.uri, fresh_target.uri)
    assert in_order(Api(fresh_target.uri)) == in_order(source)
    proxy.faults = Faults(on_nth(LIST, 1, refused), on_nth(LIST, 2, refused))
    (said,) = json.loads(typed("plan", proxy.uri, fresh_target.uri, "--json").stdout)["unknown"]
    assert "has scorers is not known" in said


def test_a_list_that_takes_nonsense_is_not_believed_to_be_empty(
    typed: Typed,
    source: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    proxy = proxy_factory(fresh_source.uri)
    proxy.faults = Faults(always(LIST, answer_with("{}")))
    (said,) = json.loads(typed("plan", proxy.uri, fresh_target.uri, "--json").stdout)["unknown"]
    assert "/scorers/list" in said
    assert "not believed" in said
    typed("run", proxy.uri, fresh_target.uri, code=3)


@pytest.mark.thorough
def test_one_that_was_made_anew_at_the_source_is_made_anew_on_the_target(
    typed: Typed,
    source: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
) -> None:
    experiment = source.experiment("replaced")
    for number in range(3):
        register(
            source,
            experiment,
            "fair",
            instructions_judge_pydantic_data={"model": f"openai:/{number}"},
        )
    typed("run", fresh_source.uri, fresh_target.uri)
    source("DELETE", "scorers/delete", {"experiment_id": experiment, "name": "fair"})
    for number in range(2):
        register(source, experiment, "fair", builtin_scorer_class="Safety", threshold=number)
    typed("run", fresh_source.uri, fresh_target.uri)
    assert in_order(Api(fresh_target.uri)) == in_order(source)
