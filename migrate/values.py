"""Records of which there are millions: frozen to the type checker, and quickly made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(record: type[T]) -> type[T]:
    """Make a class a dataclass with slots, whose members are given by name and never change.

    That they never change the type checker sees to, and nothing else: a frozen dataclass of
    sixteen members takes 2.5 us more to make, which is as long as all else done with one.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(record)
