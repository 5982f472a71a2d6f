"""What the user chose is kept with the plan, and laid over what was chosen before."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.cli.choices import Choices, parse_choices, parse_notebook_formats
from migrate.cli.stored_choices import choices_of
from migrate.errors import StateError, UsageError
from migrate.graph.renames import Renames
from migrate.graph.selection import Selection
from migrate.kinds import Kind
from migrate.objects import NOTEBOOK_FORMATS, STAGES
from migrate.plans import Plan, Side
from migrate.tasks.experiment import TRASH_CHOICES

TEXT = st.text(min_size=1, max_size=8)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)
TIMES = st.none() | st.integers(0, 2**45)
PLACE = st.sampled_from(["", "http://127.0.0.1:5000", "https://registry.example.com/mlflow"])
SOME_STAGES = st.sets(st.sampled_from(STAGES)).map(lambda found: tuple(sorted(found)))

SELECTIONS = {
    "experiments": TEXTS,
    "started_from": TIMES,
    "until": TIMES,
    "include_deleted": st.booleans(),
    "models": TEXTS,
    "stages": SOME_STAGES,
    "latest_versions": st.booleans(),
    "all_runs": st.booleans(),
    "traces": st.booleans(),
    "traces_from": TIMES,
    "traces_until": TIMES,
    "without": st.sets(st.sampled_from(Kind)).map(lambda found: tuple(sorted(found))),
    "requested": st.booleans(),
}
CHOICES = {
    "selection": st.builds(Selection, **SELECTIONS),  # type: ignore[arg-type]
    "if_trashed": st.sampled_from(TRASH_CHOICES),
    "most_placeholders": st.integers(0, 2_000_000),
    "replaces": st.sampled_from(["", "0123456789ab"]),
    "locations": PAIRS,
    "quick": st.booleans(),
    "repair": st.booleans(),
    "renames": st.builds(Renames, PAIRS, PAIRS),
    "source_tags": st.booleans(),
    "source_user": st.booleans(),
    "permissions": st.booleans(),
    "users": TEXTS,
    "passwords": PLACE,
    "version_models": st.booleans(),
    "notebook_formats": st.sets(st.sampled_from(NOTEBOOK_FORMATS)).map(
        lambda found: tuple(sorted(found))
    ),
    "source_registry": PLACE,
    "target_registry": PLACE,
    "source_auth": PLACE,
    "target_auth": PLACE,
    "source_artifacts": TEXTS,
    "target_artifacts": TEXTS,
    "keeps_files": st.booleans(),
    "source_workspace": PLACE,
    "target_workspace": PLACE,
}
ANY_CHOICES = st.builds(Choices, **CHOICES)  # type: ignore[arg-type]
NOTHING_CHOSEN = Choices(selection=Selection())
#: What JSON may hold.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


def kept(choices: Choices) -> Choices:
    """What a stored plan says that it was made with."""
    return choices_of(_plan(json.loads(json.dumps(choices.as_options()))))


def _plan(options: dict[str, Any]) -> Plan:
    side = Side(uri="", identity="", description="")
    return Plan(migration_id="", created=0, source=side, target=side, options=options, tasks=())


def test_every_choice_is_among_those_tried_here() -> None:
    assert CHOICES.keys() == {field.name for field in dataclasses.fields(Choices)}
    assert SELECTIONS.keys() == {field.name for field in dataclasses.fields(Selection)}


@given(ANY_CHOICES)
def test_choices_are_kept_with_the_plan(choices: Choices) -> None:
    assert kept(choices) == choices
    places = {"source_artifacts": (), "target_artifacts": ()}
    places |= {"source_workspace": "", "target_workspace": ""}
    selecting = dataclasses.replace(choices, **places)
    assert choices.selects == (selecting != NOTHING_CHOSEN)


@pytest.mark.parametrize(
    "field", ["source_registry", "target_registry", "source_auth", "target_auth"]
)
def test_no_password_is_kept_with_the_plan(field: str) -> None:
    uri = "https://ada:s3cret@registry.example.com/mlflow"
    choices = dataclasses.replace(NOTHING_CHOSEN, **{field: uri})
    assert "s3cret" not in json.dumps(choices.as_options())
    assert getattr(kept(choices), field) == "https://registry.example.com/mlflow"


@given(ANY_CHOICES, ANY_CHOICES)
def test_what_is_chosen_now_goes_before_what_was_chosen_then(now: Choices, then: Choices) -> None:
    both = now.over(then)
    for name in CHOICES:
        chosen, default = getattr(now, name), getattr(NOTHING_CHOSEN, name)
        assert getattr(both, name) == (chosen if chosen != default else getattr(then, name))
    assert NOTHING_CHOSEN.over(then) == then
    assert now.over(NOTHING_CHOSEN) == now


@given(ANY_CHOICES)
def test_tasks_are_told_all_that_concerns_them(choices: Choices) -> None:
    policy = choices.policy("migration")
    assert policy.migration_id == "migration"
    of_tasks = {field.name for field in dataclasses.fields(policy)} & CHOICES.keys()
    assert of_tasks == {
        "locations",
        "if_trashed",
        "most_placeholders",
        "repair",
        "replaces",
        "source_tags",
        "source_user",
        "permissions",
        "version_models",
        "notebook_formats",
    }
    for name in of_tasks:
        assert getattr(policy, name) == getattr(choices, name)


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        ([], []),
        (["SOURCE"], ["SOURCE"]),
        (["dbc, source", "HTML,,dbc"], ["SOURCE", "HTML", "DBC"]),
        (["jupyter,html,source,dbc"], list(NOTEBOOK_FORMATS)),
        ([""], []),
    ],
)
def test_notebook_formats_are_named_in_any_case_and_order(
    values: list[str], formats: list[str]
) -> None:
    assert parse_notebook_formats(values) == tuple(formats)


@pytest.mark.parametrize("value", ["PDF", "SOURCE,IPYNB", "SOURCE HTML"])
def test_an_unknown_notebook_format_is_told(value: str) -> None:
    with pytest.raises(UsageError, match="is no format of a Databricks notebook") as caught:
        parse_notebook_formats([value])
    assert caught.value.hint == "the formats are SOURCE, HTML, JUPYTER, DBC"


def test_users_are_copied_by_their_own_option_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on request only"):
        parse_choices(kinds=["users,roles"])
    with pytest.raises(UsageError, match="users are asked for"):
        parse_choices(kinds=["runs"], with_users=True)
    file = tmp_path / "passwords"
    chosen = parse_choices(kinds=["users"], passwords=file)
    assert chosen.passwords == str(file)
    assert chosen.selects
    assert not file.exists()
    file.write_text("mine")
    with pytest.raises(UsageError, match="not of this tool"):
        parse_choices(passwords=file)


#: What no option is.
NONE_OF_THEM = (2.5, float("inf"), {"a": "bc"}, [5], [["a"]], "soon\n", [None])


@pytest.mark.parametrize("value", NONE_OF_THEM, ids=repr)
@pytest.mark.parametrize(
    "name",
    [name for name, value in NOTHING_CHOSEN.as_options().items() if not isinstance(value, str)],
)
def test_an_option_of_another_type_is_an_error(name: str, value: object) -> None:
    with pytest.raises(StateError, match=f"the state database holds .*{name}|cannot be read"):
        choices_of(_plan({**NOTHING_CHOSEN.as_options(), name: value}))


@given(st.sampled_from(sorted(NOTHING_CHOSEN.as_options())), ANYTHING)
def test_what_a_plan_holds_is_read_as_it_is_or_not_at_all(name: str, value: object) -> None:
    with suppress(StateError):
        choices = choices_of(_plan({**NOTHING_CHOSEN.as_options(), name: value}))
        assert choices.as_options()[name] == value
