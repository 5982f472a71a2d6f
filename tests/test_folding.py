"""Names that some databases take for one."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.folding import (
    ANY_FOLDING,
    NO_FOLDING,
    Folding,
    may_be_one,
    spelled_otherwise,
    twins,
)

CASE = Folding(case=True)
CASE_AND_BLANKS = Folding(case=True, blanks=True)
ACCENTS = Folding(accents=True)


@pytest.mark.parametrize(
    ("folding", "names", "left_out"),
    [
        (CASE, ("lr", "LR"), {"lr": "LR"}),
        (CASE, ("a ", "a", "A"), {"a": "A"}),
        (CASE_AND_BLANKS, ("a ", "a", "A"), {"a": "A", "a ": "A"}),
        (CASE, ("e\u0301t\u00e9", "\u00e9te\u0301"), {"\u00e9te\u0301": "e\u0301t\u00e9"}),
        (CASE, ("STRASSE", "stra\u00dfe"), {"stra\u00dfe": "STRASSE"}),
        (CASE, (" a", "a", "a_b", "a-b", "\u00e4"), {}),
        (ACCENTS, ("Muller", "M\u00fcller", "muller"), {"M\u00fcller": "Muller"}),
        (ACCENTS, ("\u212bngstr\u00f6m", "Angstrom"), {"\u212bngstr\u00f6m": "Angstrom"}),
        (ANY_FOLDING, ("muller", "M\u00dcLLER "), {"muller": "M\u00dcLLER "}),
        (ANY_FOLDING, ("A\u0345", "a\u0399"), {"a\u0399": "A\u0345"}),
        (NO_FOLDING, ("a", "A", "a ", "\u00e4", "a\u0308"), {}),
    ],
)
def test_of_names_that_fold_to_one_the_same_stays_in_any_order(
    folding: Folding, names: tuple[str, ...], left_out: dict[str, str]
) -> None:
    for order in itertools.permutations(names):
        assert twins(order, folding) == left_out


@given(st.text(min_size=1).filter(lambda text: unicodedata.is_normalized("NFC", text)))
def test_another_spelling_is_found_by_the_folding_it_asks_for_and_by_no_less(name: str) -> None:
    for way, other in spelled_otherwise(name).items():
        assert other != name
        assert may_be_one(name, other)
        assert NO_FOLDING.of(other) != NO_FOLDING.of(name)
        others = {field: field != way for field in Folding._fields}
        if name.isascii():
            assert Folding(**{way: True}).of(name) == Folding(**{way: True}).of(other)
            assert Folding(**others).of(name) != Folding(**others).of(other)
