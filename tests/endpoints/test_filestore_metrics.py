"""The file of a metric gives each point once, and is read once where it is in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.endpoints.filestore.files import StoreFiles
from migrate.endpoints.filestore.metric_files import MetricFile


class Counting(StoreFiles):
    """Counts how often lines are begun to be read."""

    reads = 0

    def lines(self, path: Path) -> Iterator[bytes | None]:
        self.reads += 1
        return super().lines(path)


@pytest.mark.parametrize(
    ("lines", "steps", "reads"),
    [
        ([], [], 1),
        ([1, 2, 3], [1, 2, 3], 1),
        ([1, 2, 2, 3, 1, 4], [1, 2, 3, 4], 2),
        ([1, 1], [1], 2),
        ([3, 2, 1, 3, 2, 1, 0], [3, 2, 1, 0], 2),
    ],
)
def test_each_point_is_given_once(
    lines: list[int], steps: list[int], reads: int, tmp_path: Path
) -> None:
    (tmp_path / "loss").write_text("".join(f"7 0.5 {step}\n" for step in lines))
    files = Counting(tmp_path)
    points = [*MetricFile(files, tmp_path / "loss", "loss").points()]
    assert [it.step for it in points] == steps
    assert files.reads == reads


def test_points_of_one_step_are_told_apart_by_their_values(tmp_path: Path) -> None:
    (tmp_path / "loss").write_text("7 0.5 1\n7 nan 1\n7 0.25 1\n7 nan 1\n7 0.5 1\n")
    points = MetricFile(StoreFiles(tmp_path), tmp_path / "loss", "loss").points()
    assert [repr(it.value) for it in points] == ["0.5", "nan", "0.25"]
