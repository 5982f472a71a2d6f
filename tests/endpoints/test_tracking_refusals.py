"""Finding out which of several things sent together is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from migrate.endpoints.tracking.refusals import NOTHING_TAKEN, deliver, refusals
from migrate.errors import MigrateError, NotAuthenticated, Refused, ServerFault, Unavailable


class Server:
    """Takes numbers, but for some; it notes what it was asked and what it took."""

    def __init__(self, bad: Sequence[int], problem: type[MigrateError] = Refused) -> None:
        self.bad = set(bad)
        self.problem = problem
        self.requests = 0
        self.took: list[int] = []
        self.down = False

    def take(self, numbers: Sequence[int], _: int) -> None:
        self.requests += 1
        if self.down or self.bad & set(numbers):
            raise self.problem(f"one of {len(numbers)} is bad")
        self.took += numbers


@pytest.mark.parametrize("problem", [Refused, ServerFault])
@pytest.mark.parametrize("bad", [[], [0], [999], [500, 501], [1, 2, 3, 700]])
def test_all_but_the_refused_arrive_once_in_few_requests(
    bad: list[int], problem: type[MigrateError]
) -> None:
    server = Server(bad, problem)
    refused = deliver(server.take, range(1000))
    assert [number for number, _ in refused] == bad
    assert sorted(server.took) == [number for number in range(1000) if number not in bad]
    assert server.requests <= 1 + 32 * len(bad)


def test_what_is_too_much_together_arrives_in_parts() -> None:
    server = Server([])

    def take(numbers: Sequence[int], tries: int) -> None:
        if len(numbers) > 100:
            raise Refused("too large")
        server.take(numbers, tries)

    assert deliver(take, range(1000)) == []
    assert server.took == list(range(1000))


def test_a_server_that_fails_at_nothing_as_well_is_out_of_order() -> None:
    server = Server([], ServerFault)
    server.down = True
    with pytest.raises(ServerFault):
        deliver(server.take, range(1000))
    assert server.requests == 2


def test_a_server_that_takes_nothing_is_not_asked_for_every_member() -> None:
    with pytest.raises(Refused):
        deliver(Server(range(1000)).take, range(1000))
    few = Server(range(NOTHING_TAKEN - 1))
    assert len(deliver(few.take, range(NOTHING_TAKEN - 1))) == NOTHING_TAKEN - 1


@pytest.mark.parametrize("problem", [Unavailable, NotAuthenticated])
def test_what_is_not_about_the_members_is_raised(problem: type[MigrateError]) -> None:
    server = Server([3], problem)
    with pytest.raises(problem):
        deliver(server.take, range(10))
    assert server.requests == 1


def test_several_refusals_of_one_name_are_one_loss_with_their_number() -> None:
    problems = [
        ("metric a", Refused("first")),
        ("metric b", Refused("x")),
        ("metric a", Refused("y")),
    ]
    texts = [(loss.what, loss.reason) for loss in refusals(problems)]
    assert texts == [
        ("metric a", "2 times refused by the target: first"),
        ("metric b", "refused by the target: x"),
    ]
