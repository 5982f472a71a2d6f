"""A file written in parts through signed URLs, several at once, each repeated by itself."""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, cast

from migrate.endpoints.tracking.http.streams import sized
from migrate.endpoints.tracking.signed.memory import AT_ONCE, BLOCK, WRITING
from migrate.endpoints.tracking.signed.urls import NoConnection, RunOut, Signed, patiently, send
from migrate.errors import EndpointError, Unavailable
from migrate.shares import Limits, Place, SharingThreads

#: Storages take no more parts of one file.
MOST_PARTS = 10_000
#: Characters of an ETag that is kept; those of storages have some forty.
LONGEST_TAG = 200

_threads = SharingThreads(8, thread_name_prefix="parts")


def part_size(size: int, block: int = BLOCK) -> int:
    """Return how many bytes each part of a file has but the last: at least a block."""
    return max(block, math.ceil(size / MOST_PARTS))


def parts_in(size: int, block: int = BLOCK) -> int:
    """Return how many parts a file has; an empty one has one, which is empty."""
    return max(1, math.ceil(size / part_size(size, block)))


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that is begun: its id, empty where there is none, and a URL for each part."""

    ident: str
    parts: Sequence[Signed] = field(repr=False)


class NotTaken(Unavailable):
    """The storage does not take a part, however often it is sent by this URL."""


class Interrupted(Exception):
    """No part can be sent from here; ``rest`` is the whole stream still, from its beginning."""

    def __init__(self, rest: BinaryIO, why: Unavailable) -> None:
        super().__init__(str(why))
        self.rest = rest
        self.why = why


class _Under(NamedTuple):
    tag: Future[str]
    size: int
    place: Place | None  # None: the upload's own


class PartsSender:
    """Sends the parts of one file of ``size`` bytes, which ``what`` names in messages.

    ``place`` is a request of its side that it has as long as it sends. Others are used where they
    are free at the moment, so that nobody has to wait for each other.
    """

    def __init__(self, upload: Upload, size: int, what: str, limits: Limits, place: Place) -> None:
        self._upload = upload
        self._size = size
        self._what = what
        self._limits = limits
        self._place = place
        self._under_way: deque[_Under] = deque()
        self._tags: list[str] = []
        self._held = 0
        self._is_given_up = False

    def send(self, stream: BinaryIO) -> Sequence[str]:
        """Send all; return the ETags of the parts, in order.

        Raises ``Interrupted`` where the storage is not reached, or does not take the first part,
        ``NotTaken`` for another, and ``Unavailable`` where the stream is not as long as it should
        be, or no answer comes.
        """
        body = cast(BinaryIO, sized(stream, self._size, self._what))
        step, left = part_size(self._size), self._size
        try:
            for signed in self._upload.parts:
                wanted = min(step, left)
                self._make_room(wanted)
                data = _exactly(body, wanted)
                left -= wanted
                if left == self._size - wanted:
                    self._send_first(signed, data, stream)
                else:
                    self._submit(signed, data)
                del data
            while self._under_way:
                self._collect()
        finally:
            self._give_up()
        return self._tags

    def _make_room(self, size: int) -> None:
        while not WRITING.take(size, in_any_case=not self._under_way):
            self._collect()
        self._held += size

    def _send_first(self, signed: Signed, data: bytes, stream: BinaryIO) -> None:
        """Send the first part by itself, which shows whether the others will come this way too."""
        try:
            self._tags.append(self._send(signed, data, self._place, first=True))
        except (NoConnection, NotTaken) as why:
            raise Interrupted(cast(BinaryIO, _Rest(data, stream)), why) from None
        self._let_go(len(data))

    def _submit(self, signed: Signed, data: bytes) -> None:
        while len(self._under_way) >= AT_ONCE:
            self._collect()
        place = None
        while any(it.place is None and not it.tag.done() for it in self._under_way):
            place = self._limits.gate.take_now()
            if place is not None:
                break
            self._collect()
        sent = _threads.submit(self._sent, signed, data, place)
        self._under_way.append(_Under(sent, len(data), place))

    def _sent(self, signed: Signed, data: bytes, place: Place | None) -> str:
        try:
            return self._send(signed, data, place or self._place)
        finally:
            if place is not None:
                place.give_back()

    def _send(self, signed: Signed, data: bytes, place: Place, *, first: bool = False) -> str:
        def attempt() -> str | Unavailable:
            if self._is_given_up:
                return Unavailable(f"{self._what} is not written to its end")
            self._limits.rate.wait()
            body = sized(io.BytesIO(data), len(data), self._what) if data else b""
            try:
                with send("PUT", signed, self._what, data=body) as response:
                    response.raw.read(1 << 16)  # that the connection can be used again
                    return response.headers.get("ETag", "")
            except NoConnection as problem:
                if first:
                    return problem
                raise
            except (EndpointError, RunOut) as problem:
                return NotTaken(problem.message, problem.hint)

        with place.used():
            came = patiently(attempt)
        if isinstance(came, Unavailable):
            raise came
        if len(came) > LONGEST_TAG or not came.isprintable():
            raise NotTaken(f"{self._what}: its storage answered with an odd ETag")
        return came

    def _collect(self) -> None:
        oldest = self._under_way[0]
        tag = oldest.tag.result()
        self._under_way.popleft()
        self._let_go(oldest.size)
        self._tags.append(tag)

    def _let_go(self, size: int) -> None:
        self._held -= size
        WRITING.give_back(size)

    def _give_up(self) -> None:
        self._is_given_up = True
        given_up = [it for it in self._under_way if it.tag.cancel()]
        wait([it.tag for it in self._under_way])
        for it in given_up:
            if it.place is not None:
                it.place.give_back()
        self._under_way.clear()
        self._let_go(self._held)


def completed(upload: Upload, name: str, tags: Sequence[str]) -> Mapping[str, object]:
    """Return what completes an upload; a storage that tells no ETags is told by the URLs."""
    parts = [
        {"part_number": number, "etag": tag} if tag else {"part_number": number, "url": signed.url}
        for number, (tag, signed) in enumerate(zip(tags, upload.parts, strict=True), 1)
    ]
    return {**begun(upload, name), "parts": parts}


def begun(upload: Upload, name: str) -> Mapping[str, object]:
    """Return what names an upload."""
    return {"path": name, **({"upload_id": upload.ident} if upload.ident else {})}


def _exactly(body: BinaryIO, size: int) -> bytes:
    pieces = []
    while size:
        piece = body.read(size)
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Rest:
    """What was read of a stream, and what was not, as one stream."""

    def __init__(self, data: bytes, stream: BinaryIO) -> None:
        self._data = io.BytesIO(data)
        self._stream = stream

    def read(self, count: int = -1) -> bytes:
        data = self._data.read(count)
        if data and count >= 0:
            return data
        return data + self._stream.read(count)

    def seekable(self) -> bool:
        return False
