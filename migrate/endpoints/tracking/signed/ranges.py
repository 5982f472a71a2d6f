"""A file as a stream that is read ahead by ranges, several at once, each of them checked."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import NamedTuple

import requests
from urllib3.exceptions import HTTPError

from migrate.endpoints.tracking.http.bounds import bounds_from
from migrate.endpoints.tracking.signed.memory import AT_ONCE, BLOCK, READING
from migrate.endpoints.tracking.signed.urls import NoConnection, RunOut, Signed, patiently, send
from migrate.errors import EndpointError, NotAuthenticated, Unavailable
from migrate.shares import Limits, Place, SharingThreads

_threads = SharingThreads(8, thread_name_prefix="ranges")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,20})-(\d{1,20})/(\d{1,20})")

#: Returns a fresh URL for the file.
Sign = Callable[[], Signed]


class Range(NamedTuple):
    """Bytes ``first`` to ``last`` of a file, both among them."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many bytes they are."""
        return self.last - self.first + 1


def ranges_of(size: int, block: int) -> Iterator[Range]:
    """Divide a file of ``size`` bytes into ranges of ``block`` bytes and a rest."""
    for first in range(0, size, block):
        yield Range(first, min(first + block, size) - 1)


class Changed(Unavailable):
    """The file is not the one that was begun: no range of it helps, only to begin anew."""


class NotGiven(Unavailable):
    """The storage gives no more of a file that is begun, or what is not part of it."""


class SignedFile:
    """A file of ``size`` bytes, as it was listed, that its storage gives by ranges.

    ``what`` is its name in messages.
    """

    def __init__(self, sign: Sign, size: int, what: str, limits: Limits) -> None:
        self._sign = sign
        self.size = size
        self._what = what
        self._limits = limits
        self._signed: Signed | None = None
        self._tag: str | None = None
        self._lock = threading.Lock()
        self._signing = threading.Lock()
        self.is_given_up = False

    def fetch(self, wanted: Range, place: Place, *, first: bool = False) -> bytes:
        """Return one range, asked for again where it breaks off, within a ``place`` for requests.

        Of the ``first`` it is not tried again to reach its storage. Raises ``Changed`` where the
        file is another by now, and for an answer that is not what was asked for ``EndpointError``
        at the ``first``, and ``NotGiven`` later.
        """
        refused: Signed | None = None

        def attempt() -> bytes | Exception:
            nonlocal refused
            signed: Signed | None = None
            if self.is_given_up:
                return Unavailable(f"{self._what} is not read to its end")
            try:
                signed = self._url(refused, place)
                return self._fetch(wanted, signed)
            except RunOut:
                refused = signed
                raise
            except Changed as problem:
                return problem
            except Unavailable as problem:
                if self.is_given_up or (first and isinstance(problem, NoConnection)):
                    return problem
                raise

        try:
            came = patiently(attempt)
        except (EndpointError, RunOut) as problem:
            if first or isinstance(problem, NotAuthenticated):
                raise
            raise NotGiven(problem.message, problem.hint) from None
        if isinstance(came, Exception):
            raise came
        return came

    def _url(self, refused: Signed | None, place: Place) -> Signed:
        with self._signing, place.used():
            if self._signed is None or self._signed is refused:
                self._signed = self._sign()
            return self._signed

    def _fetch(self, wanted: Range, signed: Signed) -> bytes:
        self._limits.rate.wait()
        asked = {"Range": f"bytes={wanted.first}-{wanted.last}", "Accept-Encoding": "identity"}
        with send("GET", signed, self._what, headers=asked) as response:
            check_range(response, wanted, self.size, self._what)
            self._check_tag(response.headers.get("ETag", ""))
            return self._body(response, wanted.size)

    def _check_tag(self, tag: str) -> None:
        if not tag:
            raise EndpointError(
                f"{self._what}: its storage gives no ETag: it could change while it is read"
            )
        with self._lock:
            if self._tag is None:
                self._tag = tag
            if self._tag != tag:
                raise Changed(f"{self._what} changed while it was copied")

    def _body(self, response: requests.Response, size: int) -> bytes:
        """Return a body of exactly ``size`` bytes, in the time that it may take."""
        ends = time.monotonic() + bounds_from().seconds_for(size)
        pieces, left = [], size
        try:
            while left and (piece := response.raw.read1(min(left, 1 << 18), decode_content=False)):
                pieces.append(piece)
                left -= len(piece)
                if self.is_given_up or time.monotonic() > ends:
                    raise Unavailable(f"{self._what}: its storage takes too long")
            more = b"" if left else response.raw.read(1, decode_content=False)
        except (HTTPError, OSError) as problem:
            raise Unavailable(
                f"{self._what} broke off while it was read: {type(problem).__name__}"
            ) from None
        if left or more:
            raise Unavailable(
                f"{self._what}: its storage sent {'more' if more else 'less'} than it said"
            )
        return b"".join(pieces)


