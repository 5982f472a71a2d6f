"""Names that some databases take for one."""

from __future__ import annotations

import itertools

import pytest

from migrate.folding import twins


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        (("lr", "LR"), {"lr": "LR"}),
        (("a ", "a", "A"), {"a": "A", "a ": "A"}),
        (("e\u0301t\u00e9", "\u00e9te\u0301"), {"\u00e9te\u0301": "e\u0301t\u00e9"}),
        (("STRASSE", "stra\u00dfe"), {"stra\u00dfe": "STRASSE"}),
        ((" a", "a", "a_b", "a-b"), {}),
    ],
)
def test_of_names_that_fold_to_one_the_same_stays_in_any_order(
    names: tuple[str, ...], left_out: dict[str, str]
) -> None:
    for order in itertools.permutations(names):
        assert twins(order) == left_out
