"""Metric points as lines of run.json: one point a line, so that they are written and read
back as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from migrate.endpoints.directory.native.records import latest_rank
from migrate.endpoints.disk import writing
from migrate.endpoints.run_members import point_from
from migrate.endpoints.shapes import as_object, parse_json
from migrate.errors import Malformed
from migrate.objects import Metric

_HELD_BYTES = 1 << 20  # of one run, before its points go to a file
_INDENT = " " * 8


def point_line(point: Metric) -> bytes:
    """Return a point as it stands in run.json, without the comma."""
    value = {
        "value": float(point.value),
        "timestamp": int(point.timestamp),
        "step": int(point.step),
    }
    return f"{_INDENT}{json.dumps(value)}\n".encode()


def point_from_line(key: str, line: bytes) -> Metric:
    """Read a point back. Raises ``Malformed`` when it is none."""
    try:
        value = parse_json(line.rstrip(b",\n"))
    except ValueError as problem:
        raise Malformed(str(problem)) from None
    return point_from(key, as_object(value, "a point"))


class _Segment(NamedTuple):
    start: int
    end: int
    points: int


class MetricSpool:
    """Collects the metric points of one run, key by key, in memory bounded by their keys.

    Points that were added before are not added again, when they come in the same order.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = SpooledTemporaryFile(_HELD_BYTES, dir=str(directory))  # noqa: SIM115
        self._end = 0
        self._segments: dict[str, list[_Segment]] = {}
        self.latest: dict[str, Metric] = {}

    def add(self, points: Iterable[Metric]) -> None:
        """Add points. Raises ``StorageFull`` or ``DirectoryError``."""
        with writing(self._directory):
            for key, row in groupby(points, key=attrgetter("key")):
                self._add_row(key, row)

    def keys(self) -> list[str]:
        """Return the keys that have points, in the order they came."""
        return list(self._segments)

    def lines(self, key: str) -> Iterator[bytes]:
        """Yield the lines of one key. Raises ``OSError``; do not add while reading."""
        for start, _, points in self._segments.get(key, ()):
            self._file.seek(start)
            for _ in range(points):
                yield self._file.readline()

    def close(self) -> None:
        """Drop everything."""
        self._file.close()

    def _add_row(self, key: str, points: Iterator[Metric]) -> None:
        there = self.lines(key)
        for point in points:
            line = point_line(point)
            if line != next(there, None):
                self._append(key, chain([point], points))
                return

    def _append(self, key: str, points: Iterable[Metric]) -> None:
        start, count = self._end, 0
        self._file.seek(start)
        for point in points:
            line = point_line(point)
            self._file.write(line)
            self._end += len(line)
            count += 1
            latest = self.latest.setdefault(key, point)
            if latest_rank(point) > latest_rank(latest):
                self.latest[key] = point
        segments = self._segments.setdefault(key, [])
        if segments and segments[-1].end == start:
            start, _, earlier = segments.pop()
            count += earlier
        segments.append(_Segment(start, self._end, count))
