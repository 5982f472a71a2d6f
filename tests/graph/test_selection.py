"""What the user selects: tokens of every form, files of names, and dates."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import UsageError
from migrate.graph.selection import (
    Selection,
    candidate_names,
    choose_experiments,
    choose_models,
    needs_all_names,
    parse_stages,
    parse_time,
    parse_tokens,
    selection_from_options,
)
from migrate.kinds import Kind
from migrate.objects import ACTIVE, DELETED, STAGES, Experiment, ModelVersion, Run
from migrate.outcomes import LeftOut, LeftOutCode

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


class TestModels:
    NAMES = frozenset({"iris", "iris-v2", "wine, red", "wine", "all-round", "wild*"})

    @pytest.mark.parametrize(
        ("tokens", "names"),
        [
            (["iris"], {"iris"}),
            (["iris*"], {"iris", "iris-v2"}),
            (["wine, red"], {"wine, red"}),
            (["iris,wine"], {"iris", "wine"}),
            (["iris-*, wine", "wild*"], {"iris-v2", "wine", "wild*"}),
            (["*"], NAMES),
            ([], None),
            (["all"], None),
            (["iris,all"], None),
        ],
    )
    def test_tokens_are_those_of_experiments_without_ids(
        self, tokens: list[str], names: set[str] | None
    ) -> None:
        assert choose_models(tokens, self.NAMES) == names

    def test_every_unknown_one_is_named_with_the_nearest_names(self) -> None:
        with pytest.raises(UsageError) as caught:
            choose_models(["irsi", "wine,gone"], self.NAMES)
        assert caught.value.message.endswith("is called: 'irsi', 'gone'")
        assert caught.value.hint == "did you mean 'iris'?"
        with pytest.raises(UsageError, match="'iris'") as caught:
            choose_models(["iris"], ())
        assert "migrate plan" in caught.value.hint

    @given(st.lists(st.sampled_from(["iris", "wine, red", "iris,wine", "wild", " wine ,"])))
    def test_names_can_be_looked_for_without_a_list_of_all(self, tokens: list[str]) -> None:
        """Where no list is needed, those that exist of the candidates lead to the same choice."""
        names = self.NAMES | {"wild", " wine ,"}
        assert not needs_all_names(tokens)
        there = names & set(candidate_names(tokens))
        assert choose_models(tokens, there) == choose_models(tokens, names)

    @pytest.mark.parametrize("token", ["all", "iris*", "iris, all", "a,iris*,b", "*"])
    def test_all_and_prefixes_need_a_list(self, token: str) -> None:
        assert needs_all_names(["wine", token])

    def test_candidates_are_wholes_and_parts_each_once(self) -> None:
        tokens = ["a, b", "b", "c"]
        assert candidate_names(tokens) == ("a, b", "a", "b", "c")


class TestStages:
    def test_stages_are_taken_in_any_case_and_order(self) -> None:
        assert parse_stages(["production, NONE", "Staging", "PRODUCTION"]) == (
            "Staging",
            "Production",
            "None",
        )
        assert parse_stages([]) == ()
        assert set(parse_stages([stage.upper() for stage in STAGES])) == set(STAGES)

    @pytest.mark.parametrize("value", ["Prod", "Staging,Prod", "", ","])
    def test_anything_else_is_refused_with_the_four(self, value: str) -> None:
        with pytest.raises(UsageError, match="--stages") as caught:
            parse_stages([value])
        assert all(stage in caught.value.hint for stage in STAGES)

    @pytest.mark.parametrize(
        ("selection", "taken"),
        [
            (Selection(), {1, 2, 3, 4}),
            (Selection(stages=("Production",)), {1, 2}),
            (Selection(latest_versions=True), {2, 3, 4}),
            (Selection(stages=("Production", "None"), latest_versions=True), {2, 4}),
        ],
        ids=["all", "stage", "newest", "both"],
    )
    def test_versions_are_chosen_by_stage_and_age(
        self, selection: Selection, taken: set[int]
    ) -> None:
        stages = {1: "Production", 2: "Production", 3: "Archived", 4: "None"}
        reasons = {
            number: selection.leaves_out_version(
                ModelVersion(name="iris", version=number, stage=stage), newest=number != 1
            )
            for number, stage in stages.items()
        }
        assert {number for number, reason in reasons.items() if not reason} == taken
        assert all("--" in reason.text for reason in reasons.values() if reason)

    def test_versions_of_prompts_have_no_stage_and_are_never_left_out(self) -> None:
        version = ModelVersion(name="greet", version=1, kind=Kind.PROMPT_VERSION)
        selection = Selection(stages=("Production",), latest_versions=True)
        assert selection.leaves_out_version(version, newest=False) is None


@pytest.mark.parametrize(
    ("selection", "whole", "registry", "only"),
    [
        (Selection(), True, True, False),
        (Selection(experiments=("a",)), False, False, False),
        (Selection(models=("m",)), False, True, True),
        (Selection(experiments=("a",), models=("m",)), False, True, False),
    ],
    ids=["nothing", "experiments", "models", "both"],
)
def test_what_is_named_decides_about_the_rest(
    selection: Selection, whole: bool, registry: bool, only: bool
) -> None:
    assert (selection.whole_server, selection.takes_registry, selection.only_models) == (
        whole,
        registry,
        only,
    )


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


def why_left_out(selection: Selection, item: Run) -> LeftOut | None:
    return selection.leaves_out_content(item.lifecycle_stage, item.start_time)


def test_a_window_takes_its_first_millisecond_and_not_its_last() -> None:
    window = Selection(started_from=1_000, until=2_000)
    reasons = {start: why_left_out(window, run(start)) for start in (999, 1_000, 1_999, 2_000)}
    assert reasons == {
        999: LeftOut(LeftOutCode.FILTERED, "started before --run-start-time"),
        1_000: None,
        1_999: None,
        2_000: LeftOut(LeftOutCode.FILTERED, "not started before --runs-until"),
    }


def test_deleted_things_are_left_out_with_the_option_that_takes_them() -> None:
    gone = Experiment(experiment_id="1", name="x", lifecycle_stage=DELETED)
    for selection, left_out in ((Selection(), True), (Selection(include_deleted=True), False)):
        reasons = [
            why_left_out(selection, run(0, DELETED)),
            selection.leaves_out_experiment(gone, None),
        ]
        assert all(("--include-deleted" in str(reason)) is left_out for reason in reasons)


@given(
    st.builds(
        Selection,
        experiments=st.lists(st.text(max_size=9)).map(tuple),
        started_from=st.none() | st.integers(),
        until=st.none() | st.integers(),
        include_deleted=st.booleans(),
        models=st.lists(st.text(max_size=9)).map(tuple),
        stages=st.lists(st.sampled_from(STAGES)).map(tuple),
        latest_versions=st.booleans(),
        all_runs=st.booleans(),
    )
)
def test_a_selection_comes_back_from_its_options(selection: Selection) -> None:
    stored = json.loads(json.dumps(selection.as_options()))
    assert selection_from_options(stored) == selection
