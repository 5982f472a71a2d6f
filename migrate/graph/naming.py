"""Step that gives copies the names that the user's rename files say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from migrate.errors import UsageError
from migrate.graph.draft import Draft, Node
from migrate.graph.renames import Rule, rule_for
from migrate.kinds import Kind
from migrate.plans import Because
from migrate.tasks.carriers import CARRIERS, carrier_of
from migrate.tasks.outcomes import rename_hint

#: Names that an error lists before it only counts.
NAMES_SHOWN = 20


def rename_copies(draft: Draft) -> None:
    """Give the copies their names, and note which rules fit nothing.

    Raises ``UsageError`` when two copies would have one name.
    """
    if not draft.renames:
        return
    if draft.target_can.archive:
        raise UsageError(
            "an export directory keeps the names of the source: it takes no rename file",
            "give the rename file when the directory is imported",
        )
    for kinds in _named_apart():
        names = []
        for node in (node for kind in kinds for node in draft.of_kind(kind)):
            new = draft.renames.name_for(node.ref.kind, node.name)
            names.append((node.name, new))
            if new != node.name:
                text = f"called {node.name!r} at the source, renamed by the rename file"
                node.because += (Because(text),)
            node.name = new
        kind, *_ = kinds
        check_distinct(kind, names)
        draft.notes += idle_rules(kind, [old for old, _ in names], draft.renames.rules_for(kind))


def idle_rules(kind: Kind, names: Sequence[str], rules: Sequence[Rule]) -> list[str]:
    """Say which rules fit none of these names: most likely there is a slip in them."""
    used = {rule_for(name, rules) for name in names}
    return [
        f"rule '{old},{new}' of the rename file fits no {kind} (or an earlier rule fits first)"
        for old, new in rules
        if (old, new) not in used
    ]


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


def check_names(draft: Draft) -> None:
    """Raise ``UsageError`` when copies would have names that the target does not take."""
    can = draft.target_can
    for carrier in CARRIERS:
        kinds, in_registry = carrier.kind.plural, carrier.kind.in_registry
        names = [node.name for node in draft.of_kind(carrier.kind)] if carrier.renamed_by else []
        if can.absolute_names and not in_registry:
            _refuse_names(
                [name for name in names if not _is_path(name)],
                f"{can.description} takes only absolute paths as names of {kinds}",
                carrier.renamed_by,
                "/Shared/",
            )
        if can.name_levels and in_registry:
            _refuse_names(
                [name for name in names if not _has_levels(name, can.name_levels)],
                f"{can.description} takes only names of {can.name_levels} levels for {kinds}",
                carrier.renamed_by,
                "catalog.schema.",
            )


def tell_of_twins(draft: Draft) -> None:
    """Warn of names that the target's database may take for one name.

    Whether it leaves out case and blanks cannot always be asked, and shows at the latest when a
    name is refused. Accents are left out by fewer.
    """
    can = draft.target_can
    if can.archive:
        return
    for kinds in _named_apart():
        asked = can.registry_folding if kinds[0].in_registry else can.folding
        folding = asked._replace(case=True, blanks=True)
        alike: dict[str, list[Node]] = {}
        for kind in kinds:
            for node in draft.of_kind(kind):
                if node.selected:
                    alike.setdefault(folding.of(node.name), []).append(node)
        differing = "case, accents or spaces" if folding.accents else "case or spaces"
        for twins in (nodes for nodes in alike.values() if len(nodes) > 1):
            names = sorted({repr(node.name) for node in twins})
            for node in twins:
                if len(names) == 1:
                    ids = ", ".join(sorted(it.ref.id for it in twins))
                    told = f"{ids} are all called {names[0]}: on a server they become one"
                else:
                    told = (
                        f"{', '.join(names)} differ in {differing} only: a target that compares "
                        f"without these takes one of them. {_rename_hint(node.ref.kind)}"
                    )
                node.warnings += (told,)


def _named_apart() -> list[list[Kind]]:
    """Return the kinds whose names must differ from each other, those renamed by one file."""
    groups: dict[str, list[Kind]] = {}
    for carrier in CARRIERS:
        if carrier.renamed_by:
            groups.setdefault(carrier.renamed_by, []).append(carrier.kind)
    return list(groups.values())


def _rename_hint(kind: Kind) -> str:
    carrier = carrier_of(kind)
    return rename_hint(kind, carrier.renamed_by if carrier else "")


def _is_path(name: str) -> bool:
    return name.startswith("/") and all(name[1:].split("/"))


def _has_levels(name: str, levels: int) -> bool:
    parts = name.split(".")
    return len(parts) == levels and all(parts) and not any(char in name for char in " /")


def _refuse_names(names: Sequence[str], rule: str, option: str, example: str) -> None:
    if not names:
        return
    shown = ", ".join(map(repr, names[:NAMES_SHOWN]))
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    raise UsageError(
        f"{rule}; not so called: {shown}{more}",
        f"give each another name with {option}, one line for each: {names[0]},{example}{names[0]}",
    )
