"""A report names whatever did not arrive, and closes with what to do about it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.kinds import Kind, Ref, Step
from migrate.outcomes import Loss
from migrate.plans import Failure, KindTotals, Report
from migrate.straight import Files
from migrate.views.report import closing, print_report, report_as_json

from .samples import HOSTILE, assert_harmless, report, text_console, totals, without_ansi, written

RUN = Ref(Kind.RUN, "abc")
COMPLETE = {Kind.EXPERIMENT: totals(4), Kind.RUN: totals(100, skipped=2, wrote=3)}


def rendered(value: Report, width: int = 100) -> str:
    console = text_console(width)
    print_report(value, console)
    return written(console)


def test_success() -> None:
    text = rendered(report(COMPLETE))
    first = "Migration 3f2a from http://old:5000 to http://new:5000"
    assert text.splitlines()[0] == first
    lines = [line.split() for line in text.splitlines()]
    assert ["found", "done", "failed", "blocked", "skipped", "sent"] in lines
    assert ["runs", "102", "100", "0", "0", "2", "3.0", "MB"] in lines
    assert "Wrote 3 objects, sent 3.0 MB of artifacts in 4 min 10 s." in text
    last = "Done: 4 experiments, 100 runs on the target, nothing lost."
    assert text.splitlines()[-1] == last


def test_a_deletion_is_not_an_object_on_the_target() -> None:
    counts = {Kind.EXPERIMENT: totals(1), Step.DELETION: totals(1)}
    assert closing(report(counts)) == "Done: 1 experiment on the target, nothing lost."


def test_an_empty_source() -> None:
    assert "\nNo objects were found.\n" in rendered(report({}))
    assert closing(report({})) == "Done: no objects."


def test_interrupted() -> None:
    value = report({Kind.RUN: totals(3, pending=1)}, interrupted=True)
    assert "pending" in rendered(value)
    assert closing(value) == "Interrupted; state saved. Continue with: migrate run --resume"


def test_failures_are_told_once_with_what_they_block() -> None:
    failure = Failure(ref=RUN, name="train", error="HTTP 400:\n too long", hint="cut it", blocks=3)
    value = report({Kind.RUN: totals(2, failed=1, blocked=1_003)}, failures=(failure,))
    text = rendered(value)
    assert "Failed (1):\n" in text
    assert '  run "train" (abc): HTTP 400: too long\n' in text
    assert "      Hint: cut it\n" in text
    assert "      blocks 3 other tasks\n" in text
    assert closing(value) == (
        'Not complete: 1 run failed, 1,003 runs blocked; run "migrate run --resume" to try again.'
    )


def test_resuming_is_not_advised_where_it_would_not_help() -> None:
    value = report(
        COMPLETE,
        losses=((RUN, "train", Loss("dataset inputs", "the target is too old")),),
        unsupported={Kind.TRACE: -1, Kind.PROMPT: 2},
    )
    text = rendered(value)
    assert '  run "train" (abc): dataset inputs - the target is too old\n' in text
    assert "Not copied by this version:\n  traces\n  2 prompts\n" in text
    assert closing(value) == (
        "Not complete: 1 loss, 2 prompts, traces not copied by this version; see above."
    )


def test_the_command_to_resume_is_the_callers() -> None:
    value = report({Kind.RUN: totals(1)}, interrupted=True)
    assert closing(value, "migrate export-all --resume").endswith(": migrate export-all --resume")


def test_every_loss_is_listed_and_warnings_are_grouped() -> None:
    losses = tuple((Ref(Kind.RUN, f"r{n}"), "", Loss("a tag", "too long")) for n in range(200))
    warnings = tuple((Ref(Kind.RUN, f"r{n}"), "no parent") for n in range(200))
    text = rendered(report(COMPLETE, losses=losses, warnings=warnings))
    assert all(f"  run r{n}: a tag - too long\n" in text for n in range(200))
    assert "Warnings (200):\n  200 runs: no parent\n" in text


def test_a_narrow_console_never_cuts_a_number() -> None:
    text = rendered(report({Kind.RUN: totals(1_234_567)}), width=30)
    assert "runs: found 1,234,567, done 1,234,567, failed 0" in text


def test_hostile_text_cannot_steer_the_terminal() -> None:
    failure = Failure(ref=Ref(Kind.RUN, HOSTILE), name=HOSTILE, error=HOSTILE, hint=HOSTILE)
    value = report(
        {Kind.RUN: totals(1, failed=1)},
        failures=(failure,),
        losses=((Ref(Kind.RUN, HOSTILE), HOSTILE, Loss(HOSTILE, HOSTILE)),),
        warnings=((Ref(Kind.RUN, HOSTILE), HOSTILE),),
    )
    console = text_console(terminal=True)
    print_report(value, console)
    text = without_ansi(written(console))
    assert_harmless(text)
    assert text.count("[bold]x[/bold] \\x1b[2J") >= 8


def test_no_colour_means_no_colour(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    value = report({Kind.RUN: totals(1, failed=1)})
    print_report(value)
    assert "\x1b[1;31m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    print_report(value)
    assert "31m" not in capsys.readouterr().out


def test_json_holds_everything() -> None:
    value = report(
        {Kind.RUN: totals(1, failed=1, wrote=1)},
        failures=(Failure(ref=RUN, name="n", error="e", hint="h", blocks=2),),
        losses=((RUN, "n", Loss("w", "r")),),
        warnings=((RUN, "careful"),),
        unsupported={Kind.TRACE: -1},
    )
    value = dataclasses.replace(value, straight={"source": Files(2, 5_000_000)})
    assert "Past the source, straight from its storage: 2 files, 5.0 MB." in rendered(value)
    read = json.loads(json.dumps(report_as_json(value)))
    assert read.pop("source")["uri"] == "http://old:5000"
    assert read.pop("target")["uri"] == "http://new:5000"
    assert read == {
        "migration_id": "3f2a",
        "complete": False,
        "interrupted": False,
        "totals": {
            "run": {
                "found": 2,
                "done": 1,
                "failed": 1,
                "blocked": 0,
                "skipped": 0,
                "pending": 0,
                "wrote": 1,
                "bytes_sent": 1_000_000,
            }
        },
        "failures": [
            {"kind": "run", "id": "abc", "name": "n", "error": "e", "hint": "h", "blocks": 2}
        ],
        "losses": [{"kind": "run", "id": "abc", "name": "n", "what": "w", "reason": "r"}],
        "warnings": [{"kind": "run", "id": "abc", "warning": "careful"}],
        "unsupported": {"trace": None},
        "unknown": [],
        "bytes_sent": 1_000_000,
        "straight": {"source": {"files": 2, "bytes": 5_000_000}},
        "seconds": 250.0,
        "summary": closing(value),
    }


def test_what_is_not_known_is_said_and_not_complete() -> None:
    value = dataclasses.replace(
        report({Kind.RUN: totals(3)}), unknown=("whether there are prompts",)
    )
    console = text_console()
    print_report(value, console)
    assert "  whether there are prompts" in written(console)
    assert not value.complete
    line = "Not complete: 1 thing not known; see above."
    assert closing(value) == f"{line} Without --resume, what is not known is asked again."
    assert closing(value, "export-all") == line
    assert report_as_json(value)["unknown"] == ["whether there are prompts"]


NUMBER = st.integers(0, 5_000)
COUNTS = st.builds(
    totals, done=NUMBER, failed=NUMBER, blocked=NUMBER, skipped=NUMBER, pending=NUMBER
)


@given(
    st.dictionaries(st.sampled_from(Kind), COUNTS),
    st.booleans(),
    st.dictionaries(st.just(Kind.TRACE), st.integers(-1, 3)),
)
def test_done_is_said_exactly_when_all_is_done(
    counts: dict[Kind, KindTotals], interrupted: bool, unsupported: dict[Kind, int]
) -> None:
    value = report(counts, interrupted=interrupted, unsupported=unsupported)
    assert closing(value).startswith("Done: ") == value.complete
    assert closing(value).startswith("Interrupted") == interrupted
    unfinished = any(t.failed or t.blocked or t.pending for t in counts.values())
    assert ("--resume" in closing(value)) == (unfinished or interrupted)
