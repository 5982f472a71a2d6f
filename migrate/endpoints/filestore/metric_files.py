"""The points that the file of a metric holds, one a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from migrate.endpoints.disk import reading
from migrate.endpoints.filestore.files import Losses, StoreFiles
from migrate.errors import DirectoryError
from migrate.objects import Metric, ModelMetric, identity_of

P = TypeVar("P")
_Words = Sequence[bytes]


class MetricFile:
    """The metric of a run, or of a logged model, that a file holds.

    MLflow appends lines and never looks: those that are equal are one point. Lines that are no
    points are left out; what is given a list of losses tells of them there.
    """

    def __init__(self, files: StoreFiles, path: Path, key: str) -> None:
        self._files = files
        self._path = path
        self._key = key
        self._broken: list[int] = []

    def size(self) -> int:
        """Return the size of the file in bytes. Raises ``DirectoryError``."""
        with reading(self._path):
            return self._path.lstat().st_size

    def latest(self, losses: Losses) -> Metric | None:
        """Return the point with the highest step, of several the latest; None without any."""
        with self._telling(losses):
            return max(self._lines(self._point), key=_order, default=None)
        return None

    def points(self) -> Iterator[Metric]:
        """Yield each point once. Raises ``DirectoryError``.

        A file in the order of steps is read once, any other takes memory.
        """
        given, last = 0, None
        for point in self._lines(self._point):
            place = (point.step, point.timestamp)
            if last is not None and place <= last:
                break
            yield point
            given, last = given + 1, place
        else:
            return
        # What follows may have been there before.
        seen: set[tuple[object, ...]] = set()
        for number, point in enumerate(self._lines(self._point)):
            identity = identity_of(point)
            if identity not in seen:
                seen.add(identity)
                if number >= given:
                    yield point

    def model_points(self, losses: Losses) -> Iterable[ModelMetric]:
        """Return each point of a logged model's metric once."""
        found: dict[object, ModelMetric] = {}
        with self._telling(losses):
            for point in self._lines(self._model_point):
                found.setdefault((identity_of(Metric(*point[:4])), point[4:]), point)
        return found.values()

    @contextmanager
    def _telling(self, losses: Losses) -> Iterator[None]:
        """Add to the losses what cannot be read of the file, after its lines were."""
        what = f"metric {self._key}"
        try:
            yield
        except DirectoryError as problem:
            losses.append(self._files.lost(what, problem.message))
        if self._broken:
            lines = f"{len(self._broken)} of the lines of {self._path}"
            reason = f"{lines}, line {self._broken[0]} the first, are no points, or cut off"
            losses.append(self._files.lost(what, reason))

    def _lines(self, read: Callable[[_Words], P]) -> Iterator[P]:
        """Yield what ``read`` makes of the words of each line."""
        self._broken.clear()
        had_step = False
        for number, line in enumerate(self._files.lines(self._path), start=1):
            words = [b""] if line is None else line.split()
            if not words:
                continue
            # Before MLflow 1.0 there were no steps; after a line that has one, one without is
            # cut off.
            if len(words) < 2 + had_step:
                self._broken.append(number)
                continue
            had_step = had_step or len(words) > 2
            try:
                point = read(words)
            except ValueError:
                self._broken.append(number)
                continue
            yield point

    def _point(self, words: _Words) -> Metric:
        step = int(words[2]) if len(words) > 2 else 0
        return Metric(self._key, float(words[1]), int(words[0]), step)

    def _model_point(self, words: _Words) -> ModelMetric:
        """Read a line that ends in a run, and may in a dataset, whose name may have blanks."""
        if len(words) < 4:
            raise ValueError("there is no run")
        name, digest = b" ".join(words[4:-1]), words[-1] if len(words) > 5 else b""
        return ModelMetric(*self._point(words), *(it.decode() for it in (words[3], name, digest)))


def _order(point: Metric) -> tuple[int, int, bool, float]:
    is_number = point.value == point.value  # NaN is not even equal to itself
    return point.step, point.timestamp, is_number, point.value if is_number else 0.0
