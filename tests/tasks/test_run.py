"""Copying runs: what arrives, what is left alone, and what happens when one of them fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from migrate.endpoints.addresses import Address
from migrate.endpoints.answers import Histories
from migrate.errors import AnswerLost, EndpointError, NotAuthenticated, Refused, Unavailable
from migrate.kinds import Action, Kind, Ref
from migrate.objects import ArtifactRoot, Metric, Run
from migrate.origins import LOSSES, MARK, ORIGIN, losses_from_tags, without_bookkeeping
from migrate.outcomes import Loss, Outcome
from migrate.tasks import histories as histories_of_runs
from migrate.tasks.batches import PATIENT_ATTEMPTS, Batch, Job, Policy
from migrate.tasks.run import copy_runs
from tests.graph import loading
from tests.graph.memory import MemoryRuns, MemoryServer

ADDRESS = Address(uri="http://unused", side="source")
RUN: dict[str, Any] = {
    "run_id": "a",
    "status": "FAILED",
    "params": {"depth": "3"},
    "tags": {"team": "risk", "mlflow.parentRunId": "parent", "mlflow.rootRunId": "a"},
    "points": [["loss", 0.5, 1, 0], ["loss", 0.25, 2, 1], ["auc", 0.9, 1, 0]],
    "inputs": [{"dataset": {"name": "train"}, "tags": []}],
}


class World:
    """A source with some runs, and a target that has the copy of their experiment."""

    def __init__(self, *runs: Mapping[str, Any], **capabilities: Any) -> None:
        content = {"experiment_id": "1", "name": "fraud", "runs": runs or (RUN,)}
        self.source = loading.server("source", {"experiments": [content]})
        self.source.files = {"a": {"model/weights": b"abc", "empty": b""}}
        copy = {"experiment_id": "71", "name": "fraud", "copy_of": "1"}
        self.target = loading.server(
            "target", {"experiments": [copy], "capabilities": capabilities}, self.source
        )
        #: What the user chose, as fields of ``Policy``.
        self.choices: dict[str, Any] = {}

    def copy(self, *jobs: Job) -> dict[str, Outcome]:
        policy = Policy(migration_id="m1", **self.choices)
        batch = Batch(
            kind=Kind.RUN,
            jobs=jobs or (job(),),
            source=ADDRESS,
            target=ADDRESS,
            policy=policy,
            container="1",
            target_container="71",
        )
        outcomes = {out.ref.id: out for out in copy_runs(batch, self.source, self.target)}
        assert outcomes.keys() == {item.ref.id for item in batch.jobs}
        assert self.source.writes == []
        return outcomes

    def copied(self, **changes: Any) -> Outcome:
        """Copy run ``a`` once more, knowing what the outcome before told."""
        return self.copy(job(**changes))["a"]


def job(run_id: str = "a", **changes: Any) -> Job:
    copies = {Ref(Kind.RUN, "parent"): "copy-of-parent"}
    fields = {"name": "", "action": Action.CREATE, "copies": copies}
    return Job(ref=Ref(Kind.RUN, run_id), **fields | changes)


def test_a_copy_has_all_that_its_original_has() -> None:
    world = World()
    outcome = world.copied()
    assert (outcome.status, outcome.wrote, outcome.losses) == ("done", True, ())
    assert (outcome.files_sent, outcome.bytes_sent) == (2, 3)

    original, copy = world.source.runs_held["a"], world.target.runs_held[outcome.target_id]
    same = ("name", "user_id", "status", "start_time", "end_time", "params", "inputs")
    assert [getattr(copy, f) for f in same] == [getattr(original, f) for f in same]
    assert without_bookkeeping(copy.tags) == {
        "team": "risk",
        "mlflow.parentRunId": "copy-of-parent",
        "mlflow.rootRunId": copy.run_id,
    }
    assert (copy.tags[ORIGIN], copy.tags[MARK]) == ("a", outcome.mark)
    assert sorted(world.target.points[copy.run_id]) == sorted(world.source.points["a"])
    assert world.target.files[copy.run_id] == world.source.files["a"]
    assert world.target.writes[-2:] == ["write_tags", "finish"]


def test_a_complete_copy_is_written_to_no_more() -> None:
    world = World()
    first = world.copied()
    world.target.writes.clear()
    again = world.copied(target_id=first.target_id, mark=first.mark)
    assert (again.wrote, again.mark, again.files_sent) == (False, first.mark, 0)
    assert world.target.writes == []


def test_what_is_chosen_later_completes_a_copy_made_without_it_once() -> None:
    world = World()
    first = world.copied()
    world.choices = {"notebook_formats": ("HTML",)}
    second = world.copied(target_id=first.target_id, mark=first.mark)
    assert (second.wrote, second.target_id) == (True, first.target_id)
    third = world.copied(target_id=first.target_id, mark=second.mark)
    assert (third.wrote, third.mark) == (False, second.mark)


def grow_params(world: World) -> None:
    _change(world.source, params={"depth": "3", "width": "4"})


def grow_points(world: World) -> None:
    # The newest point is older than the latest: a search shows no difference.
    world.source.points["a"].append(Metric("loss", 0.7, 1, 0))


def grow_files(world: World) -> None:
    world.source.files["a"]["more"] = b"x"


def finish(world: World) -> None:
    _change(world.source, status="FINISHED", end_time=9_999)


def delete(world: World) -> None:
    _change(world.source, lifecycle_stage="deleted")


def change_the_copy(world: World) -> None:
    copy = next(iter(world.target.runs_held.values()))
    _change(world.target, copy.run_id, lifecycle_stage="deleted")


def _change(server: MemoryServer, run_id: str = "a", **changes: Any) -> None:
    server.runs_held[run_id] = dataclasses.replace(server.runs_held[run_id], **changes)


@pytest.mark.parametrize(
    "change", [grow_params, grow_points, grow_files, finish, delete, change_the_copy]
)
def test_whatever_changed_the_same_copy_is_brought_up_to_date(change: Any) -> None:
    world = World()
    first = world.copied()
    change(world)
    again = world.copied(target_id=first.target_id, mark=first.mark, action=Action.UPDATE)
    assert (again.status, again.wrote, again.target_id) == ("done", True, first.target_id)
    assert len(world.target.runs_held) == 1

    original, copy = world.source.runs_held["a"], world.target.runs_held[first.target_id]
    same = ("params", "status", "end_time", "lifecycle_stage")
    assert [getattr(copy, f) for f in same] == [getattr(original, f) for f in same]
    assert sorted(world.target.points[copy.run_id]) == sorted(world.source.points["a"])
    assert world.target.files[copy.run_id] == world.source.files["a"]
    world.target.writes.clear()
    assert not world.copied(target_id=again.target_id, mark=again.mark).wrote
    assert world.target.writes == []


def test_a_parent_that_arrives_later_replaces_the_source_tag_in_what_mlflow_reads() -> None:
    world = World()
    first = world.copied(copies={})
    assert len(first.warnings) == 1
    again = world.copied(target_id=first.target_id, mark=first.mark)
    assert again.wrote
    copy = world.target.runs_held[first.target_id]
    assert copy.tags["mlflow.parentRunId"] == "copy-of-parent"


def test_a_run_whose_create_answer_was_lost_is_adopted_not_copied_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    create = world.target.runs.create

    def loses_the_answer(experiment_id: str, run: Run, **how: bool) -> None:
        create(experiment_id, run, **how)
        raise AnswerLost("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.target.runs, "create", loses_the_answer)
        lost = world.copied()
    assert (lost.status, lost.retryable, lost.target_id) == ("failed", True, "")
    again = world.copied(attempt=2)
    assert again.status == "done"
    assert list(world.target.runs_held) == [again.target_id]


def test_the_first_attempt_does_not_look_for_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryRuns, "find", None)
    assert World().copied().status == "done"


def test_a_half_made_copy_is_known_from_the_moment_it_exists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    def breaks(*_: object) -> None:
        raise Unavailable("no answer", retry_after=3.0)

    with monkeypatch.context() as patched:
        patched.setattr(world.target.artifacts, "put", breaks)
        half = world.copied()
    assert (half.status, half.retryable, half.retry_after) == ("failed", True, 3.0)
    assert world.target.runs_held[half.target_id].tags.get(MARK) is None
    again = world.copied(target_id=half.target_id, attempt=2)
    assert (again.status, again.target_id) == ("done", half.target_id)


def test_each_run_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(RUN, {**RUN, "run_id": "b"}, {**RUN, "run_id": "c"})
    create, histories = world.target.runs.create, world.source.runs.histories

    def refuses_one(experiment_id: str, run: Run, **how: bool) -> Any:
        if run.tags[ORIGIN] == "b":
            raise Refused("not this one")
        return create(experiment_id, run, **how)

    def cannot_read_one(runs: list[Run], budget: int) -> dict[str, Histories]:
        if any(run.run_id == "c" for run in runs):
            raise EndpointError("cannot be read")
        return histories(runs, budget)

    monkeypatch.setattr(world.target.runs, "create", refuses_one)
    monkeypatch.setattr(world.source.runs, "histories", cannot_read_one)
    outcomes = world.copy(job("a"), job("b"), job("c"), job("gone"))
    statuses = {run_id: str(outcome.status) for run_id, outcome in outcomes.items()}
    assert statuses == {"a": "done", "b": "failed", "c": "failed", "gone": "failed"}
    assert outcomes["b"].error == "not this one"
    assert "no longer at the source" in outcomes["gone"].error
    assert "If this comes back, the source still lists it" in outcomes["gone"].hint


def test_histories_too_long_to_hold_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [["loss", n / 7, n, n] for n in range(9)] + [["auc", 1.0, n, n] for n in range(2)]
    world = World({**RUN, "points": points}, {**RUN, "run_id": "b"})
    monkeypatch.setattr(histories_of_runs, "POINTS_HELD", 4)
    outcomes = world.copy(job("a"), job("b"))
    for run_id, outcome in outcomes.items():
        copied = world.target.points[outcome.target_id]
        assert sorted(copied) == sorted(world.source.points[run_id])
    # The mark does not depend on how the points came.
    monkeypatch.setattr(histories_of_runs, "POINTS_HELD", 1000)
    known = {"target_id": outcomes["a"].target_id, "mark": outcomes["a"].mark}
    assert not world.copied(**known).wrote
    monkeypatch.setattr(histories_of_runs, "POINTS_HELD", 4)
    assert not world.copied(**known).wrote


def test_metrics_the_target_refuses_are_left_out_and_told_every_time() -> None:
    world = World({**RUN, "points": [["a:b", 1, 1, 1], ["ok", 1, 1, 1]]}, colon_in_keys=False)
    first = world.copied()
    assert [point.key for point in world.target.points[first.target_id]] == ["ok"]
    again = world.copied(target_id=first.target_id, mark=first.mark)
    assert not again.wrote
    assert first.losses == again.losses == (Loss("metric a:b", first.losses[0].reason),)


class TestFiles:
    def test_one_the_source_cannot_deliver_is_a_loss_that_is_remembered(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = World()
        root = ArtifactRoot(Ref(Kind.RUN, "a"), "")
        listed = [*world.source.artifacts.list(root)]
        del world.source.files["a"]["model/weights"]
        with monkeypatch.context() as patched:
            patched.setattr(world.source.artifacts, "list", lambda _: listed)
            first = world.copied()
            assert [loss.what for loss in first.losses] == ["artifact model/weights"]
            again = world.copied(target_id=first.target_id, mark=first.mark)
            assert (again.wrote, again.losses) == (False, first.losses)

        # What has arrived after all is a loss no longer.
        world.source.files["a"]["model/weights"] = b"abc"
        grow_params(world)
        whole = world.copied(target_id=first.target_id, mark=first.mark)
        assert whole.losses == ()
        tags = world.target.runs_held[first.target_id].tags
        assert losses_from_tags(tags) == ()
        assert tags[f"{LOSSES}0"] == "[]"

    def test_a_name_the_target_refuses_is_a_loss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = World()

        def refuses(*_: object) -> None:
            raise Refused("bad name")

        monkeypatch.setattr(world.target.artifacts, "put", refuses)
        outcome = world.copied()
        assert outcome.status == "done"
        assert outcome.losses == (
            Loss("artifact empty", "refused by the target: bad name"),
            Loss("artifact model/weights", "refused by the target: bad name"),
        )

    @pytest.mark.parametrize("method", ["open", "list"])
    def test_a_source_that_is_not_there_is_tried_again_before_anything_counts_as_lost(
        self, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        world = World()

        def fails(*_: object) -> None:
            raise Unavailable("503")

        monkeypatch.setattr(world.source.artifacts, method, fails)
        early = world.copied(attempt=PATIENT_ATTEMPTS - 1)
        assert (early.status, early.retryable, early.losses) == ("failed", True, ())
        late = world.copied(attempt=PATIENT_ATTEMPTS, target_id=early.target_id)
        assert late.status == "done"
        assert all("by the source: 503" in loss.reason for loss in late.losses)
        assert late.losses

    @pytest.mark.parametrize("method", ["open", "list"])
    def test_rejected_credentials_are_no_loss_and_stop_everything(
        self, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        world = World()

        def fails(*_: object) -> None:
            raise NotAuthenticated("401")

        monkeypatch.setattr(world.source.artifacts, method, fails)
        outcome = world.copied(attempt=PATIENT_ATTEMPTS)
        assert (outcome.status, outcome.stops, outcome.losses) == ("failed", True, ())

    def test_a_copy_of_another_size_is_an_error_worth_another_try(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = World()
        put = world.target.artifacts.put

        def stores_less(root: Any, artifact: Any, stream: Any) -> None:
            stream.read(1)
            put(root, artifact, stream)

        monkeypatch.setattr(world.target.artifacts, "put", stores_less)
        outcome = world.copied()
        assert (outcome.status, outcome.retryable) == ("failed", True)
        assert "'model/weights' was sent with 3 bytes; the target lists 2 bytes" in outcome.error

    def test_those_there_with_the_same_size_are_not_sent_again(self) -> None:
        world = World()
        first = world.copied()
        grow_files(world)
        again = world.copied(target_id=first.target_id, mark=first.mark)
        assert (again.files_sent, again.bytes_sent) == (1, 1)
