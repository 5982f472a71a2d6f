"""Figures to show: medians and ratios, as a table and as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.contestants import Measurement

#: What is divided by what: the name of the ratio, its numerator and its denominator.
RATIOS = (
    ("ours / floor", ("ours run",), ("floor total",)),
    ("our export / floor reading", ("ours export",), ("floor reading",)),
    ("our import / floor writing", ("ours import",), ("floor writing",)),
    *(
        (f"{step} / floor", (step,), ("floor total",))
        for step in ("processes 2", "processes 4", "dask 2", "dask 4")
    ),
    ("database to server / floor writing", ("database to server",), ("floor writing",)),
    ("database to database / floor", ("database to database",), ("floor total",)),
    ("peer / ours", ("peer export", "peer import"), ("ours run",)),
    ("peer / floor", ("peer export", "peer import"), ("floor total",)),
    ("peer / database to database", ("peer export", "peer import"), ("database to database",)),
    ("export-import / ours", ("export-import export", "export-import import"), ("ours run",)),
    ("export-import / floor", ("export-import export", "export-import import"), ("floor total",)),
    ("peer export / our export", ("peer export",), ("ours export",)),
    ("peer import / our import", ("peer import",), ("ours import",)),
)

Repeat = dict[str, Measurement]


@dataclass(frozen=True)
class Report:
    """All measurements of one invocation, a mapping from step to measurement per repeat."""

    title: str
    settings: dict[str, Any]
    repeats: list[Repeat]

    def steps(self) -> list[str]:
        """Return the steps in the order they were first measured."""
        return list(dict.fromkeys(step for repeat in self.repeats for step in repeat))

    def seconds(self, step: str) -> list[float]:
        """Return the seconds of a step, one per repeat that has it."""
        return [repeat[step].seconds for repeat in self.repeats if step in repeat]

    def problems(self) -> list[str]:
        """Return why figures are not those of whole copies, each reason once."""
        found = [one for repeat in self.repeats for one in repeat.values() if one.problem]
        return list(dict.fromkeys(f"{one.step}: {one.problem}" for one in found))

    def ratios(self) -> dict[str, list[float]]:
        """Return each ratio per repeat that has both sides of it, measured on whole copies."""
        every = {
            name: [
                _total(repeat, above) / _total(repeat, below)
                for repeat in self.repeats
                if _whole(repeat) >= {*above, *below}
            ]
            for name, above, below in RATIOS
        }
        return {name: values for name, values in every.items() if values}

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON: settings, medians, ratios, and every single measurement."""
        return {
            "settings": self.settings,
            "cpus": os.cpu_count(),
            "seconds": {step: median(self.seconds(step)) for step in self.steps()},
            "ratios": {name: median(values) for name, values in self.ratios().items()},
            "problems": self.problems(),
            "repeats": [[asdict(one) for one in repeat.values()] for repeat in self.repeats],
        }


def _total(repeat: Repeat, steps: Iterable[str]) -> float:
    return sum(repeat[step].seconds for step in steps)


def _whole(repeat: Repeat) -> set[str]:
    return {step for step, measurement in repeat.items() if not measurement.problem}


def show(report: Report, console: Console) -> None:
    """Print the report as tables, problems last."""
    seconds = _table("step", f"Seconds (repeats: {len(report.repeats)}) and requests")
    for heading in ("to source", "to target"):
        seconds.add_column(heading, justify="right")
    seconds.add_column("the target then held")
    for step, following in pairwise([*report.steps(), ""]):
        last = _all(report, step)[-1]
        held = {str(one.copied) for one in _all(report, step) if one.copied}
        seconds.add_row(
            step,
            *_spread(report.seconds(step), digits=1),
            f"{last.to_source:,}",
            f"{last.to_target:,}",
            "; ".join(sorted(held)),
            end_section=step.split()[0] not in following,
        )
    ratios = _table("ratio", "Ratios per repeat")
    for name, values in report.ratios().items():
        ratios.add_row(name, *_spread(values, digits=2))
    loads = [one.load for step in report.steps() for one in _all(report, step)]
    load = f"load average {min(loads):.1f} to {max(loads):.1f} before the steps"
    console.print(f"{report.title}\n{os.cpu_count()} CPUs; {load}")
    console.print(seconds)
    if ratios.row_count:
        console.print(ratios)
    for problem in report.problems():
        console.print(f"[red]Not a whole copy:[/] {escape(problem)}")


def _table(of: str, title: str) -> Table:
    table = Table(of, title=title, title_justify="left")
    for heading in ("median", "least", "most"):
        table.add_column(heading, justify="right")
    return table


def _spread(values: list[float], digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in (median(values), min(values), max(values))]


def _all(report: Report, step: str) -> list[Measurement]:
    return [repeat[step] for repeat in report.repeats if step in repeat]
