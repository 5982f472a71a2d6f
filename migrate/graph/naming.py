"""Step that gives copies the names that the user's rename files say."""

from __future__ import annotations

from collections.abc import Iterable

from migrate.errors import UsageError
from migrate.graph.draft import Draft
from migrate.objects import Kind


def rename_copies(draft: Draft) -> None:
    """Give the copies their names. Raises ``UsageError`` when two of them would have one."""
    if not draft.renames:
        return
    if draft.target_can.keeps_ids:
        raise UsageError(
            "an export directory keeps the names of the source: it takes no rename file",
            "give the rename file when the directory is imported",
        )
    for kind in (Kind.EXPERIMENT, Kind.REGISTERED_MODEL):
        names = []
        for node in draft.of_kind(kind):
            new = draft.renames.name_for(kind, node.name)
            names.append((node.name, new))
            if new != node.name:
                node.because += (f"called {node.name!r} at the source, renamed by the rename file",)
            node.name = new
        check_distinct(kind, names)


def check_distinct(kind: Kind, names: Iterable[tuple[str, str]]) -> None:
    """Raise ``UsageError`` when two objects would get one name; pairs of name and new name."""
    by_new: dict[str, list[str]] = {}
    for name, new in names:
        by_new.setdefault(new, []).append(name)
    met = {new: olds for new, olds in by_new.items() if len(olds) > 1}
    if met:
        new, olds = next(iter(met.items()))
        more = f" (and {len(met) - 1} more such names)" if len(met) > 1 else ""
        raise UsageError(
            f"{kind.plural} {', '.join(map(repr, sorted(olds)))} would all be called {new!r}{more}",
            "change the rename file so that every copy has a name of its own",
        )
