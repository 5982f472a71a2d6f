"""Progress is told on stderr as fits it: lines on a terminal, a log, JSON, or nothing."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from migrate.kinds import Kind, Ref
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.views.json_lines import JsonProgress
from migrate.views.lines import LineProgress, PlainProgress
from migrate.views.progress import QuietProgress, View, choose_view
from migrate.views.terminal import RichProgress

from .samples import (
    HOSTILE,
    HandClock,
    assert_harmless,
    done,
    failed,
    last_frame,
    text_console,
    without_ansi,
    written,
)

RUN = Ref(Kind.RUN, "abc")


def plain() -> tuple[PlainProgress, Console, HandClock]:
    console, clock = text_console(), HandClock()
    return PlainProgress(console, clock), console, clock


def terminal(width: int = 100) -> tuple[RichProgress, Console, HandClock]:
    console, clock = text_console(width, terminal=True), HandClock()
    return RichProgress(console, clock), console, clock


def drive(view: View, clock: HandClock) -> None:
    """A short migration: 4 experiments, and 340 of 1,770 runs, two of which fail."""
    view.started({Kind.EXPERIMENT: 4, Kind.RUN: 1_700}, {Kind.RUN: 70})
    view.outcomes([done(str(n), Kind.EXPERIMENT) for n in range(4)], {})
    view.tick(0)
    for batch in range(5):
        clock.forward(10)
        numbers = range(54 * batch, 54 * (batch + 1))
        view.outcomes([done(f"r{n}", Kind.RUN, 4_000_000) for n in numbers], {})
        view.tick(54 * 4_000_000 * (batch + 1))
    view.outcomes([failed("x1"), failed("x2", "HTTP 413", "raise the limit")], {Kind.RUN: 3})
    clock.forward(10)
    view.tick(1_080_000_000)


# A log --------------------------------------------------------------------------------------


def test_a_log_gets_counts_rates_and_time_left() -> None:
    view, console, clock = plain()
    drive(view, clock)
    lines = written(console).splitlines()
    assert lines[0] == "To carry out: 4 experiments, 1,700 runs; done before: 70 runs"
    assert lines[1] == "experiments 4/4 done"
    assert lines[-1] == (
        "runs 340/1,770 done, 2 failed, 3 blocked, 4.4/s, 1.1 GB sent, about 5 min left"
    )


def test_a_log_line_comes_at_most_every_ten_seconds_and_only_on_change() -> None:
    view, console, clock = plain()
    view.started({Kind.RUN: 1_000}, {})
    for number in range(400):  # 100 seconds, four ticks a second; nothing in the last 50
        if number < 200:
            view.outcomes([done(str(number))], {})
        clock.forward(0.25)
        view.tick(0)
    lines = [line for line in written(console).splitlines() if line.startswith("runs ")]
    assert [line.split()[1] for line in lines] == [
        f"{number}/1,000" for number in (40, 80, 120, 160, 200)
    ]
    view.stopped()
    assert len(written(console).splitlines()) == 1 + len(lines)


def test_the_end_is_said_at_once() -> None:
    view, console, _ = plain()
    view.started({Kind.RUN: 2}, {})
    view.outcomes([done("a"), done("b")], {})
    view.stopped()
    assert written(console).splitlines()[-1] == "runs 2/2 done"


def test_unknown_time_left_is_a_dash() -> None:
    view, console, clock = plain()
    view.started({Kind.RUN: 2}, {})
    view.outcomes([done("a")], {})
    clock.forward(10)
    view.tick(0)
    assert written(console).splitlines()[-1] == "runs 1/2 done, time left -"


def test_a_long_upload_shows_that_it_moves() -> None:
    view, console, clock = plain()
    view.started({Kind.RUN: 1}, {})
    for seconds in range(21):
        clock.forward(1)
        view.tick(seconds * 10_000_000)
    assert written(console).splitlines()[1:] == [
        "90.0 MB sent, 10.0 MB/s",
        "190.0 MB sent, 10.0 MB/s",
    ]


def test_failures_are_said_at_once_with_their_hint() -> None:
    view, console, _ = plain()
    view.started({Kind.RUN: 2}, {})
    view.outcomes([failed("abc", "HTTP 413\ntoo large", "raise the limit"), failed("d", "")], {})
    assert written(console).splitlines()[1:] == [
        "run abc failed: HTTP 413 too large. Hint: raise the limit",
        "run d failed: unknown error",
    ]


def test_warnings_are_said_up_to_a_limit() -> None:
    view, console, _ = plain()
    view.started({Kind.RUN: 50}, {})
    for number in range(50):
        view.outcomes([done(str(number), Kind.RUN, 0, "no parent")], {})
    lines = written(console).splitlines()[1:]
    assert lines[0] == "run 0: no parent"
    assert len(lines) == 21
    assert lines[-1] == "further warnings are in the report at the end"


def test_one_line_speaks_for_many_retries() -> None:
    view, console, clock = plain()
    for number in range(100):
        view.retrying(Ref(Kind.RUN, str(number)), "train", "HTTP 503", 2.0, 2)
    clock.forward(6)
    view.retrying(Ref(Kind.RUN, "z"), "", "HTTP 503", 4.5, 3)
    assert written(console).splitlines() == [
        'run "train" (0): HTTP 503; attempt 2 in 2.0 s',
        "run z: HTTP 503; attempt 3 in 4.5 s (and 99 others before)",
    ]


def test_draining_says_what_a_second_ctrl_c_does() -> None:
    view, console, _ = plain()
    view.draining(3)
    assert written(console) == ("draining 3 running tasks ... press Ctrl-C again to stop now\n")


@pytest.mark.parametrize("make", [plain, terminal])
def test_hostile_text_cannot_steer_the_terminal(make: object) -> None:
    view, console, _ = make()  # type: ignore[operator]
    assert isinstance(view, LineProgress)
    view.started({Kind.RUN: 2}, {})
    view.outcomes([failed(HOSTILE, HOSTILE, HOSTILE), done("a", Kind.RUN, 0, HOSTILE)], {})
    view.retrying(Ref(Kind.RUN, HOSTILE), HOSTILE, HOSTILE, 1.0, 2)
    view.message(HOSTILE)
    view.stopped()
    text = without_ansi(written(console)).replace("\r", "")
    assert_harmless(text)
    assert text.count("[bold]x[/bold] \\x1b[2J") >= 5


# A terminal ---------------------------------------------------------------------------------


def test_a_terminal_gets_one_line_per_kind() -> None:
    view, console, clock = terminal()
    drive(view, clock)
    view.stopped()
    experiments, runs, footer = (" ".join(line.split()) for line in last_frame(console))
    assert experiments.startswith("experiments ━━━━━━━━━━━━━━━━━━━━ 4/4")
    assert runs.startswith("runs ━━━")
    assert runs.endswith("340/1,770 2 failed, 3 blocked 4.4/s 1.1 GB 5 min left")
    assert footer == "1 min 0 s, 1.1 GB sent, 17.3 MB/s"


def test_failures_scroll_above_the_lines() -> None:
    view, console, clock = terminal()
    drive(view, clock)
    text = without_ansi(written(console))
    assert text.index("run x2 failed: HTTP 413. Hint: raise the limit") < text.rindex("340/1,770")


@pytest.mark.parametrize("width", [24, 30, 40, 60, 80, 120])
def test_the_lines_fit_the_terminal_and_keep_the_counts(width: int) -> None:
    view, console, clock = terminal(width)
    view.started({Kind.EXPERIMENT: 4, Kind.RUN: 1_700}, {Kind.RUN: 70})
    view.tick(0)
    clock.forward(5)
    view.outcomes([done(str(n), Kind.RUN, 10_000_000) for n in range(270)], {})
    view.tick(1_000_000)
    view.stopped()
    lines = last_frame(console)
    assert max(len(line) for line in lines) <= width
    assert "340/1,770" in lines[-2]


def test_the_cursor_comes_back_also_without_a_start() -> None:
    view, console, _ = terminal()
    view.stopped()
    view.started({Kind.RUN: 1}, {})
    view.stopped()
    view.stopped()
    text = written(console)
    assert text.count("\x1b[?25l") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_stdout_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    view, console, _ = terminal()
    view.started({Kind.RUN: 1}, {})
    print("the result")
    view.stopped()
    assert capsys.readouterr().out == "the result\n"
    assert "the result" not in written(console)


# JSON ---------------------------------------------------------------------------------------


def json_view() -> tuple[JsonProgress, io.StringIO, HandClock]:
    stream, clock = io.StringIO(), HandClock()
    return JsonProgress(stream, clock, wall_clock=lambda: 1_700_000_000.0), stream, clock


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_events() -> None:
    view, stream, _ = json_view()
    view.started({Kind.RUN: 2, Kind.LOGGED_MODEL: 1}, {Kind.EXPERIMENT: 1})
    outcome = Outcome(
        ref=RUN,
        status=TaskStatus.FAILED,
        target_id="t",
        wrote=True,
        bytes_sent=5,
        files_sent=1,
        losses=(Loss("w", "r"),),
        warnings=("careful",),
        error="HTTP 400",
        hint="cut it",
        seconds=0.5,
    )
    view.outcomes([outcome], {Kind.LOGGED_MODEL: 1})
    view.retrying(RUN, "train", "HTTP 503", 2.0, 2)
    view.message("hello")
    view.draining(1)
    view.stopped()
    read = events(stream)
    assert {event.pop("time") for event in read} == {1_700_000_000_000}
    kind = {"skipped": 0, "per_second": None}
    assert read == [
        {
            "event": "started",
            "totals": {"run": 2, "logged model": 1},
            "done": {"experiment": 1},
        },
        {
            "event": "task",
            "kind": "run",
            "id": "abc",
            "status": "failed",
            "target_id": "t",
            "wrote": True,
            "bytes_sent": 5,
            "files_sent": 1,
            "seconds": 0.5,
            "losses": [{"what": "w", "reason": "r"}],
            "warnings": ["careful"],
            "error": "HTTP 400",
            "hint": "cut it",
        },
        {"event": "blocked", "kinds": {"logged model": 1}},
        {
            "event": "retrying",
            "kind": "run",
            "id": "abc",
            "name": "train",
            "error": "HTTP 503",
            "in_seconds": 2.0,
            "attempt": 2,
        },
        {"event": "message", "text": "hello"},
        {"event": "draining", "running": 1},
        {
            "event": "progress",
            "bytes_sent": 5,
            "kinds": {
                "experiment": {
                    **kind,
                    "total": 1,
                    "done": 1,
                    "failed": 0,
                    "blocked": 0,
                    "left": 0,
                    "bytes_sent": 0,
                    "seconds_left": 0.0,
                },
                "run": {
                    **kind,
                    "total": 2,
                    "done": 0,
                    "failed": 1,
                    "blocked": 0,
                    "left": 1,
                    "bytes_sent": 5,
                    "seconds_left": None,
                },
                "logged model": {
                    **kind,
                    "total": 1,
                    "done": 0,
                    "failed": 0,
                    "blocked": 1,
                    "left": 0,
                    "bytes_sent": 0,
                    "seconds_left": 0.0,
                },
            },
        },
        {"event": "stopped"},
    ]


def test_json_progress_comes_every_ten_seconds() -> None:
    view, stream, clock = json_view()
    view.started({Kind.RUN: 10}, {})
    for _ in range(100):
        clock.forward(0.25)
        view.tick(0)
    assert [event["event"] for event in events(stream)] == ["started", "progress", "progress"]


def test_json_lines_are_ascii() -> None:
    view, stream, _ = json_view()
    view.message(HOSTILE)
    view.outcomes([failed(HOSTILE, HOSTILE)], {})
    assert stream.getvalue().isascii()
    assert_harmless(stream.getvalue())
    assert events(stream)[0]["text"] == HOSTILE


# The choice ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_json", "quiet", "is_terminal", "expected"),
    [
        (False, False, True, RichProgress),
        (False, False, False, PlainProgress),
        (True, False, True, JsonProgress),
        (True, False, False, JsonProgress),
        (True, True, True, QuietProgress),
        (False, True, False, QuietProgress),
    ],
)
def test_the_view_fits_the_options(
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
    quiet: bool,
    is_terminal: bool,
    expected: type,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    view = choose_view(json=as_json, quiet=quiet, stderr_is_terminal=is_terminal)
    assert type(view) is expected


def test_a_terminal_that_cannot_move_its_cursor_gets_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")
    view = choose_view(json=False, quiet=False, stderr_is_terminal=True)
    assert type(view) is PlainProgress


@pytest.mark.parametrize(
    ("as_json", "quiet", "is_terminal"),
    [(False, False, True), (False, False, False), (True, False, False), (False, True, True)],
)
def test_every_view_leaves_stdout_to_the_result(
    capsys: pytest.CaptureFixture[str], as_json: bool, quiet: bool, is_terminal: bool
) -> None:
    view = choose_view(json=as_json, quiet=quiet, stderr_is_terminal=is_terminal)
    drive(view, HandClock())
    view.draining(1)
    view.message("m")
    view.retrying(RUN, "n", "e", 1.0, 2)
    view.stopped()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert bool(captured.err) is not quiet