def check_range(response: requests.Response, wanted: Range, size: int, what: str) -> None:
    """Raise ``EndpointError`` for an answer that is not this range of a file.

    Raises ``Changed`` where the file has not ``size`` bytes.
    """
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code != 206 or found is None:
        raise EndpointError(
            f"{what}: its storage answered {response.status_code}, and not with the part of the "
            "file that was asked for"
        )
    first, last, total = map(int, found.groups())
    if total != size:
        raise Changed(
            f"{what}: its storage has {total} bytes of it, and {size} were listed",
            "does something write to this file?",
        )
    length = response.headers.get("Content-Length", str(wanted.size))
    if (first, last) != wanted or length != str(wanted.size):
        raise EndpointError(f"{what}: its storage answered with another part of the file")


class _Ahead(NamedTuple):
    data: Future[bytes]
    size: int
    place: Place | None  # None: the stream's own


class RangedStream:
    """The plain stream of a file that is read ahead, in order.

    ``place`` is a request of its side that it has as long as it is open, as any stream has. Others
    are used where they are free at the moment, so that nobody has to wait for each other.
    """

    def __init__(self, file: SignedFile, limits: Limits, place: Place) -> None:
        self._file = file
        self._limits = limits
        self._place = place
        self._todo = deque(ranges_of(file.size, BLOCK))
        self._ahead: deque[_Ahead] = deque()
        self._here = memoryview(b"")
        self._held = 0

    def begin(self) -> None:
        """Fetch the first range, which shows whether the others will come this way too."""
        if self._todo:
            first = self._todo.popleft()
            READING.take(first.size, in_any_case=True)
            self._held = first.size
            self._here = memoryview(self._file.fetch(first, self._place, first=True))

    def read(self, count: int = -1) -> bytes:
        """Return ``count`` bytes, fewer only at the end; all for a negative one."""
        pieces: list[memoryview] = []
        left = count if count >= 0 else self._file.size
        while left and (self._here or self._next()):
            piece = self._here[:left]
            self._here = self._here[len(piece) :]
            left -= len(piece)
            pieces.append(piece)
            self._look_ahead()
        return b"".join(pieces)

    @property
    def is_read(self) -> bool:
        """Whether all of the file was read."""
        return not (self._todo or self._ahead or self._here)

    def seekable(self) -> bool:
        """It cannot be rewound."""
        return False

    def close(self) -> None:
        """Give up what is under way."""
        self._file.is_given_up = True
        self._todo.clear()
        given_up = [ahead for ahead in self._ahead if ahead.data.cancel()]
        wait([ahead.data for ahead in self._ahead])
        for ahead in given_up:
            if ahead.place is not None:
                ahead.place.give_back()
        READING.give_back(self._held + sum(ahead.size for ahead in self._ahead))
        self._held = 0
        self._ahead.clear()

    def _next(self) -> bool:
        READING.give_back(self._held)
        self._held = 0
        self._look_ahead()
        if not self._ahead:
            return False
        ahead = self._ahead[0]
        data = ahead.data.result()
        self._ahead.popleft()
        self._held, self._here = ahead.size, memoryview(data)
        return True

    def _look_ahead(self) -> None:
        while self._todo and len(self._ahead) < AT_ONCE:
            own = all(ahead.place or ahead.data.done() for ahead in self._ahead)
            place = None if own else self._limits.gate.take_now()
            if place is None and not own:
                return
            alone = not self._ahead and not self._held
            if not READING.take(self._todo[0].size, in_any_case=alone):
                if place is not None:
                    place.give_back()
                return
            wanted = self._todo.popleft()
            data = _threads.submit(self._fetched, wanted, place)
            self._ahead.append(_Ahead(data, wanted.size, place))

    def _fetched(self, wanted: Range, place: Place | None) -> bytes:
        try:
            return self._file.fetch(wanted, place or self._place)
        finally:
            if place is not None:
                place.give_back()
