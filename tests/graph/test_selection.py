"""What the user selects: tokens of every form, files of names, and dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import UsageError
from migrate.graph.selection import (
    Selection,
    choose_experiments,
    parse_time,
    parse_tokens,
    selection_from_options,
)
from migrate.objects import ACTIVE, DELETED, Experiment, Run

NAMES = {
    "1": "fraud",
    "2": "fraud-v2",
    "3": "churn, weekly",
    "4": "weekly",
    "5": "1",
    "6": " spaces around ",
    "7": "wild*",
    "8": "wildlife",
    "9": "Größe/実験",
}
EXPERIMENTS = [Experiment(experiment_id=ident, name=name) for ident, name in NAMES.items()]


def chosen(*tokens: str) -> set[str] | None:
    found = choose_experiments(tokens, EXPERIMENTS)
    return None if found is None else set(found)


@pytest.mark.parametrize(
    ("tokens", "ids"),
    [
        (["fraud"], {"1"}),
        (["9"], {"9"}),
        (["fraud*"], {"1", "2"}),
        (["*"], set(NAMES)),
        (["churn, weekly"], {"3"}),
        (["fraud,weekly"], {"1", "4"}),
        (["fraud, 9 ,wildl*"], {"1", "8", "9"}),
        (["fraud,"], {"1"}),
        ([" spaces around "], {"6"}),
        (["Größe/*"], {"9"}),
        (["fraud", "weekly"], {"1", "4"}),
    ],
    ids=lambda value: ";".join(sorted(value)),
)
def test_tokens_are_names_ids_prefixes_and_lists_of_them(tokens: list[str], ids: set[str]) -> None:
    assert chosen(*tokens) == ids


def test_a_name_wins_over_an_id_and_over_a_prefix() -> None:
    assert chosen("1") == {"5"}
    assert chosen("wild*") == {"7"}


@pytest.mark.parametrize("tokens", [[], ["all"], ["fraud", "all"], ["fraud,all"]], ids=str)
def test_all_or_nothing_said_is_the_whole_server(tokens: list[str]) -> None:
    assert chosen(*tokens) is None


def test_every_unknown_token_is_named_and_near_names_are_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        chosen("fruad", "weekly,nothing-like-it", "zzz*")
    assert all(word in caught.value.message for word in ("'fruad'", "'nothing-like-it'", "'zzz*'"))
    assert "'weekly'" not in caught.value.message
    assert caught.value.hint == "did you mean 'fraud' or 'fraud-v2'?"


def test_without_a_near_name_the_hint_says_how_to_see_them_all() -> None:
    with pytest.raises(UsageError) as caught:
        chosen("qqqqqqq")
    assert "9 experiments" in caught.value.hint
    assert "migrate plan" in caught.value.hint


@pytest.mark.parametrize("token", ["", ",", " , "], ids=repr)
def test_a_token_of_nothing_selects_nothing_rather_than_all(token: str) -> None:
    with pytest.raises(UsageError, match="no experiment at the source"):
        chosen(token)


@given(st.sets(st.sampled_from(sorted(NAMES))))
def test_every_experiment_can_be_named_exactly(ids: set[str]) -> None:
    expected = ids or None
    assert chosen(*(NAMES[ident] for ident in sorted(ids))) == expected


class TestFiles:
    def test_a_file_holds_one_token_a_line_whatever_editor_wrote_it(self, tmp_path: Path) -> None:
        path = tmp_path / "names.txt"
        path.write_bytes("\ufefffraud\r\n\r\n  9  \r\nchurn, weekly\r\nGröße/*".encode())
        assert parse_tokens([str(path), "4"]) == ("fraud", "9", "churn, weekly", "Größe/*", "4")

    @pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\r\n \n\t\n"], ids=repr)
    def test_a_file_that_names_nothing_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "empty.txt"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"empty\.txt names nothing"):
            parse_tokens([str(path)])

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"cannot read .*gone\.txt"):
            parse_tokens([str(tmp_path / "gone.txt")])
        (tmp_path / "folder.txt").mkdir()
        with pytest.raises(UsageError, match=r"cannot read .*folder\.txt"):
            parse_tokens([str(tmp_path / "folder.txt")])

    def test_a_file_in_another_encoding_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "latin.txt"
        path.write_bytes("Größe".encode("latin-1"))
        with pytest.raises(UsageError, match="cannot read") as caught:
            parse_tokens([str(path)])
        assert "UTF-8" in caught.value.hint


class TestDates:
    @pytest.mark.parametrize(
        ("text", "milliseconds"),
        [
            ("1970-01-01", 0),
            ("2024-02-29", 1_709_164_800_000),
            (" 2024-02-29 ", 1_709_164_800_000),
            ("2024-02-29 12:30:15", 1_709_209_815_000),
            ("2024-02-29T12:30:15Z", 1_709_209_815_000),
            ("2024-02-29T14:30:15+02:00", 1_709_209_815_000),
            ("2024-02-29T12:30:15.089", 1_709_209_815_089),
            ("1969-12-31T23:59:59", -1_000),
        ],
    )
    def test_dates_and_times_are_utc_milliseconds(self, text: str, milliseconds: int) -> None:
        assert parse_time(text, "--runs-until") == milliseconds

    @pytest.mark.parametrize(
        "text", ["", "yesterday", "2023-02-29", "2024-13-01", "01/02/2024", "2024-02-29 25:00"]
    )
    def test_anything_else_is_refused_with_the_option_and_the_forms(self, text: str) -> None:
        with pytest.raises(UsageError) as caught:
            parse_time(text, "--runs-until")
        assert caught.value.message == f"--runs-until {text!r} is no date"
        assert "YYYY-MM-DD" in caught.value.hint

    @given(st.integers(0, 4_102_444_800_000))
    def test_no_millisecond_is_lost_on_the_way(self, milliseconds: int) -> None:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
        assert parse_time(moment.isoformat(), "--runs-until") == milliseconds


def run(start_time: int, lifecycle_stage: str = ACTIVE) -> Run:
    return Run(
        run_id="r",
        experiment_id="1",
        name="",
        user_id="",
        status="FINISHED",
        start_time=start_time,
        end_time=None,
        lifecycle_stage=lifecycle_stage,
    )


def test_a_window_takes_its_first_millisecond_and_not_its_last() -> None:
    window = Selection(started_from=1_000, until=2_000)
    reasons = {start: window.leaves_out_run(run(start)) for start in (999, 1_000, 1_999, 2_000)}
    assert reasons == {
        999: "started before --run-start-time",
        1_000: "",
        1_999: "",
        2_000: "not started before --runs-until",
    }


def test_deleted_things_are_left_out_with_the_option_that_takes_them() -> None:
    gone = Experiment(experiment_id="1", name="x", lifecycle_stage=DELETED)
    for selection, left_out in ((Selection(), True), (Selection(include_deleted=True), False)):
        reasons = [
            selection.leaves_out_run(run(0, DELETED)),
            selection.leaves_out_experiment(gone, None),
        ]
        assert all(("--include-deleted" in reason) is left_out for reason in reasons)


@given(
    st.lists(st.text(max_size=9)),
    st.none() | st.integers(),
    st.none() | st.integers(),
    st.booleans(),
)
def test_a_selection_comes_back_from_its_options(
    tokens: list[str], start: int | None, until: int | None, deleted: bool
) -> None:
    selection = Selection(
        experiments=tuple(tokens), started_from=start, until=until, include_deleted=deleted
    )
    assert selection_from_options(selection.as_options()) == selection
