"""Any record as JSON and back, by the types of its members. Pure.

What is written holds every member but those that are not shown either (``repr=False``). What is
read may lack those that have a default, may have others beside them, and is looked at as everything
that comes in is (``migrate.endpoints.shapes``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from migrate.endpoints.shapes import (
    Object,
    flag,
    integer,
    items,
    number,
    present,
    required,
    text,
    word,
)
from migrate.errors import Malformed

T = TypeVar("T")
_READ_AS: Mapping[Any, Callable[[Object, str], Any]] = {
    bool: flag,
    int: integer,
    float: number,
    str: text,
}


class _Member(NamedTuple):
    name: str
    type: Any
    is_required: bool


def record_to_json(record: Any) -> dict[str, Any]:
    """Return a dataclass or named tuple as a JSON object, its members in their order."""
    kind: Any = type(record)
    return {it.name: _to_json(getattr(record, it.name)) for it in _members(kind)}


def record_from_json(record: type[T], body: Object) -> T:
    """Read a record of this type back. Raises ``Malformed``, with the member's name."""
    kind: Any = record
    wanted = (it for it in _members(kind) if it.is_required or it.name in body)
    return record(**{it.name: _from_json(it.type, body, it.name) for it in wanted})


@cache
def _members(record: Any) -> tuple[_Member, ...]:
    types = get_type_hints(record)
    if not dataclasses.is_dataclass(record):
        defaults = getattr(record, "_field_defaults", {})
        names = getattr(record, "_fields", ())
        return tuple(_Member(it, types[it], it not in defaults) for it in names)
    missing = dataclasses.MISSING
    return tuple(
        _Member(it.name, types[it.name], it.default is missing and it.default_factory is missing)
        for it in dataclasses.fields(record)
        if it.repr
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
        return record_to_json(value)
    if isinstance(value, Mapping):
        return {key: _to_json(member) for key, member in value.items()}
    if isinstance(value, tuple | list):
        return [_to_json(item) for item in value]
    return value


def _from_json(kind: Any, body: Object, name: str) -> Any:
    """Read one member. Raises ``TypeError`` for a type that no record of ours may have."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin is Any:
        return body[name]
    if origin in (Union, UnionType):
        return _one_of(arguments, body, name)
    if origin is tuple and arguments[1:] == (...,):
        found = {f"{name}[{at}]": item for at, item in enumerate(items(body, name))}
        return tuple(_from_json(arguments[0], found, place) for place in found)
    present(body, name)
    if origin in _READ_AS:
        return _READ_AS[origin](body, name)
    if isinstance(origin, type) and issubclass(origin, Enum):
        return origin(word(body, name, [str(it.value) for it in origin]))
    return _from_object(origin, arguments, body, name)


def _from_object(origin: Any, arguments: tuple[Any, ...], body: Object, name: str) -> Any:
    found = required(body, name)
    try:
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {key: _from_json(arguments[1], found, key) for key in found}
        if _members(origin):
            return record_from_json(origin, found)
    except Malformed as problem:
        raise problem.within(name) from None
    raise TypeError(f"{name}: {origin} is no type for a member of a record")


def _one_of(types: tuple[Any, ...], body: Object, name: str) -> Any:
    """Read what may be None, and else is of one type."""
    if NoneType in types and body.get(name) is None:
        return None
    alone = [it for it in types if it is not NoneType]
    if len(alone) != 1:
        raise TypeError(f"{name}: a member of a record has one type, and may be None")
    return _from_json(alone[0], body, name)
