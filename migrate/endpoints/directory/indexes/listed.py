"""What the indexes of experiments list, whatever tool wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.directory.native.envelope import mlflow_member
from migrate.endpoints.disk import DAMAGED
from migrate.endpoints.shapes import items, stored_id, text
from migrate.errors import DirectoryError, Malformed

#: The lists of experiments in an index: those that are active, and those that are deleted.
EXPERIMENT_LISTS = ("experiments", "deleted_experiments")


class Listed(NamedTuple):
    """What experiment.json lists: ``whole`` is None where it has no such list."""

    whole: frozenset[str] | None
    failed: frozenset[str]

    def holds(self, *names: str) -> bool:
        """Say whether one of the names is listed, or nothing is."""
        return self.whole is None or not self.whole.isdisjoint(names)


def listed_in(path: Path, document: Mapping[str, Any], member: str) -> Listed:
    """Read what of a kind (``member``) experiment.json lists, and which failed."""
    mlflow = mlflow_member(path, document)
    info = document.get("info")
    info = info if isinstance(info, dict) else {}
    whole = mlflow.get(member, info.get(f"ok_{member}"))
    failed = _texts(info.get(f"failed_{member}"))
    if not isinstance(whole, list):
        return Listed(None, failed)
    apart = _texts(mlflow.get(f"deleted_{member}")) | _texts(mlflow.get(f"other_{member}"))
    return Listed(_texts(whole) | apart, failed)


def _texts(value: object) -> frozenset[str]:
    items = value if isinstance(value, list) else []
    return frozenset(item for item in items if isinstance(item, str))


def names_in(path: Path, index: Mapping[str, Any], *lists: str) -> dict[str, str]:
    """Return the names of the experiments that an index lists, by id. Raises ``DirectoryError``.

    An entry without an id says nothing; experiments are found by their directories as well.
    """
    mlflow = mlflow_member(path, index)
    try:
        return {
            stored_id(entry, "id"): text(entry, "name")
            for name in lists
            for entry in items(mlflow, name)
            if isinstance(entry, dict) and "id" in entry
        }
    except Malformed as problem:
        raise DirectoryError(f"{path} is damaged: {problem}", DAMAGED) from problem
