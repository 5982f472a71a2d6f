"""How many versions are read of a target, while those of one model are copied one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import pytest

from migrate.endpoints.addresses import Address
from migrate.errors import AnswerLost
from migrate.kinds import Action, Kind, Ref
from migrate.objects import ModelVersion, RegisteredModel
from migrate.outcomes import Outcome
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.model_version import copy_versions
from tests.graph.memory import MemoryServer

ADDRESS = Address(uri="http://unused", side="source")
VERSIONS = 60


class World:
    """A model with many versions at the source, and without any on the target."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.source, self.target = MemoryServer("source"), MemoryServer("target")
        for server in (self.source, self.target):
            server.registered_held["M"] = RegisteredModel(name="M")
            server.highest["M"] = 0
        for number in numbers:
            version = ModelVersion(name="M", version=number, source="s3://bucket/x")
            self.source.versions_held["M", number] = version
        self.numbers = numbers
        self.read = 0
        self._list = self.target.model_versions.list
        self.target.model_versions.list = self._counted  # type: ignore[method-assign]

    def _counted(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        for version in self._list(models):
            self.read += 1
            yield version

    def copy(self, number: int, first_free: int, attempt: int = 1) -> Outcome:
        job = Job(
            ref=Ref(Kind.MODEL_VERSION, f"M/{number}"),
            name="",
            action=Action.CREATE,
            number=number,
            first_free=first_free,
            attempt=attempt,
        )
        batch = Batch(
            kind=Kind.MODEL_VERSION,
            jobs=(job,),
            source=ADDRESS,
            target=ADDRESS,
            policy=Policy(migration_id="m1"),
            container="M",
            target_container="M",
        )
        (outcome,) = copy_versions(batch, self.source, self.target)
        return outcome

    @property
    def held(self) -> list[int]:
        return sorted(number for _, number in self.target.versions_held)


def test_none_are_listed_where_the_plan_knows_the_numbers() -> None:
    world = World(range(1, VERSIONS + 1))
    for number in world.numbers:
        assert not world.copy(number, first_free=number).error
    assert world.held == list(world.numbers)
    assert world.read == 0


def test_each_is_listed_once_where_a_killed_try_may_have_left_something() -> None:
    world = World(range(1, VERSIONS + 1))
    half = VERSIONS // 2
    for number in world.numbers[:half]:
        world.copy(number, first_free=number)
    writes = len(world.target.writes)
    for number in world.numbers[:half]:
        assert world.copy(number, first_free=0).target_id == f"M/{number}"
    assert len(world.target.writes) == writes
    for number in world.numbers[half:]:
        assert not world.copy(number, first_free=0).error
    assert world.held == list(world.numbers)
    assert world.read <= VERSIONS


def test_gaps_are_filled_and_cleared_without_listing_them_all_for_each() -> None:
    world = World(range(2, 2 * VERSIONS + 1, 2))
    for number in world.numbers:
        assert not world.copy(number, first_free=number - 1).error
    assert world.held == list(world.numbers)
    assert world.read <= VERSIONS


def test_what_a_lost_answer_has_made_is_seen_by_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World((1, 2))
    world.copy(1, first_free=0)
    create = world.target.model_versions.create

    def loses_the_answer(version: ModelVersion) -> int:
        create(version)
        raise AnswerLost("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.target.model_versions, "create", loses_the_answer)
        assert world.copy(2, first_free=0).retryable
    assert world.copy(2, first_free=0, attempt=2).target_id == "M/2"
    assert world.held == [1, 2]


def test_one_that_was_deleted_since_it_was_listed_is_seen_to_be_gone() -> None:
    world = World((1, 2, 3))
    for number in (1, 2):
        world.copy(number, first_free=0)
    del world.target.versions_held["M", 2]
    outcome = world.copy(2, first_free=0)
    assert "used up" in outcome.error
    # A server never gives a number again, and what was made in trying goes.
    assert world.held == [1]


def test_a_copy_under_a_wrong_number_goes_once_the_right_one_is_there() -> None:
    world = World((1, 2))
    for number in (1, 2):
        world.copy(number, first_free=0)
    twin = world.target.versions_held["M", 2]
    world.target.versions_held["M", 3] = dataclasses.replace(twin, version=3)
    assert world.copy(2, first_free=0, attempt=2).target_id == "M/2"
    assert world.held == [1, 2]
