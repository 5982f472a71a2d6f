"""A plan is shown with every decision, and its last line tells the work in one sentence."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.kinds import Action, Kind, Ref, Step
from migrate.outcomes import Loss, TaskStatus
from migrate.plans import Plan
from migrate.views.plan import plan_as_json, print_plan, summary

from .samples import (
    HOSTILE,
    assert_harmless,
    plan,
    task,
    tasks,
    text_console,
    without_ansi,
    written,
)


def rendered(value: Plan, width: int = 100) -> str:
    console = text_console(width)
    print_plan(value, console)
    return written(console)


def test_the_last_line_counts_the_work() -> None:
    value = plan(
        *tasks(Kind.EXPERIMENT, 12, Action.CREATE),
        *tasks(Kind.RUN, 1_770, Action.CREATE),
        *tasks(Kind.RUN, 3, Action.UPDATE),
        *tasks(Kind.RUN, 20, Action.ADOPT),
        *tasks(Kind.EXPERIMENT, 4, Action.SKIP),
        *tasks(Kind.RUN, 51, Action.SKIP),
    )
    assert rendered(value).splitlines()[-1] == (
        "Plan: 12 experiments, 1,770 runs to create; 3 runs to update; 20 runs to adopt; "
        "4 experiments, 51 runs skipped."
    )


@pytest.mark.parametrize("left_out", [[], tasks(Kind.RUN, 2, Action.SKIP)])
def test_no_work(left_out: list) -> None:
    assert rendered(plan(*left_out)).splitlines()[-1] == "Plan: nothing to do."


def test_what_is_done_already_is_not_to_be_created() -> None:
    value = plan(
        task(Kind.EXPERIMENT, "1", status=TaskStatus.DONE),
        task(Kind.RUN, "a", status=TaskStatus.DONE),
        task(Kind.RUN, "b"),
        task(Kind.RUN, "c", status=TaskStatus.FAILED),
    )
    assert summary(value) == "Plan: 2 runs to create; 1 experiment, 1 run already done."
    assert summary(plan(task(Kind.RUN, "a", status=TaskStatus.DONE))) == "Plan: nothing to do."


def test_a_deletion_is_not_an_object() -> None:
    value = plan(task(Kind.EXPERIMENT, "1"), task(Kind.EXPERIMENT, "1", step=Step.DELETION))
    assert summary(value) == "Plan: 1 experiment to create; 1 experiment to mark as deleted."


def test_what_is_deleted_is_counted_by_its_kind() -> None:
    value = plan(
        task(Kind.EXPERIMENT, "1", Action.ADOPT, status=TaskStatus.DONE),
        task(Kind.EXPERIMENT, "1", step=Step.DELETION),
        *(task(Kind.LOGGED_MODEL, f"m-{n}", step=Step.DELETION) for n in range(2)),
    )
    marked = "1 experiment, 2 logged models to mark as deleted"
    assert summary(value) == f"Plan: {marked}; 1 experiment already done."
    assert plan_as_json(value)["counts"]["deletion"] == {"create": 3}


def test_what_is_not_supported_is_in_the_last_line() -> None:
    value = plan(
        task(Kind.RUN, "a"),
        task(Kind.RUN, "b", Action.UNSUPPORTED),
        unsupported={Kind.TRACE: -1, Kind.REGISTERED_MODEL: 12},
    )
    assert summary(value) == (
        "Plan: 1 run to create; 1 run, 12 registered models, traces not supported."
    )


def test_the_table_counts_per_kind_and_action() -> None:
    text = rendered(
        plan(
            *tasks(Kind.EXPERIMENT, 2, Action.CREATE),
            *tasks(Kind.RUN, 1_770, Action.CREATE),
            *tasks(Kind.RUN, 3, Action.SKIP),
        )
    )
    lines = [line.split() for line in text.splitlines()]
    assert ["create", "skip"] in lines
    assert ["experiments", "2", "0"] in lines
    assert ["runs", "1,770", "3"] in lines


def test_both_ends_options_and_sizes_are_named() -> None:
    text = rendered(
        plan(
            task(Kind.RUN, "a"),
            notes=("the target keeps no user ids",),
            collisions=("experiment Default",),
            known={"params": 12_000, "metric keys": 3},
            options={"experiments": ["a", "b"], "deleted": False, "since": None, "limit": 7},
        )
    )
    assert "from  http://old:5000  MLflow 2.9.2" in text
    assert "to    http://new:5000  MLflow 3.17.2" in text
    assert "  - the target keeps no user ids" in text
    assert "Known so far: 12,000 params, 3 metric keys" in text
    assert "Names already taken on the target (1):\n  experiment Default" in text
    assert 'with experiments: ["a", "b"]' in text
    assert "with limit: 7" in text
    assert "since" not in text


def test_equal_losses_are_one_line_and_many_are_capped() -> None:
    common = Loss("dataset inputs", "the target is too old")
    value = plan(
        *(
            task(
                Kind.RUN,
                str(index),
                name="train",
                losses=(common, Loss(f"param p{index}", "too long")),
            )
            for index in range(331)
        ),
    )
    text = rendered(value)
    assert "Expected losses (662):" in text
    assert "  331 runs: dataset inputs - the target is too old\n" in text
    assert '  run "train" (0): param p0 - too long\n' in text
    assert "  and 312 more; --json lists all\n" in text
    assert len(plan_as_json(value)["tasks"][5]["losses"]) == 2


def test_reasons_and_warnings_are_grouped_and_counted() -> None:
    text = rendered(
        plan(
            *tasks(Kind.RUN, 51, Action.SKIP, "older than --since"),
            task(Kind.RUN, "p", Action.UNSUPPORTED, reason="the target has no such status"),
            task(Kind.RUN, "w1", warnings=("its parent is not selected",)),
            task(Kind.RUN, "w2", warnings=("its parent is not selected",)),
            unsupported={Kind.TRACE: -1, Kind.REGISTERED_MODEL: 1_200},
        )
    )
    assert "Skipped (51):\n  51 runs: older than --since" in text
    assert "Not possible on this target (1):\n  run p: the target has no such status" in text
    assert "Warnings (2):\n  2 runs: its parent is not selected" in text
    assert "Not copied by this version:\n  traces\n  1,200 registered models" in text


def test_a_narrow_console_gets_lines_instead_of_a_cut_table() -> None:
    value = plan(
        *tasks(Kind.RUN, 1_770, Action.CREATE),
        *tasks(Kind.RUN, 3, Action.SKIP),
    )
    text = rendered(value, width=16)
    assert "runs: create 1,770, skip 3\n" in text
    assert "…" not in text


def test_hostile_text_cannot_steer_the_terminal() -> None:
    value = plan(
        task(
            Kind.RUN,
            HOSTILE,
            name=HOSTILE,
            losses=(Loss(HOSTILE, HOSTILE),),
            warnings=(HOSTILE,),
        ),
        task(Kind.RUN, HOSTILE + "2", Action.SKIP, name=HOSTILE, reason=HOSTILE),
        notes=(HOSTILE,),
        collisions=(HOSTILE,),
        options={HOSTILE: HOSTILE},
        known={HOSTILE: 1},
    )
    console = text_console(terminal=True)
    print_plan(value, console)
    text = without_ansi(written(console))
    assert_harmless(text)
    assert text.count("[bold]x[/bold] \\x1b[2J\\x1b]0;title\\x07") >= 9
    assert "é 名" in text


def test_json_holds_everything_and_survives_a_round_trip() -> None:
    value = plan(
        task(
            Kind.RUN,
            "a",
            Action.UPDATE,
            name="n",
            reason="new metrics",
            losses=(Loss("w", "r"),),
            warnings=("careful",),
            needs=(Ref(Kind.EXPERIMENT, "1"),),
            after=(Ref(Kind.RUN, "b"),),
            because=("the parent of run:c",),
            number=3,
        ),
        unsupported={Kind.TRACE: -1},
        known={"params": 1},
        options={"deleted": True},
    )
    read = json.loads(json.dumps(plan_as_json(value)))
    assert read == {
        "migration_id": "3f2a",
        "created": 1_700_000_000_000,
        "source": {"uri": "http://old:5000", "identity": "a1", "description": "MLflow 2.9.2"},
        "target": {"uri": "http://new:5000", "identity": "b2", "description": "MLflow 3.17.2"},
        "options": {"deleted": True},
        "notes": [],
        "collisions": [],
        "unknown": [],
        "known": {"params": 1},
        "unsupported": {"trace": None},
        "counts": {"run": {"update": 1}},
        "summary": "Plan: 1 run to update; traces not supported.",
        "tasks": [
            {
                "kind": "run",
                "id": "a",
                "name": "n",
                "action": "update",
                "status": "pending",
                "reason": "new metrics",
                "container": "",
                "count": 1,
                "target_id": "",
                "mark": "",
                "needs": ["experiment:1"],
                "after": ["run:b"],
                "because": ["the parent of run:c"],
                "number": 3,
                "first_free": None,
                "losses": [{"what": "w", "reason": "r"}],
                "warnings": ["careful"],
            }
        ],
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    (Kind.EXPERIMENT, Step.COPY),
                    (Kind.RUN, Step.COPY),
                    (Kind.EXPERIMENT, Step.DELETION),
                ]
            ),
            st.sampled_from(Action),
            st.sampled_from([TaskStatus.PENDING, TaskStatus.DONE]),
        )
    )
)
def test_every_object_is_counted_once(
    drawn: list[tuple[tuple[Kind, Step], Action, TaskStatus]],
) -> None:
    value = plan(
        *(
            task(kind, str(index), action, step=step, status=status)
            for index, ((kind, step), action, status) in enumerate(drawn)
        )
    )
    counts = plan_as_json(value)["counts"]
    assert sum(sum(row.values()) for row in counts.values()) == len(drawn)
    line = summary(value)
    if line == "Plan: nothing to do.":
        assert not any(t.is_work and t.status is TaskStatus.PENDING for t in value.tasks)
        return
    not_shown = sum(
        step is Step.DELETION and (status is TaskStatus.DONE or action in ("skip", "unsupported"))
        for (_, step), action, status in drawn
    )
    assert sum(map(int, re.findall(r"\d+", line))) == len(drawn) - not_shown
