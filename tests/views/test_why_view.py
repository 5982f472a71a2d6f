"""Why an object is in the plan, for people and for programs."""

from __future__ import annotations

import json

from migrate.graph.why import explain
from migrate.kinds import Action, Kind, Ref, Step
from migrate.plans import Plan
from migrate.views.why import print_why, why_as_json

from .plans import experiment, run
from .samples import HOSTILE, assert_harmless, plan, task, text_console, without_ansi, written


def rendered(value: Plan, text: str) -> str:
    console = text_console()
    print_why(explain(value, text), console)
    return written(console)


def story() -> Plan:
    version = Ref(Kind.MODEL_VERSION, "iris/3")
    return plan(
        experiment(1),
        task(
            Kind.RUN,
            "r",
            Action.UPDATE,
            name="train",
            reason="changed since it was copied",
            because=("the run of model version:iris/3",),
            needs=(Ref(Kind.EXPERIMENT, "1"),),
        ),
        task(
            Kind.MODEL_VERSION,
            version.id,
            needs=(Ref(Kind.RUN, "r"),),
            after=(Ref(Kind.MODEL_VERSION, "iris/2"),),
            because=("selected by --models",),
            number=4,
        ),
        task(Kind.MODEL_VERSION, "iris/2", because=("selected by --models",)),
    )


def test_everything_about_one_object() -> None:
    assert rendered(story(), "train").splitlines() == [
        'run "train" (r)',
        "  update (pending): changed since it was copied",
        "",
        "Why it is in the plan:",
        "  the run of model version:iris/3",
        "",
        "The way to what was selected:",
        '  run "train" (r): the run of model version:iris/3',
        "  model version iris/3: selected by --models",
        "",
        "Needs (1):",
        '  experiment "experiment-1" (1), create',
        "",
        "Is needed by (1):",
        "  model version iris/3, create",
    ]
    text = rendered(story(), "iris/3")
    assert "  becomes version 4 at the target\n" in text
    assert "Comes after the end of (1):\n  model version iris/2, create\n" in text
    assert "The way to" not in text
    assert "Has to end before (1):\n  model version iris/3" in rendered(story(), "iris/2")


def test_many_are_only_counted() -> None:
    value = plan(
        experiment(1),
        *(run(f"{n}", 1) for n in range(1_234)),
        task(Kind.EXPERIMENT, "2", step=Step.DELETION),
    )
    assert rendered(value, "experiment-1").splitlines()[-1] == (
        "Is needed by: 1,234 runs (--json lists all)"
    )


def test_json_has_all_of_it() -> None:
    assert json.loads(json.dumps(why_as_json(explain(story(), "iris/3")))) == {
        "kind": "model version",
        "id": "iris/3",
        "name": "",
        "action": "create",
        "status": "pending",
        "reason": "",
        "target_id": "",
        "number": 4,
        "because": ["selected by --models"],
        "chain": [{"ref": "model version:iris/3", "because": "selected by --models"}],
        "needs": ["run:r"],
        "after": ["model version:iris/2"],
        "needed_by": [],
        "before": [],
    }
    value = plan(experiment(1), *(run(f"{n}", 1) for n in range(99)))
    assert len(why_as_json(explain(value, "experiment-1"))["needed_by"]) == 99


def test_hostile_text_cannot_steer_the_terminal() -> None:
    value = plan(
        task(Kind.EXPERIMENT, HOSTILE, name=HOSTILE, reason=HOSTILE, because=(HOSTILE,)),
        task(Kind.RUN, "r" + HOSTILE, name=HOSTILE, needs=(Ref(Kind.EXPERIMENT, HOSTILE),)),
    )
    console = text_console(terminal=True)
    print_why(explain(value, f"experiment:{HOSTILE}"), console)
    assert_harmless(without_ansi(written(console)))
