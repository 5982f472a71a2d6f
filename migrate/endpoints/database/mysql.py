"""What MySQL and MariaDB do in ways of their own: how they compare texts, and begin to read.

Their collations may take ``Loss`` and ``loss`` for one text. So what is asked for by a text may
come in another spelling, and is looked at by whoever asked.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection, literal_column, text
from sqlalchemy.sql.elements import ColumnElement

from migrate.errors import EndpointError
from migrate.folding import NO_FOLDING, Folding

#: What SQLAlchemy calls them.
DIALECTS = ("mysql", "mariadb")
#: One state for all that is read, which keeps no writer waiting; nothing can be written.
BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
#: What a session is told that is not to write.
ONLY_READ = "SET SESSION TRANSACTION READ ONLY"
#: What a session that writes has: nothing is cut or made to fit in silence, and 0 is an id.
MODES = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"
_WORD = re.compile(r"\w+")
#: What ``Folding`` names, by two texts that are one where it is left out.
_ALIKE = {
    "case": ("a", "A"),
    "accents": ("e", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
    "blanks": ("a", "a "),
}


def exact(name: str) -> ColumnElement[Any]:
    """Return a column as the bytes of its text, which are the same for the same spelling only."""
    quoted = name.replace("`", "``")
    return literal_column(f"CAST(CONVERT(`{quoted}` USING utf8mb4) AS BINARY)")


def folding_of(connection: Connection, table: str, name: str) -> Folding:
    """Return what the collation of a column leaves out of account, as the server itself says."""
    told = text(
        "SELECT character_set_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = database() AND table_name = :table AND column_name = :name"
    )
    found = connection.execute(told, {"table": table, "name": name}).first()
    if found is None or None in found:
        return NO_FOLDING
    characters, collation = map(str, found)
    if not _WORD.fullmatch(characters) or not _WORD.fullmatch(collation):
        raise EndpointError(f"{table}.{name} is of the collation {collation!r}, which is no name")

    def alike(one: str, other: str) -> bool:
        left, right = (f"CONVERT(:{it} USING {characters})" for it in ("one", "other"))
        asked = text(f"SELECT {left} COLLATE {collation} = {right}")
        return bool(connection.execute(asked, {"one": one, "other": other}).scalar())

    return Folding(**{what: alike(*pair) for what, pair in _ALIKE.items()})
