"""Experiments: which one on the target is the copy, and what is written on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from migrate.endpoints.addresses import Address
from migrate.errors import AnswerLost
from migrate.kinds import Action, Kind, Ref, Step, experiment_ref
from migrate.objects import ACTIVE, DELETED, Experiment
from migrate.origins import EARLIER, MIGRATION, ORIGIN, SOURCE
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.carriers import Experiments
from migrate.tasks.existing_experiments import ExistingExperiments
from migrate.tasks.experiment import (
    copy_experiments,
    kept_of_experiment,
    map_location,
    missing_tags,
    wanted_experiment,
)
from tests.counted import Counted
from tests.graph import loading
from tests.graph.memory import MemoryServer

ADDRESS = Address(uri="http://unused", side="source")
POLICY = Policy(migration_id="m1")
FRAUD = Experiment(
    experiment_id="1",
    name="fraud",
    tags={"owner": "ada"},
    creation_time=77,
    last_update_time=78,
    artifact_location="s3://old/1",
)


def there(ident: str, name: str = "x", **changes: Any) -> Experiment:
    return Experiment(experiment_id=ident, name=name, **changes)


def ours(ident: str, name: str, **changes: Any) -> Experiment:
    tags = {ORIGIN: "1@77", **changes.pop("tags", {})}
    return there(ident, name, tags=tags, **changes)


def found_among(held: list[Experiment], target_id: str = "") -> Experiment | None:
    return ExistingExperiments(held).find(FRAUD, target_id)


class TestExisting:
    def test_by_id_before_origin_before_name(self) -> None:
        held = [there("5", "fraud"), ours("6", "renamed"), there("7")]
        assert found_among(held, "7") == held[2]
        assert found_among(held, "gone") == held[1]
        assert found_among(held) == held[1]
        assert found_among(held[:1]) == held[0]
        assert found_among(held[2:]) is None

    def test_the_same_id_of_another_server_is_another_origin(self) -> None:
        assert found_among([there("6", tags={ORIGIN: "1@99"})]) is None

    def test_the_first_of_several_copies_and_all_of_them(self) -> None:
        held = [there("5"), ours("6", "fraud"), ours("7", "fraud again")]
        assert found_among(held) == held[1]
        assert list(ExistingExperiments(held).copies_of(FRAUD)) == held[1:]

    def test_each_is_found_without_looking_at_the_others(self) -> None:
        many = 400
        held = [
            ours(Counted(ident), Counted(ident), tags={ORIGIN: Counted(f"{ident}@77")})
            for ident in range(many)
        ]
        Counted.compared = 0
        existing = ExistingExperiments(held)
        for item in held:
            wanted = dataclasses.replace(FRAUD, experiment_id=str(item.experiment_id))
            assert existing.find(wanted) is item
            assert existing.find(FRAUD, str(item.experiment_id)) is item
        assert Counted.compared <= 8 * many


class TestWanted:
    def wanted(self, experiment: Experiment = FRAUD, **policy: Any) -> Experiment:
        target = MemoryServer(experiment_tag_length=6).capabilities()
        return wanted_experiment(experiment, target, Policy(migration_id="m1", **policy))[0]

    def test_what_mlflow_lets_nobody_set_is_kept_in_tags(self) -> None:
        assert self.wanted().tags == {
            "owner": "ada",
            ORIGIN: "1@77",
            MIGRATION: "m1",
            SOURCE + "experiment_id": "1",
            SOURCE + "name": "fraud",
            SOURCE + "creation_time": "77",
            SOURCE + "last_update_time": "78",
            SOURCE + "artifact_location": "s3://old/1",
        }
        assert self.wanted().artifact_location == ""

    def test_an_old_server_tells_no_times(self) -> None:
        tags = self.wanted(there("1")).tags
        assert tags[ORIGIN] == "1@0"
        assert SOURCE + "creation_time" not in tags

    def test_the_bookkeeping_of_an_earlier_copy_is_kept_apart(self) -> None:
        tags = self.wanted(there("1", tags={ORIGIN: "9@9"})).tags
        assert (tags[ORIGIN], tags[EARLIER + "origin"]) == ("1@0", "9@9")

    def test_an_over_long_tag_is_cut_with_a_loss(self) -> None:
        target = MemoryServer(experiment_tag_length=6).capabilities()
        copy, losses = wanted_experiment(there("1", tags={"note": "1234567"}), target, POLICY)
        assert copy.tags["note"] == "123456"
        assert losses == (Loss("tag note", "7 characters, the target holds 6"),)

    @pytest.mark.parametrize(
        ("location", "mapped"),
        [
            ("s3://old/1", "gs://new/1"),
            ("s3://old", "gs://new"),
            ("mlflow-artifacts:/1", ""),
            ("", ""),
            ("/data/1", "/mnt/1"),
        ],
    )
    def test_locations_are_mapped_by_the_first_prefix_that_fits(
        self, location: str, mapped: str
    ) -> None:
        pairs = (("s3://old", "gs://new"), ("s3://", "gs://never/"), ("/data", "/mnt"))
        assert map_location(location, pairs) == mapped


class TestTags:
    wanted = Experiment(
        experiment_id="1",
        name="fraud",
        tags={"owner": "ada", "team": "risk", ORIGIN: "1@77", MIGRATION: "m2"},
    )

    def test_a_copy_of_ours_gets_all_that_differs_but_not_news_of_the_copying_itself(self) -> None:
        copy = ours("6", "fraud", tags={"owner": "bob", "own": "x", MIGRATION: "m1"})
        assert missing_tags(copy, self.wanted, FRAUD) == {"owner": "ada", "team": "risk"}

    def test_one_that_was_there_gets_only_what_it_lacks_and_no_bookkeeping(self) -> None:
        original = there("1", "fraud", tags={"owner": "ada", "team": "risk", ORIGIN: "9@9"})
        copy = there("6", "fraud", tags={"owner": "bob"})
        wanted = wanted_experiment(original, MemoryServer().capabilities(), POLICY)[0]
        found = missing_tags(copy, wanted, original)
        assert found == {"team": "risk", EARLIER + "origin": "9@9"}
        assert [loss.what for loss in kept_of_experiment(copy, wanted)] == ["tag owner"]

    def test_what_it_lacks_is_cut_to_what_the_target_holds(self) -> None:
        original = there("1", "fraud", tags={"note": "1234567"})
        target = MemoryServer(experiment_tag_length=6).capabilities()
        wanted = wanted_experiment(original, target, POLICY)[0]
        assert missing_tags(there("6", "fraud"), wanted, original) == {"note": "123456"}


class Ends:
    """A source with one experiment, a target, and the task to copy one to the other."""

    def __init__(self, *held: Experiment, **source: Any) -> None:
        fields = {"experiment_id": "1", "name": "fraud", "tags": {"owner": "ada"}, **source}
        self.source = loading.server("source", {"experiments": [fields]})
        self.target = MemoryServer("target")
        self.target.experiments_held = {item.experiment_id: item for item in held}

    def copy(self, action: Action = Action.CREATE, **changes: Any) -> Outcome:
        fields = {"ref": Ref(Kind.EXPERIMENT, "1"), "name": "fraud", "action": action, **changes}
        job = Job(**fields)
        batch = Batch(
            kind=Kind.EXPERIMENT, jobs=(job,), source=ADDRESS, target=ADDRESS, policy=POLICY
        )
        (outcome,) = copy_experiments(batch, self.source, self.target)
        return outcome

    @property
    def held(self) -> dict[str, str]:
        return {ident: item.name for ident, item in self.target.experiments_held.items()}


class TestCopying:
    def test_it_is_created_with_its_origin_in_one_call(self) -> None:
        ends = Ends()
        outcome = ends.copy()
        assert (outcome.status, outcome.wrote) == (TaskStatus.DONE, True)
        made = ends.target.experiments_held[outcome.target_id]
        assert (made.tags["owner"], made.tags[ORIGIN]) == ("ada", "1@77")
        assert ends.target.writes == ["create_experiment"]

    def test_again_it_writes_nothing(self) -> None:
        ends = Ends()
        first = ends.copy()
        again = ends.copy(Action.ADOPT, target_id=first.target_id)
        assert (again.status, again.wrote, again.target_id) == ("done", False, first.target_id)
        assert ends.target.writes == ["create_experiment"]

    def test_after_a_lost_answer_it_is_found_by_its_origin(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ends = Ends()
        create = ends.target.experiments.create

        def loses_the_answer(experiment: Experiment) -> str:
            create(experiment)
            raise AnswerLost("no answer")

        with monkeypatch.context() as patched:
            patched.setattr(ends.target.experiments, "create", loses_the_answer)
            lost = ends.copy()
        assert (lost.status, lost.retryable, lost.target_id) == ("failed", True, "")
        again = ends.copy(attempt=2)
        assert (again.status, again.target_id) == ("done", "1000")
        assert ends.target.writes == ["create_experiment"]

    def test_a_name_that_somebody_took_since_the_plan_is_added_to(self) -> None:
        ends = Ends(there("6", "fraud", tags={"owner": "bob"}))
        outcome = ends.copy()
        assert (outcome.status, outcome.target_id) == ("done", "6")
        assert ends.target.experiments_held["6"].tags == {"owner": "bob"}

    def test_another_attempt_under_another_name_leaves_the_trash_alone(self) -> None:
        ends = Ends(there("6", "fraud", lifecycle_stage=DELETED))
        outcome = ends.copy(name="fraud (migrated)", attempt=2)
        assert outcome.status == "done"
        assert ends.held == {"6": "fraud", outcome.target_id: "fraud (migrated)"}
        assert ends.target.experiments_held["6"].lifecycle_stage == DELETED

    def test_one_deleted_on_the_target_since_the_plan_is_refused_with_the_way_out(self) -> None:
        ends = Ends(ours("6", "fraud", lifecycle_stage=DELETED))
        outcome = ends.copy(Action.ADOPT, target_id="6")
        assert (outcome.status, outcome.retryable) == ("failed", False)
        assert "deleted on the target since the plan" in outcome.error
        assert "--if-trashed" in outcome.hint
        assert ends.target.writes == []

    def test_an_update_takes_it_out_of_the_trash_renames_and_tags_it(self) -> None:
        ends = Ends(ours("6", "old name", lifecycle_stage=DELETED))
        outcome = ends.copy(Action.UPDATE, target_id="6")
        assert outcome.wrote
        assert ends.held == {"6": "fraud"}
        assert ends.target.experiments_held["6"].lifecycle_stage == ACTIVE
        assert ends.target.experiments_held["6"].tags["owner"] == "ada"

    def test_one_that_is_gone_from_the_source_fails_alone(self) -> None:
        ends = Ends()
        job = Job(ref=Ref(Kind.EXPERIMENT, "1"), name="fraud", action=Action.CREATE)
        gone = Job(ref=Ref(Kind.EXPERIMENT, "9"), name="gone", action=Action.CREATE)
        batch = Batch(
            kind=Kind.EXPERIMENT, jobs=(gone, job), source=ADDRESS, target=ADDRESS, policy=POLICY
        )
        outcomes = list(copy_experiments(batch, ends.source, ends.target))
        assert [outcome.status for outcome in outcomes] == ["failed", "done"]
        assert "no longer at the source" in outcomes[0].error


class TestListing:
    """How often the experiments of a target are listed, for many batches."""

    BATCHES, SIZE = 4, 50

    @pytest.fixture
    def ends(self, monkeypatch: pytest.MonkeyPatch) -> Ends:
        ends = Ends()
        idents = range(self.BATCHES * self.SIZE)
        experiments = [there(str(i), f"name {i}", creation_time=77) for i in idents]
        ends.source.experiments_held = {item.experiment_id: item for item in experiments}
        self.listed = 0
        listing = ends.target.experiments.list

        def counted() -> Iterator[Experiment]:
            self.listed += 1
            return listing()

        monkeypatch.setattr(ends.target.experiments, "list", counted)
        return ends

    def copy_all(self, ends: Ends, copies: Mapping[str, str], attempt: int = 1) -> dict[str, str]:
        """Copy all; return the ids of the copies by those of the originals."""
        made: dict[str, str] = {}
        idents = list(ends.source.experiments_held)
        for start in range(0, len(idents), self.SIZE):
            jobs = tuple(
                Job(
                    ref=Ref(Kind.EXPERIMENT, ident),
                    name=f"name {ident}",
                    action=Action.ADOPT if ident in copies else Action.CREATE,
                    target_id=copies.get(ident, ""),
                    attempt=attempt,
                )
                for ident in idents[start : start + self.SIZE]
            )
            batch = Batch(
                kind=Kind.EXPERIMENT, jobs=jobs, source=ADDRESS, target=ADDRESS, policy=POLICY
            )
            for outcome in copy_experiments(batch, ends.source, ends.target):
                assert not outcome.error
                made[outcome.ref.id] = outcome.target_id
        return made

    def test_copies_whose_ids_are_known_are_read_by_them(self, ends: Ends) -> None:
        made = self.copy_all(ends, {})
        assert self.copy_all(ends, made) == made
        assert self.listed == 0

    def test_those_made_by_others_since_the_plan_are_listed_once(self, ends: Ends) -> None:
        made = self.copy_all(ends, {})
        assert self.copy_all(ends, {}) == made
        assert self.listed == 1

    def test_what_was_made_since_they_were_listed_is_seen(self, ends: Ends) -> None:
        made = self.copy_all(ends, {})
        assert self.copy_all(ends, {}) == made
        new = there("new", "name new", creation_time=77)
        ends.source.experiments_held = {"new": new}
        ends.target.experiments_held["9"] = ours("9", "name new", tags={ORIGIN: "new@77"})
        assert self.copy_all(ends, {}, attempt=2) == {"new": "9"}
        assert self.listed == 2

    def test_one_that_was_listed_is_taken_as_it_is_now(self, ends: Ends) -> None:
        made = self.copy_all(ends, {})
        self.copy_all(ends, {})
        held = ends.target.experiments_held
        held[made["7"]] = dataclasses.replace(held[made["7"]], name="other", tags={})
        held["9"] = there("9", "name 7")
        assert self.copy_all(ends, {}) == {**made, "7": "9"}


def test_a_deletion_leaves_runs_active_that_were_active_inside() -> None:
    runs = [
        {"run_id": "a", "lifecycle_stage": "deleted"},
        {"run_id": "b"},
        {"run_id": "not-copied"},
    ]
    experiment = {"experiment_id": "1", "name": "fraud", "lifecycle_stage": "deleted"}
    source = loading.server("source", {"experiments": [{**experiment, "runs": runs}]})
    copies = [{"run_id": f"copy-{name}"} for name in "ab"]
    target = loading.server(
        "target", {"experiments": [{"experiment_id": "6", "name": "fraud", "runs": copies}]}
    )
    job = Job(
        ref=experiment_ref("1").deletion,
        name="fraud",
        action=Action.CREATE,
        copies={Ref(Kind.RUN, name): f"copy-{name}" for name in "ab"},
    )
    batch = Batch(
        kind=Kind.EXPERIMENT,
        step=Step.DELETION,
        jobs=(job,),
        source=ADDRESS,
        target=ADDRESS,
        policy=POLICY,
        container="1",
        target_container="6",
    )
    (outcome,) = Experiments().delete(batch, source, target)
    assert (outcome.status, outcome.target_id) == ("done", "6")
    assert target.experiments_held["6"].lifecycle_stage == DELETED
    stages = {run.run_id: run.lifecycle_stage for run in target.runs_held.values()}
    assert stages == {"copy-a": DELETED, "copy-b": ACTIVE}
    assert source.writes == []
