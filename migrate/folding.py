"""Names that a database which compares texts without case takes for one: MySQL's, SQL Server's.

Such a database takes the first of them, and overwrites or refuses the others. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def folded(name: str) -> str:
    """Return what names have in common that such a database may take for one."""
    return unicodedata.normalize("NFC", name).casefold().rstrip()


def may_be_one(name: str, other: str) -> bool:
    """Say whether any database may take two names for one: some leave out accents as well."""
    plain, also = (
        folded(
            "".join(
                it for it in unicodedata.normalize("NFKD", text) if not unicodedata.combining(it)
            )
        )
        for text in (name, other)
    )
    return plain == also


def twins(names: Iterable[str]) -> dict[str, str]:
    """Return the names that would be taken for another one, each with the one that stays.

    That is the first of them in the order of their characters, whoever lists them.
    """
    stays: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in sorted(names):
        first = stays.setdefault(folded(name), name)
        if first != name:
            found[name] = first
    return found


def why_left_out(first: str) -> str:
    """Return why a name is left out that is taken for ``first``."""
    return f"the target compares names without case, and holds {first[:60]!r} of its original"
