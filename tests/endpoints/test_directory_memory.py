"""Memory does not grow with the histories of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

POINTS = 300_000
#: Held as records, 300,000 points take some 60 MB; as JSON objects, twice that.
MOST_GROWTH_KB = 20_000

WRITE = """
import resource, sys
from itertools import islice
from pathlib import Path
from migrate.endpoints.directory import ExportDirectory
from migrate.objects import Metric
from tests.endpoints.exports import a_run, an_experiment, write_run

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

target = ExportDirectory(Path(sys.argv[1]), writable=True)
target.experiments.create(an_experiment())
write_run(target, a_run("b" * 32))
before = peak()
points = (Metric("loss", step / 7, step, step) for step in range(int(sys.argv[2])))
writer = target.runs.create("7", a_run())
while page := list(islice(points, 10_000)):
    writer.write_metrics(page)
writer.finish(a_run(), "m")
target.publish()
print(peak() - before)
"""
READ = """
import resource, sys
from pathlib import Path
from migrate.endpoints.directory import ExportDirectory
from tests.endpoints.exports import all_points

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

source = ExportDirectory(Path(sys.argv[1]), writable=False)
small = source.runs.read_in("7", ["b" * 32])
all_points(source, small[0])
before = peak()
runs = {run.run_id: run for run in source.runs.list(["7"])}
run = runs["a" * 32]
history = source.runs.histories([run], 50_000)[run.run_id]
assert history.unread == ["loss"]
count = sum(len(page) for page in source.runs.metric_history(run.run_id, "loss"))
assert count == int(sys.argv[2]), count
print(peak() - before)
"""


def growth_kb(script: str, path: Path) -> int:
    """Run a script and return by how much its memory grew at most, in KB."""
    command = [sys.executable, "-c", script, str(path), str(POINTS)]
    ended = subprocess.run(
        command,
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    # Linux counts in KB, macOS in bytes.
    return int(ended.stdout) // (1024 if sys.platform == "darwin" else 1)


@pytest.mark.thorough
def test_a_long_history_is_written_and_read_as_a_stream(tmp_path: Path) -> None:
    assert growth_kb(WRITE, tmp_path) < MOST_GROWTH_KB
    assert (tmp_path / "7" / "runs" / ("a" * 32) / "run.json").stat().st_size > POINTS * 50
    assert growth_kb(READ, tmp_path) < MOST_GROWTH_KB
