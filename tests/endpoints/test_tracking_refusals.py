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
    refused = deliver(server.take, range(1000), str)
    assert [name for name, _ in refused] == list(map(str, bad))
    assert sorted(server.took) == [number for number in range(1000) if number not in bad]
    assert server.requests <= 1 + 32 * len(bad)


def test_what_is_too_much_together_arrives_in_parts() -> None:
    server = Server([])

    def take(numbers: Sequence[int], tries: int) -> None:
        if len(numbers) > 100:
            raise Refused("too large")
        server.take(numbers, tries)

    assert deliver(take, range(1000), str) == []
    assert server.took == list(range(1000))


def test_a_server_that_fails_at_nothing_as_well_is_out_of_order() -> None:
    server = Server([], ServerFault)
    server.down = True
    with pytest.raises(ServerFault):
        deliver(server.take, range(1000), str)
    assert server.requests == 2


def test_a_server_that_takes_nothing_is_not_asked_for_every_member() -> None:
    with pytest.raises(Refused):
        deliver(Server(range(1000)).take, range(1000), str)
    few = Server(range(NOTHING_TAKEN - 1))
    assert len(deliver(few.take, range(NOTHING_TAKEN - 1), str)) == NOTHING_TAKEN - 1


def test_a_name_of_which_nothing_is_taken_is_not_tried_member_by_member() -> None:
    server = Server(range(300, 900))
    refused = deliver(server.take, range(1000), lambda number: f"hundreds {number // 100}")
    assert {name for name, _ in refused} == {f"hundreds {n}" for n in range(3, 9)}
    assert len(refused) == 600
    assert server.took == [*range(300), *range(900, 1000)]
    assert server.requests < 250


@pytest.mark.parametrize("problem", [Unavailable, NotAuthenticated])
def test_what_is_not_about_the_members_is_raised(problem: type[MigrateError]) -> None:
    server = Server([3], problem)
    with pytest.raises(problem):
        deliver(server.take, range(10), str)
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
