"""Names that a database takes for one which compares texts without case, accents or blanks.

So do MySQL's and SQL Server's, each as its collation says. Such a database takes the first of two
such names, and overwrites or refuses the others. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Folding(NamedTuple):
    """What a database leaves out of account when it compares names; ``blanks`` at their end."""

    case: bool = False
    accents: bool = False
    blanks: bool = False

    def of(self, name: str) -> str:
        """Return what a name has in common with all those that are taken for it.

        Where anything is left out, so is the Unicode form: no database folds and keeps to that.
        """
        if not any(self):
            return name
        # Twice: one sign below letters is a letter in the other case, and accents hide some case.
        name = name.casefold() if self.case else name
        if self.accents:
            apart = unicodedata.normalize("NFKD", name)
            name = "".join(it for it in apart if not unicodedata.combining(it))
        name = unicodedata.normalize("NFC", name)
        name = name.casefold() if self.case else name
        return name.rstrip() if self.blanks else name


NO_FOLDING = Folding()
#: What some database or other leaves out.
ANY_FOLDING = Folding(case=True, accents=True, blanks=True)


def may_be_one(name: str, other: str) -> bool:
    """Say whether any database may take two names for one."""
    return name == other or ANY_FOLDING.of(name) == ANY_FOLDING.of(other)


def twins(names: Iterable[str], folding: Folding) -> dict[str, str]:
    """Return the names that would be taken for another one, each with the one that stays.

    That is the first of them in the order of their characters, whoever lists them.
    """
    stays: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in sorted(names):
        first = stays.setdefault(folding.of(name), name)
        if first != name:
            found[name] = first
    return found


def spelled_otherwise(name: str) -> Mapping[str, str]:
    """Return, by the fields of ``Folding``, a spelling that is found only where that is left out.

    A name without a plain letter has none in another case, and none with an accent.
    """
    first = next((at for at, it in enumerate(name) if it.isascii() and it.isalpha()), None)
    others = {"blanks": f"{name} "}
    if first is not None:
        # Of plain letters only: databases differ about the case of some others, as of a dotless i.
        others["case"] = "".join(it.swapcase() if it.isascii() else it for it in name)
        accented = f"{name[: first + 1]}\N{COMBINING ACUTE ACCENT}{name[first + 1 :]}"
        others["accents"] = unicodedata.normalize("NFC", accented)
    return others


def why_left_out(first: str) -> str:
    """Return why a name is left out that is taken for ``first``."""
    return f"the target's database takes it for {first[:60]!r}, which its original has as well"
