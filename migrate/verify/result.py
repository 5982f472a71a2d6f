"""What a comparison is made of, and what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrate.endpoints.answers import Copy
from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.stores import Found
from migrate.graph.renames import NO_RENAMES, Renames
from migrate.graph.selection import Selection
from migrate.kinds import Kind, Ref
from migrate.objects import ModelLinks
from migrate.outcomes import Difference, Loss
from migrate.tasks.batches import Policy

NO_CHOICES = Policy(migration_id="")
#: How an object differs that has no copy.
MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The two ends of a comparison and how it is made.

    ``policy`` has the choices that the copies were made with. With ``contents`` every file is
    read on both ends, otherwise names and sizes are compared.
    """

    source: Source
    target: Target
    selection: Selection
    renames: Renames = NO_RENAMES
    policy: Policy = NO_CHOICES
    workers: int = 8
    contents: bool = False

    @property
    def compare_links(self) -> bool:
        """True when both ends can tell which logged models runs name."""
        return all(
            Kind.LOGGED_MODEL in end.capabilities().readable for end in (self.source, self.target)
        )


@dataclass(slots=True)
class Comparison:
    """What was compared and what differs; ``declared`` are losses that were known.

    ``unknown`` is what could not be learned of the two ends, and so not compared. ``unsupported``
    counts what is at the source and of kinds that are not copied (-1: present, not counted).
    """

    compared: Counter[Kind] = field(default_factory=Counter)
    files: int = 0
    differences: list[Difference] = field(default_factory=list)
    declared: list[tuple[Ref, Loss]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unsupported: Mapping[Kind, int] = field(default_factory=dict)
    #: The logged models that the runs compared name, by run id; runs without any are not there.
    links: dict[str, ModelLinks] = field(default_factory=dict)

    @property
    def lacks_copies(self) -> bool:
        """True when an object has no copy."""
        return any(it.what == MISSING for it in self.differences)

    @property
    def complete(self) -> bool:
        """True when all that is selected was compared, and nothing differs."""
        return not (self.differences or self.unknown or self.unsupported)

    def merge(self, other: Comparison) -> None:
        """Take in the result of another part."""
        self.compared += other.compared
        self.files += other.files
        self.differences += other.differences
        self.declared += other.declared
        self.links |= other.links
        self.unknown += [text for text in other.unknown if text not in self.unknown]

    def declare(self, ref: Ref, losses: Iterable[Loss]) -> None:
        """Note losses that are known, each once."""
        for loss in losses:
            if (ref, loss) not in self.declared:
                self.declared.append((ref, loss))

    def differs(
        self,
        ref: Ref,
        what: str,
        detail: str,
        *,
        lasting: bool = False,
        of_copy: bool = True,
        written_with: Ref | None = None,
    ) -> None:
        """Note a difference, unless a loss of that name is declared; see ``Difference``."""
        if not any(known == ref and loss.what == what for known, loss in self.declared):
            self.differences.append(Difference(ref, what, detail, lasting, of_copy, written_with))

    def explain(self, reasons: Mapping[Ref, tuple[str, str]]) -> None:
        """Have what is missing say what became of it, and why, where that is known."""
        self.differences = [
            it._replace(what=reasons[it.ref][0], detail=reasons[it.ref][1])
            if it.what == MISSING and it.ref in reasons
            else it
            for it in self.differences
        ]

    def finds(
        self, ref: Ref, name: str, held: Sequence[Copy | Found[Any]], *, was_read: bool = True
    ) -> bool:
        """Count an object, and say whether there is a copy to compare it with.

        ``held`` are all its copies, the one to compare first. What is wrong with them is noted.
        """
        self.compared[ref.kind] += 1
        if len(held) > 1:
            detail = f"the target holds {len(held)} of them"
            self.differs(ref, "copies", detail, lasting=True, of_copy=False)
        if held and held[0].unreadable:
            self.differs(ref, "unreadable", held[0].unreadable, lasting=True, of_copy=False)
        elif not (held and was_read):
            self.differs(ref, MISSING, f"{name!r} is not on the target", of_copy=False)
        else:
            return True
        return False

    def check_mark(self, ref: Ref, mark: str) -> None:
        """Note where a copy is not marked as complete."""
        if not mark:
            self.differs(ref, "mark", "the copy is half-made")

    def check(
        self, ref: Ref, what: str, wanted: object, there: object, *, lasting: bool = False
    ) -> None:
        """Note a difference when what is there is not what is wanted."""
        if wanted != there:
            self.differs(ref, what, f"{_shown(wanted)} became {_shown(there)}", lasting=lasting)

    def check_items(
        self,
        ref: Ref,
        word: str,
        wanted: Mapping[str, str],
        there: Mapping[str, str],
        *,
        lasting: Collection[str] = (),
    ) -> None:
        """Note each key under which two mappings differ; what is under some is there to stay."""
        for key in sorted(wanted.keys() | there.keys()):
            stays = key in lasting
            self.check(ref, f"{word} {key}", wanted.get(key), there.get(key), lasting=stays)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if not isinstance(value, str) or len(value) <= 60:
        return repr(value)
    return f"{value[:57]!r}… ({len(value)} characters)"
