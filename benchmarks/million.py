"""`python -m benchmarks.million`: what a migration of a million runs takes, without its requests.

Both ends are made up as they are asked (`generated.py`), the state database is a real file, and
the work of a task is nothing. What is left is what grows with the number of objects: planning,
storing, dispatching, recording, reporting, finding, resuming and comparing. Each phase is a
process of its own, as it is for a user; `status` and `map` are the commands themselves.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.generated import Generated, GeneratedCopy, run_id_of
from benchmarks.process import run
from migrate import worker
from migrate.claims import Claiming
from migrate.endpoints.addresses import Address
from migrate.endpoints.protocols import Source, Target
from migrate.graph.planner import make_plan
from migrate.graph.rematch import rematch
from migrate.graph.selection import Selection
from migrate.kinds import Kind
from migrate.outcomes import Outcome, TaskStatus
from migrate.plans import Plan
from migrate.scheduler import Scheduler
from migrate.tasks.batches import Batch, Policy
from migrate.verify import Ends, compare
from migrate.views.progress import QuietProgress
from state.store import StateStore

SOURCE = Address(uri="http://source.invalid", side="source")
TARGET = Address(uri="http://target.invalid", side="target")
POLICY = Policy(migration_id="million")
SELECTION = Selection(experiments=("all",))
MIGRATION = POLICY.migration_id

_progress = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Phase:
    """What one phase took; `first` are the seconds to its first batch, where it has batches."""

    name: str
    runs: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    first: float | None = None
    problem: str | None = None

    @property
    def micros(self) -> float:
        """Microseconds of processor time a run."""
        return self.cpu_seconds / self.runs * 1e6


class NoWork:
    """A ``BatchExecutor`` that has every task done at once.

    It stops the migration as Ctrl-C does after so many.
    """

    at_once = 1
    distant = False
    looks = False
    spreads = False

    def __init__(self, stop_after: int | None = None) -> None:
        self.first: float | None = None
        self.stops = stop_after is not None
        self._left = stop_after

    def transferred(self) -> int:
        """See ``BatchExecutor.transferred``."""
        return 0

    def drain(self) -> None:
        """See ``BatchExecutor.drain``."""

    def close(self) -> None:
        """See ``BatchExecutor.close``."""

    def submit(self, batch: Batch) -> Future[list[Outcome]]:
        """Answer for the worker: every task of the batch is done."""
        self.first = self.first or time.perf_counter()
        future: Future[list[Outcome]] = Future()
        future.set_result([_done(job.ref.kind, job.ref) for job in batch.jobs])
        if self._left is not None:
            self._left -= len(batch.jobs)
            if self._left <= 0:
                self._left = None
                signal.raise_signal(signal.SIGINT)
        return future


def _done(kind: Kind, ref: Any) -> Outcome:
    target_id = ref.id if kind is Kind.EXPERIMENT else f"c{ref.id[1:]}"
    return Outcome(
        ref=ref, status=TaskStatus.DONE, target_id=target_id, mark=f"1{ref.id[:33]}", wrote=True
    )


@dataclass(frozen=True)
class Sizes:
    """How much there is."""

    runs: int
    experiments: int

    def source(self) -> Source:
        """Return the source."""
        return Generated(self.runs, self.experiments)

    def target(self, copied: int) -> Target:
        """Return a target that holds so many copies."""
        return GeneratedCopy(self.runs, self.experiments, copied)


def _planned(sizes: Sizes, store: StateStore, copied: int) -> Plan:
    plan = make_plan(
        sizes.source(),
        sizes.target(copied),
        source_address=SOURCE,
        target_address=TARGET,
        selection=SELECTION,
        policy=POLICY,
    )
    store.save_plan(plan)
    return plan


def _plan(sizes: Sizes, state: str, copied: int) -> None:
    with StateStore.open(state) as store:
        _planned(sizes, store, copied)


def _run(sizes: Sizes, state: str) -> None:
    """Plan and carry out in one go, as `migrate run SOURCE TARGET` does."""
    with StateStore.open(state) as store:
        plan = _planned(sizes, store, 0)
        _carry_out(plan, store, sizes.target(0), NoWork())


def _run_stored(sizes: Sizes, state: str, copied: int, stop_after: int | None) -> None:
    started = time.perf_counter()
    target = sizes.target(copied)
    executor = NoWork(stop_after)
    with StateStore.open(state) as store:
        if copied:
            store.reset_for_resume(MIGRATION)
        plan = store.load_plan(MIGRATION)
        assert plan is not None
        if copied:
            plan = rematch(plan, target)
        _carry_out(plan, store, target, executor, looks=bool(copied))
    assert executor.first is not None
    print(executor.first - started)


def _carry_out(
    plan: Plan, store: StateStore, target: Target, executor: NoWork, *, looks: bool = False
) -> None:
    worker._targets[TARGET] = target
    with Claiming(plan, target) as claiming:
        report = Scheduler(
            plan,
            store,
            QuietProgress(),
            executor,
            source=SOURCE,
            target=TARGET,
            policy=POLICY,
            claiming=claiming,
            looks=looks,
        ).run()
    assert report.interrupted == executor.stops


def _verify(sizes: Sizes) -> None:
    ends = Ends(
        source=sizes.source(),
        target=sizes.target(sizes.runs),
        selection=SELECTION,
        policy=POLICY,
        workers=1,
    )
    result = compare(ends)
    assert not result.differences, result.differences[:3]
    assert result.compared[Kind.RUN] == sizes.runs


def _phase(name: str, sizes: Sizes, state: str) -> None:
    """Do one phase in this process."""
    half = sizes.runs // 2
    phases: dict[str, Callable[[], None]] = {
        "plan": lambda: _plan(sizes, state, 0),
        "run half": lambda: _run_stored(sizes, state, 0, half),
        "resume": lambda: _run_stored(sizes, state, half, None),
        "verify": lambda: _verify(sizes),
        "plan again": lambda: _plan(sizes, state, sizes.runs),
        # With a state of its own: the others go on with what the plan of theirs has left.
        "run": lambda: _run(sizes, f"{state}-of-run"),
    }
    phases[name]()


PHASES = (
    "start",
    "plan",
    "run half",
    "status",
    "map",
    "resume",
    "verify",
    "plan again",
    "run",
)


def main(
    *,
    runs: Annotated[str, typer.Option(help="How many, one after the other.")] = "10000,100000",
    runs_together: Annotated[int, typer.Option(min=1, help="In an experiment.")] = 200,
    phases: Annotated[str, typer.Option(help="In this order.")] = ",".join(PHASES),
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    only_here: Annotated[str, typer.Option(hidden=True)] = "",
    state: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure what planning, storing, resuming and comparing take, at several sizes."""
    counts = [int(part) for part in runs.split(",")]
    if only_here:
        if only_here != "start":
            _phase(only_here, Sizes(counts[0], -(-counts[0] // runs_together)), state)
        return
    measured = [
        phase for count in counts for phase in _measure(count, runs_together, phases.split(","))
    ]
    if as_json:
        print(json.dumps([asdict(phase) for phase in measured], indent=2))
    else:
        _show(measured, Console())
    if any(phase.problem for phase in measured):
        raise typer.Exit(1)


def _measure(count: int, together: int, names: list[str]) -> list[Phase]:
    measured = []
    with tempfile.TemporaryDirectory(prefix="migrate-bench-") as directory:
        state = str(Path(directory) / "state.db")
        commands = {
            "status": [sys.executable, "-m", "migrate", "status", "--state", state],
            "map": [sys.executable, "-m", "migrate", "map", run_id_of(7), "--state", state],
        }
        for name in names:
            here = [sys.executable, "-m", "benchmarks.million", "--runs", f"{count}"]
            here += ["--runs-together", f"{together}", "--only-here", name, "--state", state]
            done = run(commands.get(name, here))
            has_batches = name in ("run half", "resume") and not done.failure
            first = float(done.output) if has_batches else None
            phase = Phase(
                name,
                count,
                done.seconds,
                done.cpu_seconds,
                done.peak_bytes,
                first,
                done.failure,
            )
            _progress.print(f"{count:,} {name}: {phase.seconds:.1f} s", style="dim")
            measured.append(phase)
        if os.path.exists(state):
            _progress.print(f"{count:,}: state {os.path.getsize(state) / 1e6:,.0f} MB", style="dim")
    return measured


def _show(phases: list[Phase], console: Console) -> None:
    table = Table("runs", "phase", title="What grows with the number of objects")
    for heading in ("seconds", "of CPU", "us a run", "to the first batch", "peak"):
        table.add_column(heading, justify="right")
    for phase in phases:
        first = f"{phase.first:.1f} s" if phase.first is not None else ""
        table.add_row(
            f"{phase.runs:,}",
            phase.name,
            f"{phase.seconds:.1f}",
            f"{phase.cpu_seconds:.1f}",
            f"{phase.micros:.0f}",
            first,
            f"{phase.peak_bytes / 1e6:,.0f} MB",
        )
    console.print(table)
    for phase in phases:
        if phase.problem:
            console.print(f"[red]{phase.name}, {phase.runs:,}: {phase.problem}[/]", markup=True)


if __name__ == "__main__":
    typer.run(main)
