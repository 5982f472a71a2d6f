"""Flags that may be followed by a boolean, as in ``--use-threads True``: scripts have them so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

#: The words that click takes for a boolean.
TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "0"})


class FlagsWithValues(TyperCommand):
    """A command without arguments, whose flags take ``True``, ``False`` and the like as well."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, each flag with its boolean made one word."""
        return super().parse_args(ctx, plain_flags(args, self._flags()))

    def _flags(self) -> dict[str, str]:
        """Return the name that turns each flag off, by the one that turns it on."""
        return {
            name: param.secondary_opts[0] if param.secondary_opts else ""
            for param in self.params
            if getattr(param, "is_flag", False) and not param.is_eager
            for name in param.opts
        }


def plain_flags(args: Sequence[str], flags: Mapping[str, str]) -> list[str]:
    """Return ``args`` with ``--flag True`` as ``--flag``, and ``--flag False`` as what is its off.

    ``flags`` has that word by the flag's name; it is empty where leaving the flag out is enough.
    What is said last holds. Raises ``typer.BadParameter`` when what follows a flag is no boolean.
    """
    left = list(args)
    words: list[tuple[str, str]] = []  # the flag that a word turns on or off, and the word
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if name not in flags:
            words.append(("", word))
            continue
        if not equals:
            value = left.pop(0) if left and not left[0].startswith("-") else "true"
        words = [said for said in words if said[0] != name]
        if _is_true(name, value):
            words.append((name, name))
        elif flags[name]:
            words.append((name, flags[name]))
    return [word for _, word in words]


def _is_true(name: str, value: str) -> bool:
    if value.lower() in TRUE_WORDS | FALSE_WORDS:
        return value.lower() in TRUE_WORDS
    raise typer.BadParameter(f"{name} {value!r}: write True or False, or nothing.")
