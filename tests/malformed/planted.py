"""Defects put on purpose into what reads answers and files: whether a check finds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any
from unittest import mock

import pytest

from migrate.endpoints import shapes
from migrate.endpoints.directory.native.run_file import IndexedRun
from migrate.endpoints.disk import open_file
from migrate.endpoints.tracking.http import bounds
from migrate.endpoints.unreadable import UnreadableObjects
from state import rows
from tests.malformed.worlds import Case, each

#: Cases within which a defect has to be found.
CASES = 400


@dataclass(frozen=True, slots=True)
class Defect:
    """A function, or a method of ``owner``, and what wrong one stands in its place."""

    name: str
    right: Callable[..., Any]
    wrong: Callable[..., Any]
    owner: type | None = None


def planted(*defects: Defect) -> pytest.MarkDecorator:
    """Have a test be about each of these defects; it takes a minute."""
    cases = [pytest.param(it, id=it.name, marks=pytest.mark.thorough) for it in defects]
    return pytest.mark.parametrize("defect", cases)


def found(defect: Defect, case: Case) -> bool:
    """Say whether a case fails while the defect is there."""
    with ExitStack() as patches:
        for owner in [defect.owner] if defect.owner else _modules():
            for name, value in list(vars(owner).items()):
                if value is defect.right:
                    patches.enter_context(mock.patch.object(owner, name, defect.wrong))
        try:
            each(range(CASES), case)
        except Exception:  # a case that breaks has found it as well
            return True
    return False


def _modules() -> list[Any]:
    """Ours: a function is in each module that imported it by name."""
    ours = ("migrate", "state")
    return [module for name, module in sys.modules.items() if name.partition(".")[0] in ours]


def _tags_or_none(body: shapes.Object, name: str) -> dict[str, str]:
    return _PAIRS(body, name) if isinstance(body.get(name), list | dict) else {}


def _items_or_none(body: shapes.Object, name: str) -> Any:
    value = body.get(name)
    return value if isinstance(value, list) else ()


def _token_or_end(page: shapes.Object) -> str:
    value = page.get("next_page_token")
    return value if isinstance(value, str) else ""


def _lines_that_are_told(self: Any, key: str) -> Iterator[bytes]:
    if history := self._histories.get(key):
        with open_file(self._base, self._path) as file:
            file.seek(history.offset)
            yield from islice(file, history.points)


_PAIRS = shapes.pairs
TAGS_ARE_NONE = Defect("tags of another type are none", shapes.pairs, _tags_or_none)
LISTS_ARE_EMPTY = Defect("a list of another type is empty", shapes.items, _items_or_none)
A_TOKEN_IS_THE_END = Defect("a token of another type is the end", bounds.token_in, _token_or_end)
UNREADABLE_IS_NOTHING = Defect(
    "what cannot be read is passed over",
    UnreadableObjects.report,
    lambda *_: None,
    UnreadableObjects,
)
COUNTS_ARE_NOT_COMPARED = Defect(
    "as many points as are told of are all", IndexedRun.lines, _lines_that_are_told, IndexedRun
)
COLUMNS_ARE_BELIEVED = Defect(
    "a column of the state is what it should be", rows.listed, lambda stored, what: stored or ()
)
WORDS_ARE_BELIEVED = Defect(
    "a word of the state is known", rows.word_of, lambda words, value, what: words(value)
)
