"""A source that answers one thing wrong: the rest arrives, and the exit code says so."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from unittest import mock

import pytest
from hypothesis import given, settings

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.tracking.logged_models import LoggedModelCalls
from tests.malformed.replay import Recording, playing, recording
from tests.malformed.worlds import Ended, check_ended, count_in, migrate, seed_little
from tests.mutations import MANY, SEEDS, any_mutation
from tests.seed_models import ModelSource


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
    with recording() as answers:
        # What is asked instead, where GraphQL is no use.
        with mock.patch.object(LoggedModelCalls, "_graphql", False):
            assert _copy(fresh_source.uri, path / "without").code == 0
        ended = _copy(fresh_source.uri, path)
    assert ended.code == 0, ended.output
    return Recorded(fresh_source.uri, answers, count_in(path / "export"))


def _copy(uri: str, path: Path) -> Ended:
    return migrate("run", uri, path / "export", "--serial", "--state", path / "state.db")


def test_answers_given_again_make_the_same_export(recorded: Recorded, tmp_path: Path) -> None:
    with playing(recorded.answers):
        assert _copy(recorded.uri, tmp_path).code == 0
    assert count_in(tmp_path / "export") == recorded.counts


@pytest.mark.thorough
@settings(max_examples=12, **MANY)
@given(seed=SEEDS)
def test_one_wrong_answer_costs_what_it_tells_of(recorded: Recorded, seed: int) -> None:
    _with_one_wrong_answer(recorded, seed)


@pytest.mark.thorough
@settings(max_examples=2000, **MANY)
@given(seed=SEEDS)
def test_two_thousand_wrong_answers(recorded: Recorded, seed: int) -> None:
    _with_one_wrong_answer(recorded, seed)


def _with_one_wrong_answer(recorded: Recorded, seed: int) -> None:
    random = Random(seed)
    place = random.choice(recorded.answers.places())
    answer = recorded.answers.json_at(place)
    mutation = any_mutation(answer, random)
    body = json.dumps(mutation.of(answer)).encode()
    with tempfile.TemporaryDirectory() as folder, playing(recorded.answers.changed(place, body)):
        ended = _copy(recorded.uri, Path(folder))
        check_ended(ended)
        if ended.code == 0 and not mutation.may_hide:
            assert count_in(Path(folder) / "export") == recorded.counts, ended.output
