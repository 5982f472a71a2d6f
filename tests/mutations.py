"""JSON that went wrong in one place, as hypothesis strategies: what a broken server may send."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


#: What may stand where something else should.
REPLACEMENTS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    2**70,
    -(2**63) - 1,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    "",
    "soon",
    "17",
    "NaN",
    "..",
    "x" * 100_000,
    "\ud800",
    "a\x00b",
    [],
    [None],
    [[]],
    ["text"],
    [{}],
    {},
    {"key": None},
    {"": 0},
    _nested(300),
)
#: What may stand where a list, an object or a text should, and is none of them.
OTHER_TYPES: tuple[Any, ...] = (None, True, False, 5, 1.5, "text", [], ["text"], {}, {"key": None})
#: By which the next page is asked for; without it there seems to be none.
TOKEN = "next_page_token"
MISSING = object()
TWICE = object()


def paths_in(value: Any, path: Path = ()) -> list[Path]:
    """Every place in a JSON value, the whole of it too."""
    found = [path]
    if isinstance(value, dict):
        for name, inner in value.items():
            found += paths_in(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found += paths_in(inner, (*path, place))
    return found


def held_at(value: Any, path: Path) -> Any:
    """What a JSON value holds at a place."""
    for step in path:
        value = value[step]
    return value


def changed(value: Any, path: Path, change: Any) -> Any:
    """The same value with something else at ``path``; there missing, or in a list twice."""
    if not path:
        return None if change in (MISSING, TWICE) else change
    result = copy.copy(value)
    step = path[0]
    if len(path) > 1:
        result[step] = changed(value[step], path[1:], change)
    elif change is MISSING:
        del result[step]
    elif change is TWICE and isinstance(result, list):
        result.append(result[step])
    else:
        result[step] = [result[step]] * 2 if change is TWICE else change
    return result


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change at one place of a JSON value."""

    path: Path
    change: Any

    def of(self, value: Any) -> Any:
        """The value with the change."""
        return changed(value, self.path, self.change)

    @property
    def may_hide(self) -> bool:
        """Whether the answer may look whole, with less in it: nobody can know then."""
        if self.path[-1:] == (TOKEN,) and self.change == "":
            return True
        return self.change in (MISSING, None, []) or isinstance(self.change, dict)


@st.composite
def mutations(draw: st.DrawFn, value: Any) -> Mutation:
    """One change at one place of a JSON value."""
    path = draw(st.sampled_from(paths_in(value)))
    return Mutation(path, draw(st.sampled_from((*REPLACEMENTS, MISSING, TWICE))))


def any_mutation(value: Any, random: Random) -> Mutation:
    """One change, chosen by ``random``: for what takes too long to be made smaller.

    Every other one is at a place that tells of many things, where something can go missing in
    silence: a list or an object is something else, a token too, a number is near the right one.
    Of these each member of the whole is as likely, however much it holds: a token has one place,
    what it leads to has many.
    """
    paths = paths_in(value)
    weighty: dict[Path, list[Path]] = {}
    for path in paths:
        if _others_at(path, held_at(value, path)):
            weighty.setdefault(path[:1], []).append(path)
    if weighty and random.randrange(2):
        path = random.choice(weighty[random.choice(list(weighty))])
        return Mutation(path, random.choice(_others_at(path, held_at(value, path))))
    return Mutation(random.choice(paths), random.choice((*REPLACEMENTS, MISSING, TWICE)))


def _others_at(path: Path, held: Any) -> tuple[Any, ...]:
    if type(held) is int:
        return (0, held - 1, held + 1, 2 * held)
    if isinstance(held, list | dict) or path[-1:] == (TOKEN,):
        return tuple(other for other in OTHER_TYPES if type(other) is not type(held))
    return ()


@dataclass(frozen=True, slots=True)
class Body:
    """What a server sends, or a file holds, in place of a JSON value."""

    body: bytes
    may_hide: bool = False


def any_body(value: Any, random: Random) -> Body:
    """A JSON value with one change, or now and then with what is no such JSON."""
    if random.randrange(10):
        mutation = any_mutation(value, random)
        return Body(json.dumps(mutation.of(value)).encode(), mutation.may_hide)
    whole = json.dumps(value).encode()
    # The first is what an empty object is sent as too.
    others = (b"", whole[: len(whole) // 2], whole + whole, b"<html>log in</html>", b"\xff\xfe")
    twice = whole[:-1] + b", " + whole[1:]
    body = random.choice((*others, twice))
    return Body(body, may_hide=not body or len(whole) < 4)


def mutated(value: Any) -> st.SearchStrategy[Any]:
    """The value with one change at one place."""
    return mutations(value).map(lambda mutation: mutation.of(value))
