"""Replaces values of a YAML document in place: every other character stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from migrate.tasks.model_files import Rewrites, UnreadableModelFile

ID_KEYS = frozenset({"run_id", "model_id", "model_uuid"})
PATH_KEYS = frozenset({"artifact_path"})
#: From so many characters on, libyaml reads a file: it is twenty times as fast, and counts
#: characters otherwise in some odd documents.
LARGE = 256 << 10


def replaced(content: bytes, rewrites: Rewrites) -> bytes:
    """Return a model file with the copy's ids and place. Raises ``UnreadableModelFile``."""
    try:
        text = content.decode()
        top = yaml.compose(text, Loader=_loader_for(text))
    # The last two are PyYAML's own, of escapes that no character has.
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as problem:
        raise UnreadableModelFile(type(problem).__name__) from None
    if not isinstance(top, yaml.MappingNode):
        return content
    return _replaced(text, _replacements(text, top.value, rewrites)).encode()


def _loader_for(text: str) -> Any:
    large = len(text) > LARGE and not text.startswith("\ufeff")
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader) if large else yaml.SafeLoader


_Replacement = tuple[int, int, str]
#: An anchor or a tag before a scalar.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
#: What ends a plain scalar of a mapping on one line.
_ENDS_PLAIN = re.compile(r"[,\[\]{}]")


def _replacements(
    text: str, members: Iterable[tuple[yaml.Node, yaml.Node]], rewrites: Rewrites
) -> list[_Replacement]:
    found = []
    for key, value in members:
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            continue
        start, end = value.start_mark.index, value.end_mark.index
        if start < key.start_mark.index:
            continue  # an alias: what it stands for is elsewhere, and replaced if it has to be
        old = value.value
        if key.value in ID_KEYS:
            new = rewrites.ids.get(old, old)
        elif key.value in PATH_KEYS:
            new = rewrites.of_path(old)
        else:
            continue
        if new != old:
            start = _PROPERTIES.match(text, start).end()  # type: ignore[union-attr]
            # A block ends with its line.
            end = start + len(text[start:end].rstrip())
            if value.style is None and len(text) > LARGE and old not in text[start:end]:
                raise UnreadableModelFile(f"{key.value} is not where it was read")
            found.append((start, end, _scalar(new, value.style)))
    return found


def _scalar(value: str, style: str | None) -> str:
    """Return a YAML scalar on one line, quoted where it has to be."""
    if style == "'" or _ENDS_PLAIN.search(value):
        return "'" + value.replace("'", "''") + "'"
    return str(yaml.safe_dump(value, width=float("inf"), allow_unicode=True)).split("\n")[0]


def _replaced(text: str, replacements: Sequence[_Replacement]) -> str:
    for start, end, new in sorted(replacements, reverse=True):
        text = text[:start] + new + text[end:]
    return text
