"""Metric points as lines of run.json: one point a line, so that they are written and read
back as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from math import isfinite
from operator import attrgetter
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import NamedTuple, TypeVar

from migrate.endpoints.directory.native.records import latest_rank
from migrate.endpoints.disk import writing
from migrate.endpoints.run_members import point_from
from migrate.endpoints.shapes import as_object, parse_json
from migrate.errors import Malformed
from migrate.objects import Metric

_HELD_BYTES = 1 << 20  # of one run, before its points go to a file
_INDENT = " " * 8

T = TypeVar("T")


def point_line(point: Metric) -> bytes:
    """Return a point as it stands in run.json, without the comma."""
    value = float(point.value)
    shown = repr(value) if isfinite(value) else json.dumps(value)
    times = f'"timestamp": {int(point.timestamp)}, "step": {int(point.step)}'
    return f'{_INDENT}{{"value": {shown}, {times}}}\n'.encode()


def points_from_lines(key: str, lines: Iterable[bytes]) -> Iterator[Metric]:
    """Read points back, many lines at a time. Raises ``Malformed`` where one is none."""
    for some in blocks(lines):
        try:
            values = parse_json(b"[%b]" % joined(some))
        except ValueError as problem:
            raise Malformed(str(problem)) from None
        if len(values) != len(some):
            raise Malformed(f"{len(some)} lines hold {len(values)} points")
        for value in values:
            yield point_from(key, as_object(value, "a point"))


def blocks(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield lines or points as they come, a thousand at a time."""
    rest = iter(items)
    while some := list(islice(rest, 1000)):
        yield some


def joined(lines: Iterable[bytes]) -> bytes:
    """Return lines of points as they follow each other in run.json."""
    return b",\n".join(line.rstrip(b",\n") for line in lines)


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
        for some in blocks(points):
            block = b"".join(map(point_line, some))
            self._file.write(block)
            self._end += len(block)
            count += len(some)
            known = self.latest.get(key, some[0])
            self.latest[key] = max((known, *some), key=latest_rank)
        segments = self._segments.setdefault(key, [])
        if segments and segments[-1].end == start:
            start, _, earlier = segments.pop()
            count += earlier
        segments.append(_Segment(start, self._end, count))
