"""The door by which JSON of others comes in: its members, read with MLflow's types. Pure.

Whatever a server answers or a file holds is looked at here before it is believed. What is harmless
and common passes: ``null`` for what is not there, a 64-bit integer or a float as text, a number
where a text belongs. What would have to be guessed is ``Malformed``, with the member's name.

The functions take the object and the name of a member. Objects that are ``Named`` say of themselves
where they are from; whoever reads one object of many says with ``Malformed.within`` which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from migrate.errors import Malformed
from migrate.storable import is_text

Object = Mapping[str, Any]

#: Characters; MLflow's ids are 32 long, and names in ids of versions at most 256.
LONGEST_ID = 1000
#: Ids that MLflow makes of numbers: of experiments, and of users.
_NUMBERS = frozenset({"experiment_id", "experimentId", "id"})
_INT64 = 2**63
_INT32 = 2**31
_INTEGER = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_SHOWN = 60


class Named(dict[str, Any]):
    """A JSON object that knows where it is from: ``where`` goes before what is wrong with it."""

    def __init__(self, value: Object, where: str) -> None:
        super().__init__(value)
        self.where = where


def parse_json(content: bytes | str) -> Any:
    """Return what JSON says. Raises ``ValueError``, also where an object has a member twice."""
    try:
        return json.loads(content, object_pairs_hook=_members_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in members if names.count(name) > 1)
        raise ValueError(f"it has a member twice: {twice[:_SHOWN]!r}")
    return members


def present(body: Object, name: str) -> Any:
    """Return whatever a member is, which has to be there."""
    value = body.get(name)
    if value is None:
        raise _malformed(body, name, None, "missing")
    return value


def text(body: Object, name: str, default: str = "") -> str:
    """Return a text, ``default`` where there is none; numbers as they are written."""
    value = body.get(name)
    if isinstance(value, str):
        return value
    if value is None:
        return default
    if isinstance(value, int | float):
        return str(value)
    raise _malformed(body, name, value, "no text")


def text_or_none(body: Object, name: str) -> str | None:
    """Return a text, None where there is none: where that is not the same as an empty one."""
    return None if body.get(name) is None else text(body, name)


def required_text(body: Object, *names: str, default: str | None = None) -> str:
    """Return the first of these members that is there, else ``default``; it may be empty."""
    for name in names:
        if body.get(name) is not None:
            return text(body, name)
    if default is None:
        raise _malformed(body, names[0], None, "missing")
    return default


def json_text(body: Object, name: str) -> str:
    """Return a text that is there and is JSON, as it is."""
    found = required_text(body, name)
    try:
        parse_json(found)
    except ValueError as problem:
        raise _malformed(body, name, found, f"no JSON: {problem}") from None
    return found


def ident(body: Object, *names: str) -> str:
    """Return the first of these members that is there and not empty: an id, or such a name."""
    name = next((name for name in names if body.get(name)), names[0])
    found = stored_id(body, name)
    if not found:
        raise _malformed(body, name, found, "no id")
    if not is_text(found):
        raise _malformed(body, name, found, "no id: it has characters that are none")
    return found


def stored_id(body: Object, *names: str, default: str | None = None) -> str:
    """Return the first of these members that is there, else ``default``, as an id in a file.

    That may be empty, and have characters that are none: a file system holds it all the same.
    Those alone may be numbers that are some.
    """
    name = next((name for name in names if body.get(name) is not None), names[0])
    value = body.get(name)
    if isinstance(value, int | float) and not (name in _NUMBERS and type(value) is int):
        raise _malformed(body, name, value, "no id")
    found = required_text(body, name, default=default)
    if len(found) > LONGEST_ID:
        raise _malformed(body, name, found, f"no id: it has {len(found)} characters")
    return found


def told_id(value: Any, *names: str) -> str:
    """Return an id out of what may be anything, to name what cannot be read; empty without one."""
    try:
        return ident(value, *names) if isinstance(value, dict) else ""
    except Malformed:
        return ""


def word(body: Object, name: str, words: Sequence[str]) -> str:
    """Return a member that can only be one of ``words``, the first where there is none."""
    found = text(body, name) or words[0]
    if found not in words:
        raise _malformed(body, name, found, f"none of {', '.join(words)}")
    return found


def flag(body: Object, name: str) -> bool:
    """Return a truth value, False where there is none."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _malformed(body, name, value, "neither true nor false")


