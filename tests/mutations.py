"""JSON that went wrong in one place, as hypothesis strategies: what a broken server may send."""

from __future__ import annotations

import copy
import math
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
    _nested(900),
)
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


def changed(value: Any, path: Path, change: Any) -> Any:
    """The same value with something else at ``path``; there missing, or in a list twice."""
    if not path:
        return None if change in (MISSING, TWICE) else copy.deepcopy(change)
    result = copy.deepcopy(value)
    holder = result
    for step in path[:-1]:
        holder = holder[step]
    if change is MISSING:
        del holder[path[-1]]
    elif change is TWICE:
        if isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            holder[path[-1]] = [holder[path[-1]]] * 2
    else:
        holder[path[-1]] = copy.deepcopy(change)
    return result


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """One change at one place of a JSON value."""
    path = draw(st.sampled_from(paths_in(value)))
    change = draw(st.sampled_from((*REPLACEMENTS, MISSING, TWICE)))
    return changed(value, path, change)
