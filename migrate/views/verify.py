"""What a comparison of source and target found, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from migrate.outcomes import Difference
from migrate.verify import Comparison
from migrate.views.json_values import loss_as_json, ref_as_json, unsupported_as_json
from migrate.views.layout import print_groups, print_list, result_console, say
from migrate.views.words import (
    NOT_COPIED,
    NOT_KNOWN,
    counted,
    counts_of,
    label,
    one_line,
    per_kind,
    printable,
    unknowns,
)

#: What is said of a difference that no repair undoes.
LASTING = " (cannot be mended)"


def print_differences(
    result: Comparison, *, repair: str = "", console: Console | None = None
) -> None:
    """Print every difference to stdout, and last what was compared and how many there are.

    ``repair`` is the command that mends.
    """
    console = console or result_console()
    lines = [
        f"{label(it.ref)}: {one_line(f'{it.what} - {it.detail}' if it.detail else it.what)}"
        + (LASTING if it.lasting else "")
        for it in result.differences
    ]
    print_list(console, f"Different ({len(lines):,}):", lines, "bold red")
    known = ((ref, "", f"{loss.what} - {loss.reason}") for ref, loss in result.declared)
    print_groups(console, "Known losses, as the report says", known)
    print_list(console, NOT_COPIED, counts_of(result.unsupported), "bold yellow")
    print_list(console, NOT_KNOWN, [one_line(text) for text in result.unknown], "bold yellow")
    if result.declared or not result.complete:
        say(console)
    for line in _what_to_do(result.differences, repair):
        say(console, line)
    say(console, verdict(result), "bold green" if result.complete else "bold red")


def _what_to_do(differences: Sequence[Difference], repair: str) -> Iterator[str]:
    """Say what can be mended and how, and what cannot."""
    mendable = sum(not found.lasting for found in differences)
    if repair and mendable:
        amount = "These" if mendable == len(differences) else f"{mendable:,} of these"
        yield f"{amount} can be mended: {printable(repair)}"
    if lasting := sum(found.lasting and found.of_copy for found in differences):
        amount = "These" if lasting == len(differences) else f"{lasting:,}"
        yield f"{amount} cannot be mended on this target; --repair notes them as known losses."


def verdict(result: Comparison) -> str:
    """Say ``Verified: 4 experiments, 100 runs, 300 files: no difference.`` or how many.

    Where something is not copied, there is ``no difference in what is copied``.
    """
    amounts = [per_kind(result.compared), counted(result.files, "file") if result.files else ""]
    what = ", ".join(amount for amount in amounts if amount) or "no objects"
    differences, declared = len(result.differences), len(result.declared)
    found = counted(differences, "difference") if differences else "no difference"
    if result.unsupported and not differences:
        found += " in what is copied"
    beyond = f" beyond {counted(declared, 'known loss', 'known losses')}" if declared else ""
    not_copied = per_kind(result.unsupported) + " not copied by this version"
    but = [not_copied] if result.unsupported else []
    but += [unknowns(result.unknown)] if result.unknown else []
    return f"Verified: {what}: {'; '.join([found + beyond, *but])}."


def differences_as_json(result: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON values: ``compared``, ``files``, ``differences``, ...

    ``equal`` says of what is copied that there is no difference, and all of it is known.
    """
    return {
        "compared": {str(kind): number for kind, number in result.compared.items()},
        "files": result.files,
        "equal": not (result.differences or result.unknown),
        "unknown": result.unknown,
        "unsupported": unsupported_as_json(result.unsupported),
        "differences": [
            {**ref_as_json(it.ref), "what": it.what, "detail": it.detail, "lasting": it.lasting}
            for it in result.differences
        ],
        "declared": [{**ref_as_json(ref), **loss_as_json(loss)} for ref, loss in result.declared],
    }
