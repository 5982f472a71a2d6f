"""What migrations say of one another in a directory: nothing, since only one of them can write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


class OneWriter:
    """See ``SaysWhoWrites``."""

    def writers(self) -> Mapping[str, str]:
        """See ``SaysWhoWrites.writers``."""
        return {}

    def say_writing(self, migration_id: str, text: str, near: Sequence[str]) -> bool:
        """See ``SaysWhoWrites.say_writing``."""
        return False

    def stop_saying(self, migration_id: str) -> None:
        """See ``SaysWhoWrites.stop_saying``."""

    def before_creating(self, call: Callable[[], None] | None) -> None:
        """See ``SaysWhoWrites.before_creating``."""
