"""What migrations say of one another in a directory: nothing, since only one of them can write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class OneWriter:
    """See ``SaysWhoWrites``."""

    def read(self) -> Mapping[str, str]:
        """See ``SaysWhoWrites.read``."""
        return {}

    def write(self, migration_id: str, text: str, near: Sequence[str]) -> bool:
        """See ``SaysWhoWrites.write``."""
        return False

    def remove(self, migration_id: str) -> None:
        """See ``SaysWhoWrites.remove``."""
