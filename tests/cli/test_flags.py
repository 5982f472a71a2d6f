"""Flags that scripts write with a boolean behind them."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from migrate.cli.flags import plain_flags
from tests.commands import app

#: As of the commands: one flag that is off when left out, and one with a word for off.
FLAGS = {"--verbose": "", "--use-threads": "--no-use-threads"}
ON = {"--verbose": ["--verbose"], "--use-threads": ["--use-threads"]}
OFF: dict[str, list[str]] = {"--verbose": [], "--use-threads": ["--no-use-threads"]}

TRUE = ["True", "true", "TRUE", "t", "1", "yes", "Y", "on"]
FALSE = ["False", "false", "FALSE", "f", "0", "no", "N", "off"]


@pytest.mark.parametrize("flag", FLAGS)
def test_booleans_are_words_of_their_own_or_behind_an_equals_sign(flag: str) -> None:
    assert plain_flags([flag], FLAGS) == ON[flag]
    for word in TRUE:
        assert plain_flags([flag, word], FLAGS) == ON[flag]
        assert plain_flags([f"{flag}={word}"], FLAGS) == ON[flag]
    for word in FALSE:
        assert plain_flags([flag, word], FLAGS) == OFF[flag]
        assert plain_flags([f"{flag}={word}"], FLAGS) == OFF[flag]


@pytest.mark.parametrize("words", [["maybe"], [""], ["2"], ["None"], ["out", "True"]])
def test_what_is_no_boolean_is_told(words: list[str]) -> None:
    with pytest.raises(typer.BadParameter, match=r"--verbose '.*': write True or False"):
        plain_flags(["--verbose", *words], FLAGS)
    with pytest.raises(typer.BadParameter, match=r"--verbose '.*': write True or False"):
        plain_flags([f"--verbose={words[0]}"], FLAGS)


@given(st.lists(st.sampled_from(["--output-dir", "out", "--no-use-threads", "-x", "True", "a=b"])))
def test_all_else_stays_as_it_is(words: list[str]) -> None:
    assert plain_flags(words, FLAGS) == words
    assert plain_flags(["--verbose", *["--output-dir", "out"], *words], FLAGS) == [
        "--verbose",
        "--output-dir",
        "out",
        *words,
    ]


@given(st.lists(st.booleans(), min_size=1), st.sampled_from(sorted(FLAGS)))
def test_what_is_said_last_holds(said: list[bool], flag: str) -> None:
    words = [word for value in said for word in (flag, str(value), "--state", "x")]
    plain = [word for word in plain_flags(words, FLAGS) if word not in ("--state", "x")]
    assert plain == (ON if said[-1] else OFF)[flag]


COMMANDS = ["export-all", "export-models", "export-experiments"]
COMMANDS += ["import-all", "import-models", "import-experiments"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_the_six_commands_takes_a_boolean(command: str) -> None:
    params = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    flags = [param.opts[0] for param in params if getattr(param, "is_flag", False)]
    assert {"--use-threads", "--json", "--quiet", "--debug"} <= set(flags)
    for flag in flags:
        for bad in ([flag, "maybe"], [f"{flag}=maybe"]):
            told = CliRunner().invoke(app, [command, *bad])
            assert (told.exit_code, f"{flag} 'maybe': write True" in told.output) == (2, True)
        given_no_more = CliRunner().invoke(app, [command, flag, "False"])
        assert "Missing option" in given_no_more.output
