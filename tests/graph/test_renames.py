"""Rules for the names of copies, and the files that hold them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import UsageError
from migrate.graph.naming import check_distinct, idle_rules
from migrate.graph.renames import NO_RENAMES, Renames, Rule, read_rules, renamed
from migrate.kinds import Kind

#: Few letters, so that names begin with one another often.
SHORT = st.text("ab/", min_size=1, max_size=4)
RULES = st.lists(st.tuples(SHORT, SHORT), max_size=5)
#: What a name may hold but the ends of lines.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1)


@given(SHORT, RULES)
def test_the_first_rule_that_fits_replaces_the_beginning_once(name: str, rules: list[Rule]) -> None:
    fitting = [(old, new) for old, new in rules if name[: len(old)] == old]
    if fitting:
        old, new = fitting[0]
        assert renamed(name, rules) == new + name[len(old) :]
    else:
        assert renamed(name, rules) == name


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("foo", "bar"),
        ("foo/foo-1", "bar/foo-1"),
        ("a foo", "a foo"),
        ("foobar", "barbar"),
        ("bar", "baz"),
        ("b", "b"),
    ],
)
def test_a_rule_fits_whole_names_and_beginnings(name: str, new: str) -> None:
    assert renamed(name, [("foo", "bar"), ("bar", "baz"), ("foobar", "never")]) == new


@given(SHORT, RULES, RULES)
def test_experiments_and_registered_models_have_rules_of_their_own(
    name: str, experiments: list[Rule], models: list[Rule]
) -> None:
    renames = Renames(tuple(experiments), tuple(models))
    assert renames.name_for(Kind.EXPERIMENT, name) == renamed(name, experiments)
    assert renames.name_for(Kind.REGISTERED_MODEL, name) == renamed(name, models)
    assert renames.name_for(Kind.PROMPT, name) == renamed(name, models)
    for kind in set(Kind) - {Kind.EXPERIMENT, Kind.REGISTERED_MODEL, Kind.PROMPT}:
        assert renames.name_for(kind, name) == name
    assert bool(renames) == bool(experiments or models)
    assert not NO_RENAMES


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4))
def test_any_names_in_quotes_are_read_back(rules: list[Rule]) -> None:
    quoted = [[f'"{name.replace(chr(34), chr(34) * 2)}"' for name in rule] for rule in rules]
    text = "\n\n".join(" , ".join(rule) for rule in quoted)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rules.csv"
        path.write_text(text, encoding="utf-8")
        assert read_rules(path, "--x") == tuple(rules)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("a,b", [("a", "b")]),
        ("\ufeffa , b\r\n\r\n\tc,d e\r\n", [("a", "b"), ("c", "d e")]),
        ('"a, b",c\n"with ""quotes""",it\'s', [("a, b", "c"), ('with "quotes"', "it's")]),
        ('" a "," b"\n a b ,\tc', [(" a ", " b"), ("a b", "c")]),
        ('5" disk,disk', [('5" disk', "disk")]),
        ("/Users/me@x.com,/Users/you@x.com", [("/Users/me@x.com", "/Users/you@x.com")]),
    ],
)
def test_files_as_people_write_them(tmp_path: Path, text: str, rules: list[Rule]) -> None:
    path = tmp_path / "rules.csv"
    path.write_bytes(text.encode())
    assert read_rules(path, "--x") == tuple(rules)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n\nc\n", r"--x: line 3 of .*rules\.csv has 1 names, not two: 'c'"),
        ("a,b,c", "line 1 of .* has 3 names"),
        (",b", "line 1 of .* has an empty name"),
        ('"",b', "line 1 of .* has an empty name"),
        ('"a,b', r"line 1 of .* is no rule \(are its quotes right\?\)"),
        ('"a"b,c', "line 1 of .* is no rule"),
        (' "a,b', "line 1 of .* is no rule"),
        ("", "holds no rule"),
        (" \n\t\n", "holds no rule"),
    ],
)
def test_what_is_no_rule_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "rules.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        read_rules(path, "--x")
    assert "old_name,new_name" in caught.value.hint


@given(st.lists(SHORT, unique=True), RULES)
def test_copies_of_one_name_are_found_and_both_originals_told(
    names: list[str], rules: list[Rule]
) -> None:
    pairs = [(name, renamed(name, rules)) for name in names]
    new = [pair[1] for pair in pairs]
    met = sorted({name for name in new if new.count(name) > 1})
    if not met:
        check_distinct(Kind.EXPERIMENT, pairs)
        return
    with pytest.raises(UsageError) as caught:
        check_distinct(Kind.EXPERIMENT, pairs)
    (told,) = (name for name in met if f"would all be called {name!r}" in caught.value.message)
    for old in (pair[0] for pair in pairs if pair[1] == told):
        assert repr(old) in caught.value.message
    assert (f"and {len(met) - 1} more such names" in caught.value.message) == (len(met) > 1)


@given(st.lists(SHORT), RULES)
def test_a_rule_is_idle_when_leaving_it_out_changes_no_name(
    names: list[str], rules: list[Rule]
) -> None:
    told = idle_rules(Kind.REGISTERED_MODEL, names, rules)
    for number, (old, new) in enumerate(rules):
        others = [rule for n, rule in enumerate(rules) if n != number]
        if any(renamed(name, rules) != renamed(name, others) for name in names):
            assert not [line for line in told if f"rule '{old},{new}' " in line]
    unused = [rule for rule in rules if not any(name.startswith(rule[0]) for name in names)]
    for old, new in unused:
        assert [line for line in told if f"'{old},{new}' of the rename file fits no reg" in line]
