"""run.json: written as a stream, and read back as one when this tool wrote it.

The file is plain JSON. Metrics are the last member of ``mlflow`` and every point has a line of
its own, so a reader that knows this needs to hold neither the file nor a history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from migrate.endpoints.directory.layout import RUN_FILE, SIDECAR_FILE
from migrate.endpoints.directory.native.envelope import mlflow_member
from migrate.endpoints.directory.native.metric_lines import blocks, joined, points_from_lines
from migrate.endpoints.directory.native.sidecar import Sidecar, StoredHistory
from migrate.endpoints.disk import (
    DAMAGED,
    json_text,
    open_file,
    parse_object,
    reading,
    writing,
)
from migrate.errors import DirectoryError, Malformed
from migrate.objects import Loss, Metric

_METRICS_LINE = b'    "metrics": {\n'
_END_OF_METRICS = b"    }\n"
_END_OF_HEAD = "\n  }\n}\n"  # closes ``mlflow`` and the file


def write_run_file(
    path: Path,
    document: Mapping[str, Any],
    metrics: Iterable[tuple[Metric, Iterable[bytes]]],
) -> tuple[StoredHistory, ...]:
    """Write a run and say where its histories are; ``document`` has ``mlflow`` last in it.

    ``metrics`` has, for each key, the latest point and a line for every point.
    Raises ``StorageFull`` or ``DirectoryError``.
    """
    head = json_text(document).removesuffix(_END_OF_HEAD) + ",\n"
    histories = []
    with writing(path), path.open("wb") as file:
        file.write(head.encode() + _METRICS_LINE.rstrip(b"\n"))
        separator = b"\n"
        for latest, lines in metrics:
            file.write(separator + _key_line(latest.key))
            offset = file.tell()
            points = _write_lines(file, lines)
            histories.append(StoredHistory(latest.key, offset, points, latest))
            file.write(b"\n      ]")
            separator = b",\n"
        file.write(b"\n    }" + _END_OF_HEAD.encode())
    return tuple(histories)


def _key_line(key: str) -> bytes:
    """Return the line before the points of a metric."""
    return f"      {json.dumps(key)}: [\n".encode()


def _write_lines(file: BinaryIO, lines: Iterable[bytes]) -> int:
    count = 0
    for some in blocks(lines):
        file.write(b",\n" * bool(count) + joined(some))
        count += len(some)
    return count


class StoredRun(Protocol):
    """A run.json on disk. Every method raises ``DirectoryError`` when the file is damaged."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What is lost of the run's metrics as it is read."""
        ...

    def head(self) -> Mapping[str, Any]:
        """Return the ``mlflow`` member without its metrics."""
        ...

    def latest(self) -> tuple[Metric, ...]:
        """Return the latest point of every metric key."""
        ...

    def sizes(self) -> dict[str, int]:
        """Return how many points each metric key has."""
        ...

    def points(self, key: str) -> Iterator[Metric]:
        """Yield the points of one key; none for a key that is not there."""
        ...


class IndexedRun:
    """A ``StoredRun`` whose sidecar says where its histories are; it is read as a stream."""

    losses: tuple[Loss, ...] = ()

    def __init__(self, base: Path, run: Path, sidecar: Sidecar) -> None:
        self._base = base
        self._path = run / RUN_FILE
        self._histories = {history.key: history for history in sidecar.histories}
        keys = [*self._histories]
        #: The line that follows the points of each key: so none is passed over.
        following = (*map(_key_line, keys[1:]), _END_OF_METRICS)
        self._next = dict(zip(keys, following, strict=False))

    def head(self) -> Mapping[str, Any]:
        """See ``StoredRun.head``."""
        lines = []
        with open_file(self._base, self._path) as file, reading(self._path):
            for line in file:
                if line == _METRICS_LINE:
                    first = next(map(_key_line, self._histories), _END_OF_METRICS)
                    if file.readline() != first:
                        raise self._damaged("")
                    break
                lines.append(line)
            else:
                raise self._damaged("")
        content = b"".join(lines).rstrip(b",\n") + _END_OF_HEAD.encode()
        return mlflow_member(self._path, parse_object(self._path, content))

    def latest(self) -> tuple[Metric, ...]:
        """See ``StoredRun.latest``."""
        return tuple(history.latest for history in self._histories.values())

    def sizes(self) -> dict[str, int]:
        """See ``StoredRun.sizes``."""
        return {key: history.points for key, history in self._histories.items()}

    def points(self, key: str) -> Iterator[Metric]:
        """See ``StoredRun.points``."""
        try:
            yield from points_from_lines(key, self.lines(key))
        except Malformed as error:
            raise self._damaged(key) from error

    def lines(self, key: str) -> Iterator[bytes]:
        """Yield the lines of one key as they are in the file."""
        history = self._histories.get(key)
        if history is None:
            return
        with open_file(self._base, self._path) as file, reading(self._path):
            own = _key_line(key)
            file.seek(max(0, history.offset - len(own)))
            if file.readline() != own or file.tell() != history.offset:
                raise self._damaged(key)
            count = 0
            for line in islice(file, history.points):
                count += 1
                yield line
            end, following = file.readline().rstrip(b",\n"), file.readline()
            if count < history.points or (end, following) != (b"      ]", self._next[key]):
                raise self._damaged(key)

    def _damaged(self, key: str) -> DirectoryError:
        what = f"the history of metric {key!r}" if key else "the metrics"
        message = f"{self._path} does not hold {what} that {SIDECAR_FILE} tells of"
        return DirectoryError(message, DAMAGED)
