"""Amounts read well and never mislead; no text from a server can steer a terminal."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.kinds import Kind, Ref
from migrate.views.layout import console_on, say
from migrate.views.words import (
    about,
    counted,
    duration,
    label,
    of_kind,
    one_line,
    per_kind,
    printable,
    rate,
    size,
)

from .samples import HOSTILE, assert_harmless


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_234_567_890, "1.2 GB"),
        (5 * 10**12, "5.0 TB"),
        (2_500 * 10**15, "2,500.0 PB"),
    ],
)
def test_sizes_are_decimal(number: int, text: str) -> None:
    assert size(number) == text


@given(st.integers(0, 10**17))
def test_a_size_is_off_by_less_than_a_rounding(number: int) -> None:
    amount, unit = size(number).replace(",", "").split()
    factor = 1_000 ** ["B", "kB", "MB", "GB", "TB", "PB"].index(unit)
    assert abs(float(amount) * factor - number) <= 0.051 * factor


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0.4 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (250, "4 min 10 s"),
        (7_800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "1 s"), (40, "40 s"), (250, "4 min"), (18_000, "5 h"), (260_000, "3 d")],
)
def test_estimates_have_one_unit(seconds: float, text: str) -> None:
    assert about(seconds) == text


def test_rates() -> None:
    assert [rate(speed) for speed in (0.05, 5.12, 1_234.5)] == ["3.0/min", "5.1/s", "1,234/s"]


def test_numbers_have_separators_and_nouns_agree() -> None:
    assert counted(1_770, "file") == "1,770 files"
    assert counted(1, "loss", "losses") == "1 loss"
    assert of_kind(1, Kind.RUN) == "1 run"
    assert of_kind(-1, Kind.TRACE) == "traces"
    counts = {Kind.RUN: 1_770, Kind.EXPERIMENT: 1, Kind.TRACE: 0}
    assert per_kind(counts) == "1 experiment, 1,770 runs"


def test_a_label_names_the_object() -> None:
    assert label(Ref(Kind.RUN, "abc"), "träin") == 'run "träin" (abc)'
    assert label(Ref(Kind.RUN, "abc")) == "run abc"
    assert len(label(Ref(Kind.RUN, "abc"), "n" * 5_000)) < 100


def test_escapes_stay_readable() -> None:
    assert printable("a\x1b[31m\nb\u202e") == "a\\x1b[31m\\nb\\u202e"


@pytest.mark.parametrize("text", ["naïve 名前 🧪", "می‌خواهم", "👨‍👩‍👧", "a\u3000b\u00a0c"])
def test_scripts_and_emoji_are_kept(text: str) -> None:
    assert printable(text) == text


@given(st.text(st.characters()))
def test_no_text_steers_the_terminal(text: str) -> None:
    assert_harmless(printable(text))
    assert_harmless(one_line(text))
    assert "\n" not in one_line(text)
    assert printable(printable(text)) == printable(text)


def test_a_message_becomes_one_line_of_bounded_length() -> None:
    assert one_line("<html>\r\n\t<body>") == "<html> <body>"
    assert len(one_line("x" * 100_000)) == 1_000


def test_text_is_taken_literally_and_lines_are_not_broken() -> None:
    stream = io.StringIO()
    say(console_on(stream), "[red]x[/red] :smile: " + "w" * 500)
    assert stream.getvalue() == "[red]x[/red] :smile: " + "w" * 500 + "\n"


def test_an_ascii_stream_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    say(console_on(sys.stdout), printable(HOSTILE))
    sys.stdout.flush()
    assert b"\\xe9 \\u540d" in raw.getvalue()
