"""Where the tests write: in memory where there is room for it, where a commit waits for no disk."""

from __future__ import annotations

import os
import shutil

_FREE = 2 * 1024**3


def _roomy(path: str) -> bool:
    """Whether there is such a folder, to be written to, with two GB free."""
    return os.access(path, os.W_OK) and shutil.disk_usage(path).free > _FREE


#: A folder in memory; None where the system has none, or a small one as containers do.
MEMORY = "/dev/shm" if _roomy("/dev/shm") else None
