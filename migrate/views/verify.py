"""What a comparison of source and target found, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rich.console import Console

from migrate.kinds import Kind, Ref
from migrate.outcomes import Difference, Loss
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
NONE: Mapping[Kind, int] = MappingProxyType({})


def print_differences(
    *,
    compared: Mapping[Kind, int],
    files: int,
    differences: Sequence[Difference],
    declared: Sequence[tuple[Ref, Loss]],
    unknown: Sequence[str] = (),
    unsupported: Mapping[Kind, int] = NONE,
    repair: str = "",
    console: Console | None = None,
) -> None:
    """Print every difference to stdout, and last what was compared and how many there are.

    ``files`` counts the compared artifacts. ``declared`` are losses that the report of the
    migration named already; they are not differences. ``unsupported`` are kinds that are at the
    source and not copied, and so not compared. ``repair`` is the command that mends.
    """
    console = console or result_console()
    lines = [
        f"{label(it.ref)}: {one_line(f'{it.what} - {it.detail}' if it.detail else it.what)}"
        + (LASTING if it.lasting else "")
        for it in differences
    ]
    print_list(console, f"Different ({len(lines):,}):", lines, "bold red")
    known = ((ref, "", f"{loss.what} - {loss.reason}") for ref, loss in declared)
    print_groups(console, "Known losses, as the report says", known)
    print_list(console, NOT_COPIED, counts_of(unsupported), "bold yellow")
    print_list(console, NOT_KNOWN, [one_line(text) for text in unknown], "bold yellow")
    if differences or declared or unknown or unsupported:
        say(console)
    for line in _what_to_do(differences, repair):
        say(console, line)
    line = verdict(compared, files, len(differences), len(declared), unknown, unsupported)
    say(console, line, "bold red" if differences or unknown or unsupported else "bold green")


def _what_to_do(differences: Sequence[Difference], repair: str) -> Iterator[str]:
    """Say what can be mended and how, and what cannot."""
    mendable = sum(not found.lasting for found in differences)
    if repair and mendable:
        amount = "These" if mendable == len(differences) else f"{mendable:,} of these"
        yield f"{amount} can be mended: {printable(repair)}"
    if lasting := sum(found.lasting and found.of_copy for found in differences):
        amount = "These" if lasting == len(differences) else f"{lasting:,}"
        yield f"{amount} cannot be mended on this target; --repair notes them as known losses."


def verdict(
    compared: Mapping[Kind, int],
    files: int,
    differences: int,
    declared: int,
    unknown: Sequence[str] = (),
    unsupported: Mapping[Kind, int] = NONE,
) -> str:
    """Say ``Verified: 4 experiments, 100 runs, 300 files: no difference.`` or how many.

    Where something is not copied, there is ``no difference in what is copied``.
    """
    amounts = [per_kind(compared), counted(files, "file") if files else ""]
    what = ", ".join(amount for amount in amounts if amount) or "no objects"
    found = counted(differences, "difference") if differences else "no difference"
    if unsupported and not differences:
        found += " in what is copied"
    beyond = f" beyond {counted(declared, 'known loss', 'known losses')}" if declared else ""
    but = [per_kind(unsupported) + " not copied by this version"] if unsupported else []
    but += [unknowns(unknown)] if unknown else []
    return f"Verified: {what}: {'; '.join([found + beyond, *but])}."


def differences_as_json(
    *,
    compared: Mapping[Kind, int],
    files: int,
    differences: Sequence[Difference],
    declared: Sequence[tuple[Ref, Loss]],
    unknown: Sequence[str] = (),
    unsupported: Mapping[Kind, int] = NONE,
) -> dict[str, Any]:
    """Return the comparison as JSON values: ``compared``, ``files``, ``differences``, ...

    ``equal`` says of what is copied that there is no difference, and all of it is known.
    """
    return {
        "compared": {str(kind): number for kind, number in compared.items()},
        "files": files,
        "equal": not (differences or unknown),
        "unknown": list(unknown),
        "unsupported": unsupported_as_json(unsupported),
        "differences": [
            {**ref_as_json(it.ref), "what": it.what, "detail": it.detail, "lasting": it.lasting}
            for it in differences
        ],
        "declared": [{**ref_as_json(ref), **loss_as_json(loss)} for ref, loss in declared],
    }
