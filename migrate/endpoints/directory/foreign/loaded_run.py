"""run.json as other tools write it, or left it: metrics anywhere in it, each point for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from migrate.endpoints.directory.foreign.members import Members, named
from migrate.endpoints.directory.native.envelope import mlflow_member
from migrate.endpoints.directory.native.records import latest_rank
from migrate.endpoints.disk import parse_object
from migrate.endpoints.run_members import point_from
from migrate.endpoints.shapes import Object, member, objects
from migrate.errors import DirectoryError, Malformed
from migrate.objects import Loss, Metric


class LoadedRun:
    """A ``StoredRun`` that other tools wrote or changed: held in memory as a whole.

    ``losses`` are the points that could not be read.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        value = mlflow_member(path, parse_object(path, content))
        try:
            self._metrics, self.losses = _metrics_from(value)
        except Malformed as error:
            raise DirectoryError(f"{path} has metrics of no known form: {error}") from error
        self._head = {key: member for key, member in value.items() if key != "metrics"}

    def head(self) -> Mapping[str, Any]:
        """See ``StoredRun.head``."""
        return self._head

    def latest(self) -> tuple[Metric, ...]:
        """See ``StoredRun.latest``."""
        return tuple(max(points, key=latest_rank) for points in self._metrics.values() if points)

    def sizes(self) -> dict[str, int]:
        """See ``StoredRun.sizes``."""
        return {key: len(points) for key, points in self._metrics.items()}

    def points(self, key: str) -> Iterator[Metric]:
        """See ``StoredRun.points``."""
        yield from self._metrics.get(key, ())


def _metrics_from(value: Object) -> tuple[dict[str, list[Metric]], tuple[Loss, ...]]:
    """Read ``mlflow.metrics``: every point of every key, and what is lost of them.

    A point whose time or step lies between two whole numbers has no place on any server: it is
    left out, not rounded to one that nobody logged. So is one without a value. Raises
    ``Malformed`` where a key has no list.
    """
    metrics = member(value, "metrics")
    members = Members()
    found: dict[str, list[Metric]] = {}
    for key in metrics:

        def called(_: Object, key: str = key) -> str:
            return named("metric", key)

        found[key] = members.each(objects(metrics, key), partial(point_from, key), called)
    return found, members.losses
