"""Counts what an export of other tools holds and this tool does not read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from migrate.endpoints.directory.disk import reading
from migrate.endpoints.directory.layout import TRACES
from migrate.objects import Kind


def count_in_experiments(experiments: Iterable[Path]) -> Mapping[Kind, int]:
    """Count traces."""
    count = sum(len(_directories(experiment / TRACES)) for experiment in experiments)
    return {Kind.TRACE: count} if count else {}


def _directories(path: Path) -> list[str]:
    if path.is_symlink() or not path.is_dir():
        return []
    with reading(path), os.scandir(path) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
