"""What servers and storages mean by failing: that it may pass, or that no room is left."""

from __future__ import annotations

import re

from migrate.errors import StorageFull

#: Statuses that may pass by themselves.
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
#: "Insufficient Storage".
INSUFFICIENT = 507
#: The words of operating systems, SQLite, MySQL and S3-like storages. Not "quota" alone: a limit
#: of requests has that name as well, and passes.
_WORDS = re.compile(
    r"no space left|\b(?:disk|file ?system|volume|storage) (?:or disk )?is full|\bdisk full"
    r"|\b(?:disk|storage) quota|\bEDQUOT\b|\bENOSPC\b|\btable '[^']*' is full"
    r"|not enough (?:disk )?space|minimum free drive threshold|XMinioStorageFull",
    re.IGNORECASE,
)


def says_full(text: str) -> bool:
    """Say whether these are the words of something that has no room left."""
    return _WORDS.search(text) is not None


def storage_full(message: str, side: str) -> StorageFull:
    """Return the error for a ``side`` that has no room left."""
    return StorageFull(
        message, f"make room where the {side} keeps its files and its database, then go on"
    )
