"""The state machine of a running migration: laws that hold for any plan and any order of ends."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.graph.progress import Progress
from migrate.kinds import Action, Kind, Ref, Step
from migrate.outcomes import TaskStatus
from migrate.plans import PlannedTask

KINDS = (Kind.EXPERIMENT, Kind.RUN)
WORK = (Action.CREATE, Action.ADOPT, Action.UPDATE)


def task(
    number: int, needs: Sequence[int] = (), *, kind: Kind = Kind.RUN, **changes: object
) -> PlannedTask:
    fields = {"action": Action.CREATE, "container": "1", **changes}
    return PlannedTask(
        ref=Ref(kind, str(number)),
        name=f"task {number}",
        needs=tuple(Ref(kind, str(need)) for need in needs),
        **fields,  # type: ignore[arg-type]
    )


@st.composite
def plans(draw: st.DrawFn) -> list[PlannedTask]:
    """Any acyclic plan: kinds, containers, what is left out, and what is done already."""
    tasks: list[PlannedTask] = []
    for number in range(draw(st.integers(0, 14))):
        earlier = draw(st.sets(st.sampled_from(tasks), max_size=3)) if tasks else set()
        turns = draw(st.sets(st.sampled_from(tasks), max_size=2)) if tasks else set()
        action = draw(st.sampled_from(Action))
        # Only what needs nothing that is still open can be done before the start.
        settled = all(need.status is not TaskStatus.PENDING for need in earlier)
        done = settled and action in WORK and draw(st.booleans())
        tasks.append(
            PlannedTask(
                ref=Ref(draw(st.sampled_from(KINDS)), str(number), draw(st.sampled_from(Step))),
                name="",
                action=action,
                container=draw(st.sampled_from("ab")),
                needs=tuple(need.ref for need in earlier),
                after=tuple(other.ref for other in turns),
                status=TaskStatus.DONE if done else TaskStatus.PENDING,
            )
        )
    return draw(st.permutations(tasks))


@dataclass
class Walk:
    """One random walk through a plan to its end: takes, ends and second attempts in any order."""

    tasks: Sequence[PlannedTask]
    seed: int
    ends: Counter[Ref] = field(default_factory=Counter)
    order: list[Ref] = field(default_factory=list)
    batches: list[list[Ref]] = field(default_factory=list)
    blocked: dict[Ref, Ref] = field(default_factory=dict)
    failed: set[Ref] = field(default_factory=set)
    refused: set[Ref] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.progress = Progress(self.tasks)
        self.draw = random.Random(self.seed)
        self.to_its_end()

    def to_its_end(self) -> None:
        taken: list[Ref] = []
        while self.progress.unfinished:
            if self.progress.next() and (not taken or self.draw.random() < 0.5):
                batch = self.progress.take(self.draw.randint(1, 4))
                self.batches.append(batch)
                taken += batch
                continue
            assert taken, "nothing is ready and nothing under way, yet not all is finished"
            self.end(taken.pop(self.draw.randrange(len(taken))))
            self.counts_add_up(taken)

    def end(self, ref: Ref) -> None:
        what = self.draw.choice(["done", "done", "failed", "refused", "again"])
        if what == "again":
            self.progress.put_back(ref)
            return
        status = TaskStatus.DONE if what == "done" else TaskStatus.FAILED
        if what == "refused":
            self.refused.add(ref)
        newly = self.progress.end(ref, status, refused=what == "refused")
        self.ends.update([ref, *newly])
        self.order.append(ref)
        if status is TaskStatus.FAILED:
            self.failed.add(ref)
            assert set(newly.values()) <= {ref}
        else:
            assert newly == {}
        self.blocked |= newly

    def status(self, ref: Ref) -> TaskStatus:
        left = {task.ref: status for task, status in self.progress.not_done()}
        return left.get(ref, TaskStatus.DONE)

    def counts_add_up(self, taken: Sequence[Ref]) -> None:
        pending = sum(status is TaskStatus.PENDING for _, status in self.progress.not_done())
        assert self.progress.unfinished == pending
        assert self.progress.ready_count <= pending - len(taken)


@given(plans(), st.integers())
def test_every_task_ends_exactly_once_in_an_order_that_respects_what_it_needs(
    tasks: list[PlannedTask], seed: int
) -> None:
    walk = Walk(tasks, seed)

    open_tasks = [t for t in tasks if t.is_work and t.status is TaskStatus.PENDING]
    assert walk.ends == Counter(t.ref for t in open_tasks)
    assert walk.progress.ready_count == 0
    assert walk.progress.take(9) == []

    work = {t.ref for t in tasks if t.is_work}
    place = {ref: number for number, ref in enumerate(walk.order)}
    for waiting in open_tasks:
        if waiting.ref in place:
            for need in set(waiting.needs) & work:
                assert walk.status(need) is TaskStatus.DONE
                assert place.get(need, -1) < place[waiting.ref]
            for earlier in set(waiting.after) & work:
                done = walk.status(earlier) is TaskStatus.DONE
                assert done or earlier in walk.refused
                assert place.get(earlier, -1) < place[waiting.ref]


@given(plans(), st.integers())
def test_a_failure_blocks_exactly_what_needs_it_and_is_named_as_the_cause(
    tasks: list[PlannedTask], seed: int
) -> None:
    walk = Walk(tasks, seed)

    blocked = {ref: below(tasks, ref, ref in walk.refused) for ref in walk.failed}
    assert set(walk.blocked) == set().union(*blocked.values())
    for ref, cause in walk.blocked.items():
        assert ref in blocked[cause]
        assert walk.status(ref) is TaskStatus.BLOCKED


def below(tasks: Sequence[PlannedTask], failed: Ref, refused: bool) -> set[Ref]:
    """What a failure holds up: all that needs it or, if it may be made later, comes after it.

    That goes on from each of these, since they may be made later in any case.
    """
    open_refs = {t.ref for t in tasks if t.is_work and t.status is TaskStatus.PENDING}
    graph = nx.DiGraph()
    graph.add_nodes_from(open_refs)
    for t in tasks:
        edges = {*t.needs, *(ref for ref in t.after if ref != failed or not refused)}
        graph.add_edges_from((ref, t.ref) for ref in edges if {ref, t.ref} <= open_refs)
    found: set[Ref] = nx.descendants(graph, failed)
    return found


@given(plans(), st.integers())
def test_a_batch_is_of_one_kind_and_container(tasks: list[PlannedTask], seed: int) -> None:
    walk = Walk(tasks, seed)
    for batch in walk.batches:
        among = [planned for planned in tasks if planned.ref in batch]
        assert len({(t.ref.kind, t.container) for t in among}) == 1
        assert len({t.ref for t in among}) == len(batch)


class TestTurns:
    """What only comes after something else."""

    FIRST, SECOND, THIRD = (Ref(Kind.RUN, n) for n in "123")

    def progress(self) -> Progress:
        return Progress(
            [task(1), task(2, after=(self.FIRST,)), task(3, needs=[2], after=(self.FIRST,))]
        )

    def taken_first(self) -> Progress:
        progress = self.progress()
        assert progress.take(9) == [self.FIRST]
        return progress

    def test_it_waits_for_the_end(self) -> None:
        progress = self.taken_first()
        assert progress.take(9) == []
        assert progress.end(self.FIRST, TaskStatus.DONE) == {}
        assert progress.take(9) == [self.SECOND]
        assert progress.end(self.SECOND, TaskStatus.DONE) == {}
        assert progress.take(9) == [self.THIRD]

    def test_a_refusal_lets_it_go_on(self) -> None:
        progress = self.taken_first()
        assert progress.end(self.FIRST, TaskStatus.FAILED, refused=True) == {}
        assert progress.take(9) == [self.SECOND]

    def test_a_failure_that_may_be_made_good_holds_it_up(self) -> None:
        progress = self.taken_first()
        blocked = progress.end(self.FIRST, TaskStatus.FAILED)
        assert blocked == dict.fromkeys([self.SECOND, self.THIRD], self.FIRST)
        assert progress.unfinished == 0

    def test_what_a_refusal_blocks_may_be_made_good_and_holds_up_what_follows(self) -> None:
        progress = Progress([task(1), task(2, needs=[1]), task(3, after=(self.SECOND,))])
        progress.take(9)
        blocked = progress.end(self.FIRST, TaskStatus.FAILED, refused=True)
        assert blocked == dict.fromkeys([self.SECOND, self.THIRD], self.FIRST)

    def test_what_is_needed_as_well_is_needed(self) -> None:
        progress = Progress([task(1), task(2, needs=[1], after=(self.FIRST,))])
        progress.take(9)
        blocked = progress.end(self.FIRST, TaskStatus.FAILED, refused=True)
        assert blocked == {self.SECOND: self.FIRST}

    def test_it_waits_for_nothing_that_is_done_or_left_out(self) -> None:
        tasks = [
            task(1, status=TaskStatus.DONE),
            task(2, action=Action.SKIP),
            task(3, after=(self.FIRST, self.SECOND, Ref(Kind.RUN, "nowhere"))),
        ]
        assert Progress(tasks).take(9) == [self.THIRD]


def test_experiments_take_turns() -> None:
    tasks = [task(number, container=container) for number, container in enumerate("aaabbb")]
    progress = Progress(tasks)
    containers = [progress.task(progress.take(1)[0]).container for _ in tasks]
    assert containers == ["a", "b", "a", "b", "a", "b"]


def test_a_task_put_back_is_taken_again_and_can_still_fail() -> None:
    progress = Progress([task(1), task(2, needs=[1])])
    (first,) = progress.take(5)
    progress.put_back(first)
    assert progress.take(5) == [first]
    assert progress.end(first, TaskStatus.FAILED) == {Ref(Kind.RUN, "2"): first}
    assert progress.unfinished == 0


def test_what_is_done_before_the_start_holds_nothing_up() -> None:
    tasks = [task(1, status=TaskStatus.DONE), task(2, needs=[1])]
    assert Progress(tasks).take(5) == [Ref(Kind.RUN, "2")]


@pytest.mark.parametrize(
    "status", [TaskStatus.PENDING, TaskStatus.BLOCKED, TaskStatus.SKIPPED], ids=str
)
def test_only_done_and_failed_end_an_attempt(status: TaskStatus) -> None:
    progress = Progress([task(1)])
    (ref,) = progress.take(1)
    with pytest.raises(ValueError, match="cannot become"):
        progress.end(ref, status)


def test_a_task_that_was_not_taken_cannot_end() -> None:
    progress = Progress([task(1)])
    with pytest.raises(ValueError, match="cannot become"):
        progress.end(Ref(Kind.RUN, "1"), TaskStatus.DONE)
