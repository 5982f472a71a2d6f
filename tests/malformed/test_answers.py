"""A source that answers one thing wrong: the rest arrives, and the exit code says so."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from unittest import mock

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.tracking.searches import histories
from migrate.endpoints.tracking.stores import (
    experiments,
    logged_models,
    model_links,
    model_versions,
    registered_models,
    runs,
)
from migrate.endpoints.tracking.stores.logged_models import SEARCH
from migrate.endpoints.tracking.stores.runs import RUNS
from tests.malformed.planted import (
    A_TOKEN_IS_THE_END,
    LISTS_ARE_EMPTY,
    TAGS_ARE_NONE,
    UNREADABLE_IS_NOTHING,
    Defect,
    found,
    planted,
)
from tests.malformed.replay import Answer, Recording, playing, recording
from tests.malformed.worlds import (
    Case,
    Ended,
    check_ended,
    count_in,
    each,
    migrate,
    seed_little,
    seeds,
)
from tests.mutations import Mutation, any_body, paths_in
from tests.seed_models import ModelSource

#: So that the same case takes the same course every time.
SERIAL = ("--serial", "--workers", "1")
#: How many objects of a kind are asked for at a time, and one instead.
PAGES = (
    (experiments, "EXPERIMENTS_PER_PAGE", 1),
    (runs, "RUNS", RUNS._replace(per_page=1)),
    (logged_models, "SEARCH", SEARCH._replace(per_page=1)),
    (registered_models, "MODELS_PER_PAGE", 1),
    (model_versions, "VERSIONS_PER_PAGE", 1),
    (histories, "PAGE_POINTS", 1),
)


class Recorded:
    """A migration from a server into a directory, and what arrived."""

    def __init__(self, uri: str, answers: Recording, counts: Mapping[str, int]) -> None:
        self.uri = uri
        self.answers = answers
        self.counts = counts


@pytest.fixture(scope="module")
def recorded(
    fresh_source: TrackingServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Recorded:
    path = tmp_path_factory.mktemp("recorded")
    with ModelSource(fresh_source.uri) as source:
        seed_little(source)
        ids = [*source.seeded.runs.values(), *source.seeded.models.values()]
    with recording() as answers:
        ended = _copy(fresh_source.uri, path)
    assert ended.code == 0, ended.output
    # What is asked instead, where GraphQL is no use.
    store = model_links.ModelLinkStore
    with recording() as others, mock.patch.object(store, "_query_links", return_value=None):
        assert _copy(fresh_source.uri, path / "without").code == 0
    hexadecimal = (model_or_run.removeprefix("m-") for model_or_run in ids)
    names = {old: f"{number:032x}" for number, old in enumerate(hexadecimal, start=1)}
    # Of a request of both, the answers of the first: what a migration does not come to ask
    # cannot go wrong.
    both = Recording({**others.answers, **answers.answers}).renamed(names)
    return Recorded(fresh_source.uri, both, count_in(path / "export"))


def _copy(uri: str, path: Path) -> Ended:
    """Export a server that gives one object on a page, so that there are pages to be missed."""
    with ExitStack() as patches:
        for owner, name, one in PAGES:
            patches.enter_context(mock.patch.object(owner, name, one))
        return migrate("run", uri, path / "export", *SERIAL, "--state", path / "state.db")


def test_answers_given_again_make_the_same_export(recorded: Recorded, tmp_path: Path) -> None:
    with playing(recorded.answers):
        assert _copy(recorded.uri, tmp_path).code == 0
    assert count_in(tmp_path / "export") == recorded.counts


@pytest.mark.parametrize(
    ("route", "path", "change"),
    [
        pytest.param(
            "logged-models/search",
            ("models", 0, "info", "tags"),
            False,
            marks=pytest.mark.thorough,
        ),
        pytest.param("logged-models/search", ("models", 0), "text", marks=pytest.mark.thorough),
        pytest.param(
            "registered-models/search",
            ("registered_models", 0, "latest_versions"),
            math.inf,
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            "registered-models/search",
            ("registered_models", 0, "tags"),
            5,
            marks=pytest.mark.thorough,
        ),
        ("model-versions/search", ("model_versions", 0, "name"), 17),
        ("mcp-servers", ("mcp_servers",), 1.5),
        pytest.param(
            "experiments/search",
            ("experiments", 0, "lifecycle_stage"),
            "gone",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_what_is_malformed_in_one_listing_of_several_hides_nothing(
    recorded: Recorded, tmp_path: Path, route: str, path: tuple[str | int, ...], change: object
) -> None:
    mutation = Mutation(path, change)
    places = [
        (place, answer)
        for place in recorded.answers.places()
        if route in place[0][1] and path in paths_in(answer := recorded.answers.json_at(place))
    ]
    assert places
    for number, (place, answer) in enumerate(places):
        body = json.dumps(mutation.of(answer)).encode()
        with playing(recorded.answers.changed(place, body)):
            ended = _copy(recorded.uri, tmp_path / str(number))
        check_ended(ended)
        if ended.code == 0:
            assert count_in(tmp_path / str(number) / "export") == recorded.counts, ended.output


def test_a_history_whose_pages_come_to_no_end_is_a_loss(recorded: Recorded, tmp_path: Path) -> None:
    answers = dict(recorded.answers.answers)
    for (method, url, body), [first, *_] in recorded.answers.answers.items():
        if "metrics/get-history" in url:
            again = json.dumps({**first.json, "next_page_token": "again"}).encode()
            endless = [Answer(200, {}, again)]
            answers[method, url, body] = answers[method, f"{url}&page_token=again", body] = endless
    with playing(Recording(answers)):
        ended = _copy(recorded.uri, tmp_path)
    assert ended.code == 3
    assert "comes to no end" in ended.output


def _case(recorded: Recorded) -> Case:
    """What has to hold whatever is wrong with one answer."""
    places = recorded.answers.places()

    def case(random: Random, folder: Path) -> None:
        place = random.choice(places)
        wrong = any_body(recorded.answers.json_at(place), random)
        with playing(recorded.answers.changed(place, wrong.body)):
            ended = _copy(recorded.uri, folder)
        check_ended(ended)
        if ended.code == 0 and not wrong.may_hide:
            told = f"{place}: {wrong.body[:500]!r}"
            assert count_in(folder / "export") == recorded.counts, f"{told}\n{ended.output}"

    return case


@seeds(10, 4_000)
def test_one_wrong_answer_costs_what_it_tells_of(recorded: Recorded, seeds: range) -> None:
    each(seeds, _case(recorded))


@planted(
    TAGS_ARE_NONE,
    LISTS_ARE_EMPTY,
    A_TOKEN_IS_THE_END,
    UNREADABLE_IS_NOTHING,
)
def test_wrong_answers_find_a_planted_defect(recorded: Recorded, defect: Defect) -> None:
    assert found(defect, _case(recorded))
