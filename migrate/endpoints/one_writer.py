"""What migrations say of one another where no two can make a copy each: nothing."""

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

    def remove(self, migration_id: str) -> bool:
        """See ``SaysWhoWrites.remove``."""
        return False
