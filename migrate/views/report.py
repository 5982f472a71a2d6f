"""The report as text and as JSON: how every object of a migration stands, at the end or so far."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from migrate.kinds import HEADINGS, Heading, Step
from migrate.plans import Failure, KindTotals, Report
from migrate.views.json_values import (
    loss_as_json,
    ref_as_json,
    side_as_json,
    unsupported_as_json,
)
from migrate.views.layout import print_groups, print_list, print_table, result_console, say
from migrate.views.words import (
    NOT_COPIED,
    NOT_KNOWN,
    counted,
    counts_of,
    duration,
    label,
    one_line,
    per_kind,
    printable,
    size,
    unknowns,
)

RESUME = "migrate run --resume"


def print_report(report: Report, console: Console | None = None, resume: str = RESUME) -> None:
    """Print the report to stdout; its last line says whether all arrived, and what to do if not.

    ``resume`` is the command line that carries the migration on.
    """
    console = console or result_console()
    ends = f"from {printable(report.source.uri)} to {printable(report.target.uri)}"
    say(console, f"Migration {printable(report.migration_id)} {ends}", "bold")
    say(console)
    _print_totals(report, console)
    failures = [line for failure in report.failures for line in _failure(failure)]
    print_list(console, f"Failed ({len(report.failures):,}):", failures, "bold red")
    losses = [
        f"{label(ref, name)}: {one_line(f'{loss.what} - {loss.reason}')}"
        for ref, name, loss in report.losses
    ]
    print_list(console, f"Lost ({len(losses):,}):", losses, "bold yellow")
    warnings = ((ref, "", text) for ref, text in report.warnings)
    print_groups(console, "Warnings", warnings, "bold yellow")
    print_list(console, NOT_COPIED, counts_of(report.unsupported), "bold yellow")
    print_list(console, NOT_KNOWN, [one_line(text) for text in report.unknown], "bold yellow")
    say(console)
    say(console, _effort(report))
    for line in _straight(report):
        say(console, line)
    say(console, closing(report, resume), "bold green" if report.complete else "bold red")


def closing(report: Report, resume: str = RESUME) -> str:
    """Say in one line how it ended, and with which command to go on where that helps."""
    if report.interrupted:
        return f"Interrupted; state saved. Continue with: {resume}"
    if report.complete:
        arrived = per_kind(_objects(report, "done"))
        return f"Done: {arrived} on the target, nothing lost." if arrived else "Done: no objects."
    unfinished = [
        f"{amount} {status}"
        for status in ("failed", "blocked", "pending")
        if (amount := per_kind({kind: getattr(t, status) for kind, t in report.totals.items()}))
    ]
    other = [counted(len(report.losses), "loss", "losses")] if report.losses else []
    if report.unsupported:
        other.append(f"{per_kind(report.unsupported)} not copied by this version")
    if report.unknown:
        other.append(unknowns(report.unknown))
    line = "Not complete: " + ", ".join(unfinished + other)
    line += f'; run "{resume}" to try again.' if unfinished else "; see above."
    # Going on with a plan asks nothing again that planning asks.
    asks_again = " Without --resume, what is not known is asked again."
    return line + (asks_again if report.unknown and "--resume" in resume else "")


def report_as_json(report: Report) -> dict[str, Any]:
    """Return the whole report as JSON values.

    ``totals`` is kind -> found, done, failed, blocked, skipped, pending, wrote and bytes_sent;
    ``unsupported`` kind -> number of objects (null: not counted). Sizes are bytes,
    those sent of the files that the last try of each object sent; ``seconds`` is the time spent.
    ``straight`` is side -> files and bytes that went past its server, by URLs that it signed.
    """
    return {
        "migration_id": report.migration_id,
        "source": side_as_json(report.source),
        "target": side_as_json(report.target),
        "complete": report.complete,
        "interrupted": report.interrupted,
        "totals": {str(kind): _totals_as_json(totals) for kind, totals in report.totals.items()},
        "failures": [
            {
                **ref_as_json(failure.ref),
                "name": failure.name,
                "error": failure.error,
                "hint": failure.hint,
                "blocks": failure.blocks,
            }
            for failure in report.failures
        ],
        "losses": [
            {**ref_as_json(ref), "name": name, **loss_as_json(loss)}
            for ref, name, loss in report.losses
        ],
        "warnings": [{**ref_as_json(ref), "warning": text} for ref, text in report.warnings],
        "unsupported": unsupported_as_json(report.unsupported),
        "unknown": list(report.unknown),
        "bytes_sent": report.bytes_sent,
        "straight": {
            side: {"files": files.number, "bytes": files.bytes}
            for side, files in report.straight.items()
        },
        "seconds": report.seconds,
        "summary": closing(report),
    }


def _totals_as_json(totals: KindTotals) -> dict[str, int]:
    return {
        "found": totals.found,
        "done": totals.done,
        "failed": totals.failed,
        "blocked": totals.blocked,
        "skipped": totals.skipped,
        "pending": totals.pending,
        "wrote": totals.wrote,
        "bytes_sent": totals.bytes_sent,
    }


def _objects(report: Report, status: str) -> dict[Heading, int]:
    """Count objects with this status; a deletion is a step of its experiment, not an object."""
    return {
        kind: getattr(totals, status)
        for kind, totals in report.totals.items()
        if kind is not Step.DELETION
    }


def _print_totals(report: Report, console: Console) -> None:
    columns = ["found", "done", "failed", "blocked", "skipped"]
    if any(totals.pending for totals in report.totals.values()):
        columns.append("pending")
    rows = []
    for kind in HEADINGS:
        if kind in report.totals:
            totals = report.totals[kind]
            numbers = [f"{getattr(totals, column):,}" for column in columns]
            rows.append([kind.plural, *numbers, size(totals.bytes_sent)])
    if rows:
        print_table(console, ["", *columns, "sent"], rows)
    else:
        say(console, "No objects were found.")


def _failure(failure: Failure) -> list[str]:
    lines = [f"{label(failure.ref, failure.name)}: {one_line(failure.error)}"]
    if failure.hint:
        lines.append(f"    Hint: {one_line(failure.hint)}")
    if failure.blocks:
        lines.append(f"    blocks {counted(failure.blocks, 'other task')}")
    return lines


def _effort(report: Report) -> str:
    wrote = sum(totals.wrote for totals in report.totals.values())
    what = f"Wrote {counted(wrote, 'object')}" if wrote else "Wrote nothing"
    time = f" in {duration(report.seconds)}" if report.seconds else ""
    return f"{what}, sent {size(report.bytes_sent)} of artifacts{time}."


def _straight(report: Report) -> list[str]:
    """Say what went past a server, also in attempts that came to nothing."""
    return [
        f"Past the {side}, straight {way} its storage: {counted(files.number, 'file')}, "
        f"{size(files.bytes)}."
        for side, way in (("source", "from"), ("target", "to"))
        if (files := report.straight.get(side))
    ]
