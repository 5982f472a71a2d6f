"""Which process holds what only one may hold, as the next one that wants it is told."""

from __future__ import annotations

import os
import socket
import time
from typing import NamedTuple


class Holder(NamedTuple):
    """A process on a host, and since when it holds it, in epoch milliseconds."""

    pid: int
    host: str
    since: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {moment(self.since)}"


def moment(milliseconds: int) -> str:
    """Return a time of this machine's clock as people read it here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))


def this_process() -> Holder:
    """Return this process, as of now."""
    return Holder(os.getpid(), socket.gethostname(), int(time.time() * 1000))
