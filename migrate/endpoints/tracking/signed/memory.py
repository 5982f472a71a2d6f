"""How much of files is in memory while they go in parts: a bound for all files of the process."""

from __future__ import annotations

import threading

#: Bytes of one range that is read, and at least of one part that is written.
BLOCK = 8 << 20
#: Bytes in memory for all files that are read, and as many for all that are written.
MOST = 8 * BLOCK
#: Requests for one file at a time.
AT_ONCE = 4


class Memory:
    """Bytes that may be held. Whoever holds none gets what it needs, whatever others hold.

    Else two files could wait for each other for ever, one to be read on and one to be written on.
    """

    def __init__(self, most: int = MOST) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self, size: int, *, in_any_case: bool = False) -> bool:
        """Take ``size`` bytes; say no where they are not left."""
        with self._lock:
            if size > self._left and not in_any_case:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += size


READING = Memory()
WRITING = Memory()
