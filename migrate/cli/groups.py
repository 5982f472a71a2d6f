"""Options that several commands have, declared once as the fields of a dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """Return ``function`` as a command that has an option for each field of a group.

    A group is a parameter annotated with a dataclass. Typer reads options from a signature, so
    one is put together here.
    """
    groups: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    given: list[inspect.Parameter] = []
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        if is_dataclass(parameter.annotation) and isinstance(parameter.annotation, type):
            fields = inspect.signature(parameter.annotation, eval_str=True).parameters
            groups[parameter.name] = parameter.annotation, list(fields)
            given += fields.values()
        else:
            given.append(parameter)
    given = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in given]

    def command(**values: Any) -> None:
        made = {
            name: group(**{field: values.pop(field) for field in fields})
            for name, (group, fields) in groups.items()
        }
        function(**values, **made)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__annotations__ = {item.name: item.annotation for item in given}
    setattr(command, "__signature__", inspect.Signature(given))  # noqa: B010 (mypy knows no such)
    return command
