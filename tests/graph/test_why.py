"""Objects are found by what users write, and every reason leads to what was selected."""

from __future__ import annotations

import pytest

from migrate.errors import UsageError
from migrate.graph.why import explain, find_task
from migrate.kinds import Action, Kind, Ref, Step
from migrate.plans import Plan, PlannedTask
from tests.views.plans import experiment, run
from tests.views.samples import plan, task


def models() -> Plan:
    """A model, its version, the run of that, the parent of the run, and their experiment."""
    return plan(
        task(Kind.EXPERIMENT, "1", name="fraud", because=("the experiment of run:r1",)),
        task(
            Kind.RUN,
            "r1",
            name="train",
            needs=(Ref(Kind.EXPERIMENT, "1"), Ref(Kind.RUN, "p 1")),
            because=("the run of model version:iris set/3",),
            container="1",
        ),
        task(Kind.RUN, "p 1", name="sweep", because=("the parent of run:r1",), container="1"),
        task(Kind.REGISTERED_MODEL, "iris set", name="iris set", because=("selected by --models",)),
        task(
            Kind.MODEL_VERSION,
            "iris set/3",
            name="3",
            needs=(Ref(Kind.REGISTERED_MODEL, "iris set"), Ref(Kind.RUN, "r1")),
            after=(Ref(Kind.MODEL_VERSION, "iris set/2"),),
            because=("a version of registered model:iris set",),
            number=3,
        ),
        task(Kind.MODEL_VERSION, "iris set/2", because=("a version of registered model:iris set",)),
    )


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("run:r1", "run:r1"),
        ("r1", "run:r1"),
        ("train", "run:r1"),
        ("model version:iris set/3", "model version:iris set/3"),
        ("iris set/2", "model version:iris set/2"),
        ("registered model:iris set", "registered model:iris set"),
        ("iris set", "registered model:iris set"),
        ("1", "experiment:1"),
    ],
)
def test_objects_are_found_by_ref_id_or_name(text: str, ref: str) -> None:
    assert str(find_task(models().tasks, text).ref) == ref


def test_a_ref_wins_over_a_name_that_reads_like_one() -> None:
    tasks = [task(Kind.RUN, "a"), task(Kind.RUN, "b", name="run:a")]
    assert find_task(tasks, "run:a").ref.id == "a"


def test_an_unknown_one_is_told_with_what_comes_close() -> None:
    with pytest.raises(UsageError, match="--why 'trian' is not in the plan") as caught:
        find_task(models().tasks, "trian")
    assert caught.value.hint == "did you mean run:r1 (train)?"
    with pytest.raises(UsageError) as caught:
        find_task(models().tasks, "qqqqqqqq")
    assert "KIND:ID" in caught.value.hint
    with pytest.raises(UsageError):
        find_task([], "")


def test_an_ambiguous_one_is_told_with_its_candidates() -> None:
    tasks = [run(f"r{n}", 1) for n in range(3)]
    tasks = [task(Kind.RUN, item.ref.id, name="train") for item in tasks]
    with pytest.raises(UsageError, match="may mean 3 objects") as caught:
        find_task(tasks, "train")
    assert all(f"run:r{n} (train)" in caught.value.message for n in range(3))
    assert caught.value.hint == "write it as KIND:ID"
    many = [task(Kind.RUN, f"r{n}", name="train") for n in range(1_000)]
    with pytest.raises(UsageError, match="and 992 more"):
        find_task(many, "train")


def test_one_id_of_two_kinds_is_ambiguous() -> None:
    tasks = [experiment(1), task(Kind.EXPERIMENT, "1", step=Step.DELETION)]
    with pytest.raises(UsageError, match=r"experiment:1 .* deletion:1"):
        find_task(tasks, "1")
    assert find_task(tasks, "deletion:1").ref.deletes


def steps(value: Plan, text: str) -> list[tuple[str, str]]:
    return [(str(item.ref), sentence) for item, sentence in explain(value, text).chain]


def test_the_chain_leads_to_what_was_selected() -> None:
    assert steps(models(), "sweep") == [
        ("run:p 1", "the parent of run:r1"),
        ("run:r1", "the run of model version:iris set/3"),
        ("model version:iris set/3", "a version of registered model:iris set"),
        ("registered model:iris set", "selected by --models"),
    ]


def test_the_chain_is_the_shortest_there_is() -> None:
    value = plan(
        task(Kind.RUN, "a", because=("the parent of run:b", "the run of model version:m/1")),
        task(Kind.RUN, "b", because=("the parent of run:c",)),
        task(Kind.RUN, "c", because=("selected by --experiments",)),
        task(Kind.MODEL_VERSION, "m/1", because=("selected by --models",)),
    )
    assert [ref for ref, _ in steps(value, "a")] == ["run:a", "model version:m/1"]


def test_reasons_in_a_circle_end() -> None:
    value = plan(
        task(Kind.RUN, "a", because=("the parent of run:b",)),
        task(Kind.RUN, "b", because=("the parent of run:a",)),
    )
    assert steps(value, "a") == []
    assert explain(value, "a").because == ("the parent of run:b",)


def test_a_sentence_about_what_is_not_planned_ends_the_chain() -> None:
    value = plan(task(Kind.RUN, "a", because=("the parent of run:gone",)))
    assert steps(value, "a") == [("run:a", "the parent of run:gone")]


def test_needs_are_told_from_both_ends() -> None:
    why = explain(models(), "run:r1")
    assert refs(why.needs) == ["experiment:1", "run:p 1"]
    assert refs(why.needed_by) == ["model version:iris set/3"]
    assert refs(explain(models(), "iris set/3").after) == ["model version:iris set/2"]
    assert refs(explain(models(), "iris set/2").before) == ["model version:iris set/3"]


def refs(tasks: tuple[PlannedTask, ...]) -> list[str]:
    return [str(item.ref) for item in tasks]


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({}, "the whole server is selected"),
        ({"experiments": ["all"]}, "the whole server is selected"),
        ({"experiments": ["fraud"]}, "selected by --experiments"),
    ],
    ids=str,
)
def test_without_a_recorded_reason_it_follows_from_the_selection(
    options: dict[str, object], last: str
) -> None:
    value = plan(
        experiment(1), run("a", 1), task(Kind.EXPERIMENT, "1", step=Step.DELETION), options=options
    )
    assert steps(value, "run:a") == [("run:a", "in experiment:1"), ("experiment:1", last)]
    assert steps(value, "deletion:1")[-1] == ("experiment:1", last)


def test_a_deletion_is_the_last_step_with_what_it_deletes() -> None:
    model = task(Kind.LOGGED_MODEL, "m-1", container="1")
    deletion = task(Kind.LOGGED_MODEL, "m-1", container="1", step=Step.DELETION)
    assert steps(plan(experiment(1), model, deletion), "deletion:m-1")[:2] == [
        ("deletion:m-1", "the last step of logged model:m-1"),
        ("logged model:m-1", "in experiment:1"),
    ]


def test_what_is_skipped_has_its_reason_and_no_chain() -> None:
    why = explain(plan(run("a", 1, Action.SKIP)), "a")
    assert (why.because, why.chain) == ((), ())
    assert why.task.reason
