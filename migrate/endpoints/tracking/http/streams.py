"""Bodies of requests and of answers as streams, which name their file and side where they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, cast

from urllib3.exceptions import HTTPError

from migrate.errors import Unavailable
from migrate.redaction import cut


def sized(stream: BinaryIO, size: int, what: str) -> Any:
    """Return a stream as a body of ``size`` bytes, with ``what`` as its name in messages.

    Reading it raises ``Unavailable`` where it is not as long.
    """
    return _Sized(stream, size, what)


def body_of(response: Any, what: str) -> BinaryIO:
    """Return the body of an answer as a stream, unpacked; ``what`` is its name in messages."""
    response.raw.decode_content = True
    return cast(BinaryIO, _Body(response.raw, what))


def counted(stream: BinaryIO, count: Callable[[int], None]) -> BinaryIO:
    """Return a stream that tells ``count`` how many bytes were taken from it each time."""
    return cast(BinaryIO, _Counted(stream, count))


class _Sized:
    """A stream with a length, so that the body goes out with Content-Length, in chunks.

    A stream that ends early or goes on is a file that changed since it was listed.
    """

    def __init__(self, stream: BinaryIO, size: int, what: str) -> None:
        self._stream = stream
        self._size = size
        self._left = size
        self._what = what

    def __len__(self) -> int:
        return self._size

    def read(self, count: int = -1) -> bytes:
        wanted = self._left if count < 0 else min(count, self._left)
        data = self._stream.read(wanted) if wanted else b""
        self._left -= len(data)
        if wanted and not data:
            raise self._changed(f"{self._left} bytes fewer than")
        if not self._left and self._stream.read(1):
            raise self._changed("more than")
        return data

    def _changed(self, difference: str) -> Unavailable:
        return Unavailable(
            f"{self._what}: the source delivers {difference} the {self._size} bytes that it listed",
            "does something write to this file, or cut off what the source sends?",
        )


class _Body:
    """The body of an answer as a file: ``read`` gives at most ``count`` bytes, b"" at the end.

    A body that breaks off is an error of ours, so that whoever sends it on does not take it for
    one of the other side's.
    """

    def __init__(self, raw: Any, what: str) -> None:
        self._raw = raw
        self._what = what

    def read(self, count: int = -1) -> bytes:
        try:
            return cast(bytes, self._raw.read(None if count < 0 else count))
        except (HTTPError, OSError) as problem:
            raise Unavailable(
                f"{self._what} broke off while it was read: {cut(str(problem), 300)}"
            ) from None

    def seekable(self) -> bool:
        return False


class _Counted:
    def __init__(self, stream: BinaryIO, count: Callable[[int], None]) -> None:
        self._stream = stream
        self._count = count

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._count(len(data))
        return data

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)
