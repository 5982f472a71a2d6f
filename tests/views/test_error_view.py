"""An error is a line that says what is wrong and one that says what to do, on stderr."""

from __future__ import annotations

import pytest

from migrate.errors import NotAuthenticated, UsageError
from migrate.views.errors import print_error

from .samples import HOSTILE, assert_harmless, text_console, written


def test_error_and_hint_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(NotAuthenticated("http://old:5000 says 401", "Set MLFLOW_TRACKING_TOKEN."))
    captured = capsys.readouterr()
    assert captured.err == ("Error: http://old:5000 says 401\nHint: Set MLFLOW_TRACKING_TOKEN.\n")
    assert captured.out == ""


def test_without_a_hint_there_is_no_hint_line() -> None:
    console = text_console()
    print_error(UsageError("no such option"), console)
    assert written(console) == "Error: no such option\n"


def test_lines_of_a_message_cannot_pose_as_ours() -> None:
    console = text_console()
    print_error(UsageError("first\nHint: run this\n"), console)
    assert written(console) == "Error: first\n       Hint: run this\n"


def test_hostile_text_cannot_steer_the_terminal() -> None:
    console = text_console()
    print_error(UsageError(HOSTILE, HOSTILE), console)
    assert_harmless(written(console))
    assert "[bold]x[/bold] \\x1b[2J" in written(console)


def test_an_empty_message_is_still_an_error() -> None:
    console = text_console()
    print_error(UsageError(""), console)
    assert written(console) == "Error: unknown\n"
