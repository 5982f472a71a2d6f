"""Why something in an export cannot be read, in errors that say what to do."""

from __future__ import annotations

from pathlib import Path

from migrate.endpoints.directory.layout import directory_name, name_of_replaced
from migrate.endpoints.disk import DAMAGED
from migrate.errors import DirectoryError


def held_twice(what: str, here: Path, there: Path) -> DirectoryError:
    """Say that two directories hold the same object."""
    return DirectoryError(f"{here} holds {what}, which {there} holds too", "remove one of them")


def require_own(record: Path, ident: str) -> None:
    """Raise ``DirectoryError`` where a record of ours is not in the directory of its id."""
    name = name_of_replaced(record.parent.name) or record.parent.name
    if name not in (ident, directory_name(ident)):
        raise DirectoryError(f"{record} is about {ident!r}, in the directory of {name!r}", DAMAGED)


def not_listed(place: Path, index: Path) -> DirectoryError:
    """Say that what another tool wrote, which lists what is whole, is not listed."""
    return DirectoryError(
        f"{place} is not listed in {index}: its export did not finish",
        "export it again; if you know it to be whole, add its id to the list there",
    )


def half_made(place: Path) -> DirectoryError:
    """Say that the export of something did not finish."""
    return DirectoryError(f"{place} is half made: its export did not finish", "resume the export")


def nothing_around(index: Path) -> DirectoryError:
    """Say that something is there whose experiment or registered model cannot be read."""
    return DirectoryError(
        f"what it is in cannot be read, without which it has no place: {index}",
        "restore that file from a backup, or export again",
    )


def not_there(index: Path, name: str, *, failed: bool) -> DirectoryError:
    """Say that an index names what is not on disk; ``failed``: as one that did not export."""
    if failed:
        return DirectoryError(f"{name} failed to export, says {index}", "export it again")
    return DirectoryError(f"{name} is listed in {index}, but is not there", DAMAGED)
