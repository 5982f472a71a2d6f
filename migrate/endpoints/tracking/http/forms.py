"""A form of JSON and a file, as a body that is read from disk while it is sent."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Sequence
from typing import BinaryIO


class Form:
    """``said`` is JSON text; ``file`` has to be one that can be rewound, and is sent whole.

    Parts are named as MLflow's registry of skills names them: metadata, and content.
    """

    def __init__(self, said: str, file: BinaryIO) -> None:
        boundary = uuid.uuid4().hex
        self.content_type = f"multipart/form-data; boundary={boundary}"
        head = (
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="metadata"; filename="metadata.json"\r\n'
            f"Content-Type: application/json\r\n\r\n{said}\r\n"
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="content"; filename="content.tar.gz"\r\n'
            "Content-Type: application/gzip\r\n\r\n"
        )
        tail = f"\r\n--{boundary}--\r\n"
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._parts: Sequence[BinaryIO] = (
            io.BytesIO(head.encode()),
            file,
            io.BytesIO(tail.encode()),
        )
        self._size = len(head.encode()) + size + len(tail)

    def __len__(self) -> int:
        return self._size

    def read(self, count: int = -1) -> bytes:
        """Return at most ``count`` bytes, none at the end."""
        if count < 0:
            return b"".join(part.read() for part in self._parts)
        for part in self._parts:
            if found := part.read(count):
                return found
        return b""
