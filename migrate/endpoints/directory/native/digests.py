"""Digests of an export's files: SHA-256 as hex digits, taken while they pass by.

One is recorded as a file comes in, and held against what is read from the disk later. So a changed
bit is noticed whoever reads the file, and before the last piece of it is handed on.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

from migrate.endpoints.disk import DAMAGED, reading
from migrate.errors import ChangedContent

_PIECE = 1 << 20


def digest_on_disk(path: Path) -> str:
    """Read a file and return its digest. Raises ``DirectoryError``."""
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class CheckedFile(io.RawIOBase):
    """A file of ``size`` bytes that is read like any other, and has to have this ``digest``;
    ``shown`` is what it is called in an error.

    Whoever reads it from start to end gets ``ChangedContent`` in place of its last piece where it
    has not. What is read in another order is not checked.
    """

    def __init__(self, file: BinaryIO, path: Path, shown: str, size: int, digest: str) -> None:
        super().__init__()
        self._file = file
        self._path = path
        self._shown = shown
        self._size = size
        self._digest = digest
        self._begin()

    def _begin(self) -> None:
        self._left = self._size
        self._seen = hashlib.sha256()
        self._in_order = True

    def readable(self) -> bool:
        """See ``io.IOBase.readable``."""
        return True

    def seekable(self) -> bool:
        """See ``io.IOBase.seekable``."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See ``io.IOBase.seek``; from the start the file is checked again."""
        place = self._file.seek(offset, whence)
        if place == 0:
            self._begin()
        else:
            self._in_order = False
        return place

    def tell(self) -> int:
        """See ``io.IOBase.tell``."""
        return self._file.tell()

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """See ``io.RawIOBase.readinto``. Raises ``ChangedContent``, and ``DirectoryError``."""
        with reading(self._path):
            data = self._file.read(min(len(buffer), _PIECE))
        self._seen.update(data)
        self._left -= len(data)
        if self._in_order and self._left <= 0 and self._seen.hexdigest() != self._digest:
            raise ChangedContent(
                f"{self._shown} is not what was exported: its SHA-256 is {self._seen.hexdigest()}, "
                f"{self._digest} was recorded",
                DAMAGED,
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """See ``io.IOBase.close``."""
        self._file.close()
        super().close()