def integer(body: Object, name: str) -> int | None:
    """Return a 64-bit integer, None where there is none; JSON may carry it as text."""
    value = any_integer(body, name)
    if value is not None and not -_INT64 <= value < _INT64:
        raise _malformed(body, name, value, "outside 64 bits")
    return value


def any_integer(body: Object, name: str) -> int | None:
    """Return an integer of any size, as ``integer``: for whoever can say what is lost of it."""
    value = body.get(name)
    if type(value) is int:
        return value
    if value is None:
        return None
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise _malformed(body, name, value, "no whole number")


def count(body: Object, name: str) -> int:
    """Return a size or number that cannot be negative, 0 where there is none."""
    value = integer(body, name) or 0
    if value < 0:
        raise _malformed(body, name, value, "negative")
    return value


def version_number(body: Object, name: str = "version") -> int:
    """Return the number of a version: 1 or more, and within what databases count by."""
    value = integer(body, name)
    if value is None or not 0 < value < _INT32:
        raise _malformed(
            body, name, value, "missing" if value is None else "no number of a version"
        )
    return value


def required_count(body: Object, name: str) -> int:
    """Return a size or number that has to be there."""
    present(body, name)
    return count(body, name)


def number(body: Object, name: str) -> float:
    """Return a float; ``NaN`` and infinities, for which JSON has no number, may come as text.

    It has to be there: ``null`` may stand for NaN, or for nothing.
    """
    value = body.get(name)
    if isinstance(value, float):
        return value
    try:
        if type(value) is int or isinstance(value, str):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise _malformed(body, name, value, "no number")


def member(body: Object, name: str) -> Object:
    """Return an object, an empty one where there is none."""
    value = body.get(name)
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise _malformed(body, name, value, "no object")


def required(body: Object, name: str) -> Object:
    """Return an object that has to be there."""
    present(body, name)
    return member(body, name)


def items(body: Object, name: str) -> Sequence[Any]:
    """Return a list of anything, an empty one where there is none."""
    value = body.get(name)
    if isinstance(value, list):
        return value
    if value is None:
        return ()
    raise _malformed(body, name, value, "no list")


def objects(body: Object, name: str) -> Sequence[Object]:
    """Return a list of objects, an empty one where there is none."""
    found = items(body, name)
    for place, value in enumerate(found):
        if not isinstance(value, dict):
            raise _malformed(body, f"{name}[{place}]", value, "no object")
    return found


def required_objects(body: Object, name: str) -> Sequence[Object]:
    """Return a list of objects that has to be there."""
    present(body, name)
    return objects(body, name)


def texts(body: Object, name: str) -> Sequence[str]:
    """Return a list of texts, an empty one where there is none."""
    found = items(body, name)
    for place, value in enumerate(found):
        if not isinstance(value, str):
            raise _malformed(body, f"{name}[{place}]", value, "no text")
    return found


def pairs(body: Object, name: str) -> dict[str, str]:
    """Return params or tags: a list of ``{key, value}``, or an object as some tools write it.

    A value may be absent, as servers leave out what is empty.
    """
    value = body.get(name)
    if isinstance(value, dict):
        with_names = [(key, _value_of(value, key, name)) for key in value]
    else:
        with_names = [
            (key_of(item, name), _value_of(item, "value", name)) for item in objects(body, name)
        ]
    found = dict(with_names)
    if len(found) != len(with_names) and len(set(with_names)) != len(found):
        keys = [key for key, _ in with_names]
        twice = next(key for key in found if keys.count(key) > 1)
        raise _malformed(body, name, twice, "there twice, with two values")
    return found


def key_of(item: Object, name: str) -> str:
    """Return the key of a param, tag or metric in the list called ``name``."""
    if item.get("key") is None:
        raise Malformed(f"{name} has an entry without a key")
    return _value_of(item, "key", name)


def _value_of(item: Object, key: str, name: str) -> str:
    try:
        return text(item, key)
    except Malformed as problem:
        raise problem.within(name) from None


def as_object(value: Any, what: str) -> Object:
    """Return what has to be an object. ``what`` says in an error what it is."""
    if not isinstance(value, dict):
        raise Malformed(f"{what} is {_shown(value)}, no object")
    return value


def _malformed(body: Object, name: str, value: Any, wrong: str) -> Malformed:
    told = wrong if value is None else f"{_shown(value)}, {wrong}"
    problem = Malformed(f"{name} is {told}")
    return problem.within(body.where) if isinstance(body, Named) else problem


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    shown = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
