"""A comparison lists every difference, and keeps known losses apart from them."""

from __future__ import annotations

import json
from collections import Counter

from migrate.kinds import Kind, Ref
from migrate.outcomes import Difference, Loss
from migrate.verify import Comparison
from migrate.views.verify import differences_as_json, print_differences, verdict

from .samples import HOSTILE, assert_harmless, text_console, written

COMPARED = Counter({Kind.RUN: 100, Kind.EXPERIMENT: 4})
RUN = Ref(Kind.RUN, "abc")


def test_no_difference() -> None:
    console = text_console()
    print_differences(Comparison(COMPARED, files=300), console=console)
    assert written(console) == "Verified: 4 experiments, 100 runs, 300 files: no difference.\n"


def test_differences_and_known_losses_are_listed() -> None:
    console = text_console()
    result = Comparison(
        COMPARED,
        differences=[Difference(RUN, "param lr", "0.1 is 0.2"), Difference(RUN, "missing", "")],
        declared=[(RUN, Loss("user", "not kept"))],
    )
    print_differences(result, console=console)
    assert written(console).strip() == "\n".join(
        [
            "Different (2):",
            "  run abc: param lr - 0.1 is 0.2",
            "  run abc: missing",
            "",
            "Known losses, as the report says (1):",
            "  run abc: user - not kept",
            "",
            "Verified: 4 experiments, 100 runs: 2 differences beyond 1 known loss.",
        ]
    )


def test_the_command_that_mends_is_named_and_what_it_cannot_undo() -> None:
    def closing(*lasting: bool) -> list[str]:
        console = text_console()
        result = Comparison(
            COMPARED,
            differences=[Difference(RUN, "metric a", "", lasting=it) for it in lasting],
        )
        print_differences(result, repair="migrate run A B --repair", console=console)
        return written(console).strip().splitlines()[len(lasting) + 2 : -1]

    cannot = "cannot be mended on this target; --repair notes them as known losses."
    assert closing(False, False) == ["These can be mended: migrate run A B --repair"]
    assert closing(True, True) == [f"These {cannot}"]
    mixed = ["1 of these can be mended: migrate run A B --repair", f"1 {cannot}"]
    assert closing(True, False) == mixed


def test_one_difference_and_nothing_compared() -> None:
    one = Comparison(Counter({Kind.RUN: 1}), files=1, differences=[Difference(RUN, "missing", "")])
    assert verdict(one) == "Verified: 1 run, 1 file: 1 difference."
    assert verdict(Comparison()) == "Verified: no objects: no difference."


def test_what_could_not_be_asked_is_said_and_is_not_equal() -> None:
    console = text_console()
    refused = ["the source does not say whether it has logged models"]
    result = Comparison(COMPARED, unknown=refused)
    print_differences(result, console=console)
    lines = written(console).splitlines()
    assert "  the source does not say whether it has logged models" in lines
    assert lines[-1] == "Verified: 4 experiments, 100 runs: no difference; 1 thing not known."
    value = differences_as_json(result)
    assert (value["equal"], value["unknown"]) == (False, refused)


def test_what_is_not_copied_is_listed_and_keeps_no_difference_to_what_is() -> None:
    console = text_console()
    kinds = {Kind.LABEL_SCHEMA: -1, Kind.TRACE: 3}
    result = Comparison(COMPARED, unsupported=kinds)
    print_differences(result, console=console)
    lines = written(console).splitlines()
    assert {"  label schemas", "  3 traces"} < set(lines)
    no_more = "no difference in what is copied; 3 traces, label schemas not copied by this version."
    assert lines[-1] == f"Verified: 4 experiments, 100 runs: {no_more}"
    value = differences_as_json(result)
    assert (value["equal"], value["unsupported"]) == (True, {"label schema": None, "trace": 3})


def test_differences_and_what_is_not_known_are_counted_beside_what_is_not_copied() -> None:
    result = Comparison(
        Counter({Kind.RUN: 1}),
        differences=[Difference(RUN, "missing", "")],
        declared=[(RUN, Loss("user", "not kept"))],
        unknown=["why"],
        unsupported={Kind.TRACE: -1},
    )
    assert verdict(result) == (
        "Verified: 1 run: 1 difference beyond 1 known loss; traces not copied by this version; "
        "1 thing not known."
    )


def test_hostile_text_cannot_steer_the_terminal() -> None:
    console = text_console()
    ref = Ref(Kind.RUN, HOSTILE)
    result = Comparison(
        differences=[Difference(ref, HOSTILE, HOSTILE)],
        declared=[(ref, Loss(HOSTILE, HOSTILE))],
    )
    print_differences(result, console=console)
    assert_harmless(written(console))


def test_json() -> None:
    result = Comparison(
        COMPARED,
        files=3,
        differences=[Difference(RUN, "missing", "gone")],
        declared=[(RUN, Loss("user", "not kept"))],
    )
    value = differences_as_json(result)
    assert json.loads(json.dumps(value)) == {
        "compared": {"run": 100, "experiment": 4},
        "files": 3,
        "equal": False,
        "unknown": [],
        "unsupported": {},
        "differences": [
            {"kind": "run", "id": "abc", "what": "missing", "detail": "gone", "lasting": False}
        ],
        "declared": [{"kind": "run", "id": "abc", "what": "user", "reason": "not kept"}],
    }
