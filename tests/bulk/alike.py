"""What two export directories have in common: everything but when and how fast they were made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from migrate.endpoints.directory.layout import LOCK_FILE

#: Members of JSON files that say when, how fast, by whom and where an export was made.
OF_THE_MAKING = frozenset({"system", "duration", "output_dir"})


def contents(root: Path) -> dict[str, bytes]:
    """Path and content of everything in a directory, times and places of the making left out.

    Everything that is no JSON of ours is there byte by byte; directories have no content.
    """
    return dict(_contents(root))


def exact(root: Path) -> dict[str, tuple[bytes, int]]:
    """Path, content and time of the last change (in ns) of everything in a directory."""
    return {
        str(path.relative_to(root)): (
            b"" if path.is_dir() else path.read_bytes(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(root.rglob("*"))
        if path.name != LOCK_FILE
    }


def _contents(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name == LOCK_FILE:
            continue
        if path.is_dir():
            yield f"{name}/", b""
        elif path.suffix == ".json" and "artifacts" not in path.relative_to(root).parts:
            record = json.loads(path.read_text(encoding="utf-8"))
            yield name, json.dumps(_without(record), indent=1).encode()
        else:
            yield name, path.read_bytes()


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(inner) for key, inner in value.items() if key not in OF_THE_MAKING}
    if isinstance(value, list):
        return [_without(inner) for inner in value]
    return value
