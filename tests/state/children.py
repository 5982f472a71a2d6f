"""Other processes that hold or write a state database: ``python -m tests.state.children ...``.

Each says what it has done, a line at a time, and dies when it is killed or its input ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from migrate.errors import StorageFull
from state.store import StateStore
from tests.state.samples import done, run_ref, small_plan

TURN = 5  #: outcomes in one transaction
RUNS = [f"{number:05}" for number in range(4_000)]


@contextlib.contextmanager
def child(action: str, location: object) -> Iterator[subprocess.Popen[str]]:
    """Start one of the actions below; it is killed at the end, if it still lives."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.state.children", action, str(location)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def hold(location: str) -> None:
    """Hold the database until the input ends."""
    with StateStore.open(location):
        print("holding", flush=True)
        sys.stdin.read()


def hold_with_worker(location: str) -> None:
    """Hold the database and have a forked worker, which outlives a killed parent."""
    with StateStore.open(location):
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        print(worker.pid, flush=True)
        sys.stdin.read()


def commit_on_and_on(location: str) -> None:
    """Record turn after turn, each said before and after, until killed."""
    with StateStore.open(location) as store:
        store.save_plan(small_plan(RUNS))
        for start in range(0, len(RUNS), TURN):
            turn = [run_ref(name) for name in RUNS[start : start + TURN]]
            store.mark_started("m1", turn)
            print(f"begun {start + TURN}", flush=True)
            store.record("m1", [done(ref) for ref in turn], {})
            print(f"done {start + TURN}", flush=True)


def fill_the_disk(location: str) -> None:
    """Run into a limit of the file's size, and go on once there is room again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with StateStore.open(location) as store:
        store.save_plan(small_plan(RUNS[:100]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
        try:
            store.save_plan(small_plan(RUNS, migration_id="m2", created=2_000))
        except StorageFull as error:
            print(error.message, flush=True)
            print(error.hint, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        store.record("m1", [done(run_ref(RUNS[0]))], {})
    print("recorded", flush=True)


ACTIONS = {
    action.__name__: action for action in (hold, hold_with_worker, commit_on_and_on, fill_the_disk)
}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](sys.argv[2])
