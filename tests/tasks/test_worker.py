"""The function that is sent to an executor: an outcome for every job, whatever happens."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from migrate import worker
from migrate.endpoints.addresses import Address
from migrate.errors import (
    AnswerLost,
    EndpointError,
    MigrateError,
    NotAuthenticated,
    StorageFull,
    Unavailable,
)
from migrate.executors.local import LocalExecutor
from migrate.kinds import Action, Kind, Ref
from migrate.outcomes import Outcome, TaskStatus
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.carriers import Runs
from migrate.tasks.outcomes import as_known, failed
from tests.graph.memory import MemoryServer

SOURCE = Address(uri="http://ada:s3cret@source", side="source")
TARGET = Address(uri="http://target", side="target")


@pytest.fixture
def copier(monkeypatch: pytest.MonkeyPatch) -> dict[Kind, Any]:
    """Endpoints in memory, and what carries the runs of a batch to replace."""
    monkeypatch.setitem(worker._sources, SOURCE, MemoryServer())
    monkeypatch.setitem(worker._targets, TARGET, MemoryServer())
    copiers: dict[Kind, Any] = {}
    monkeypatch.setattr(Runs, "carry", lambda _, *given: copiers[Kind.RUN](*given))
    return copiers


def job(ident: str, **changes: Any) -> Job:
    return Job(ref=Ref(Kind.RUN, ident), name="", action=Action.CREATE, **changes)


def batch(*idents: str) -> Batch:
    return Batch(
        kind=Kind.RUN,
        jobs=tuple(map(job, idents)),
        source=SOURCE,
        target=TARGET,
        policy=Policy(migration_id="m1"),
        container="1",
        target_container="2",
    )


@pytest.mark.parametrize(
    ("problem", "error", "retryable"),
    [
        (Unavailable("no answer"), "no answer", True),
        (EndpointError("broken"), "broken", False),
        (ZeroDivisionError("oops"), "{}: unexpected ZeroDivisionError: oops", False),
        (None, "the batch ended without a word on this task", False),
    ],
    ids=["unavailable", "error", "defect", "silence"],
)
def test_what_a_batch_ends_with_is_the_outcome_of_all_jobs_that_are_left(
    copier: dict[Kind, Any], problem: Exception | None, error: str, retryable: bool
) -> None:
    def one_and_then(given: Batch, *_: object) -> Iterator[Outcome]:
        if given.jobs[0].ref.id == "a":
            yield Outcome(ref=Ref(Kind.RUN, "a"), status=TaskStatus.DONE)
        if problem is not None:
            raise problem

    copier[Kind.RUN] = one_and_then
    outcomes = worker.execute(batch("a", "b", "c"))
    assert [(out.ref.id, str(out.status)) for out in outcomes] == [
        ("a", "done"),
        ("b", "failed"),
        ("c", "failed"),
    ]
    assert [(out.error, out.retryable) for out in outcomes[1:]] == [
        (error.format(f"run {ident!r}"), retryable) for ident in ("b", "c")
    ]


@pytest.mark.parametrize(
    "problem",
    [ZeroDivisionError("oops"), EndpointError("no such name: b"), KeyError("b")],
    ids=["defect", "error", "key"],
)
@pytest.mark.parametrize("done", [0, 1], ids=["at the start", "on the way"])
def test_what_one_object_brings_about_is_its_own_end_and_not_that_of_the_others(
    copier: dict[Kind, Any], problem: Exception, done: int
) -> None:
    attempts: dict[str, int] = {}

    def spoilt_by_b(given: Batch, *_: object) -> Iterator[Outcome]:
        idents = [job.ref.id for job in given.jobs]
        for item in given.jobs[: done if "b" in idents else None]:
            attempts[item.ref.id] = item.attempt
            yield Outcome(ref=item.ref, status=TaskStatus.DONE)
        if "b" in idents:
            raise problem

    copier[Kind.RUN] = spoilt_by_b
    ended = {out.ref.id: out for out in worker.execute(batch("a", "b", "c"))}
    if done:
        assert attempts.pop("a") == 1
    assert {ident: str(out.status) for ident, out in ended.items() if ident != "b"} == {
        "a": "done",
        "c": "done",
    }
    # Nobody knows how far the others got, so they are looked for before they are created.
    assert set(attempts.values()) == {2}


def test_what_says_nothing_about_one_object_is_not_asked_again_for_each(
    copier: dict[Kind, Any],
) -> None:
    asked = 0

    def down(*_: object) -> Iterator[Outcome]:
        nonlocal asked
        asked += 1
        raise Unavailable("no answer")

    copier[Kind.RUN] = down
    outcomes = worker.execute(batch("a", "b", "c"))
    assert {out.retryable for out in outcomes} == {True}
    assert asked == 1


def test_an_endpoint_that_cannot_be_opened_fails_the_batch() -> None:
    bad = Batch(
        kind=Kind.RUN,
        jobs=(job("a"),),
        source=Address(uri="http://host:port", side="source"),
        target=TARGET,
        policy=Policy(migration_id="m1"),
    )
    (outcome,) = worker.execute(bad)
    assert (outcome.status, outcome.retryable) == ("failed", False)
    assert "not a usable tracking URI" in outcome.error


@pytest.mark.parametrize("threads", [0, 2])
def test_every_executor_gives_a_future(
    copier: dict[Kind, Any], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    copier[Kind.RUN] = lambda *_: iter(())
    with closing(LocalExecutor(TARGET, threads)) as executor:
        (outcome,) = executor.submit(batch("a")).result(timeout=10)
        assert outcome.status == "failed"
        monkeypatch.setattr(worker, "execute", lambda _: 1 / 0)
        broken = executor.submit(batch("a"))
        assert isinstance(broken.exception(timeout=10), ZeroDivisionError)


def test_batches_and_outcomes_travel_to_other_processes_and_show_no_password() -> None:
    sent = batch("a", "b")
    assert pickle.loads(pickle.dumps(sent)) == sent
    assert "s3cret" not in repr(sent)
    outcome = failed(job("a"), Unavailable("no answer", "wait", 2.5), "copy", 1.0)
    assert pickle.loads(pickle.dumps(outcome)) == outcome


@pytest.mark.parametrize(
    ("problem", "retryable", "stops"),
    [
        (Unavailable("x"), True, False),
        (AnswerLost("x"), True, False),
        (EndpointError("x"), False, False),
        (StorageFull("x"), False, True),
        (NotAuthenticated("x"), False, True),
        (MigrateError("x"), False, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_which_errors_are_tried_again_and_which_stop_all(
    problem: MigrateError, retryable: bool, stops: bool
) -> None:
    outcome = failed(job("a", target_id="known"), problem)
    assert (outcome.retryable, outcome.stops, outcome.target_id) == (retryable, stops, "known")
    assert pickle.loads(pickle.dumps(problem)).message == problem.message


def test_half_a_character_in_a_name_is_told_and_no_defect() -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "\ud800".encode()
    told = as_known(caught.value, "artifact 'x'")
    assert "half a character" in told.message
    assert "defect" not in told.hint
