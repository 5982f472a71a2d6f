"""How much a server may send, and for how long, before the call ends with an error.

A server that is broken, or means harm, can answer without end: more bytes than memory holds, a
few bytes a minute, page after page. Everything that is read here has a bound, and what takes long
says so. ``MIGRATE_LARGEST_ANSWER_MB`` and ``MIGRATE_LONGEST_ANSWER_SECONDS`` set the first two.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from migrate.endpoints.shapes import Object
from migrate.endpoints.tracking.http.connections import PromptConnection, used_by
from migrate.errors import EndpointError, Malformed, Unavailable, UsageError

log = logging.getLogger(__name__)

LARGEST_VARIABLE = "MIGRATE_LARGEST_ANSWER_MB"
LONGEST_VARIABLE = "MIGRATE_LONGEST_ANSWER_SECONDS"
#: Megabytes of a file from which on it goes in parts, where it can.
LARGE_VARIABLE = "MIGRATE_LARGE_FILE_MB"
LARGE_FILE_MB = 64.0
#: Read of an answer at a time.
BLOCK = 1 << 16
#: Seconds after which a call that is still unanswered is told of, and each time as many again.
QUIET_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of one server's answers.

    ``answer_bytes`` of one JSON answer, unpacked; ``answer_parts`` are the objects and lists in
    it, each of which takes hundreds of bytes of memory. ``answer_seconds`` may pass until an
    answer is there; a file has besides the time it takes at ``bytes_per_second``. Of one search
    ``empty_pages`` may follow each other, and there are ``pages`` in all.
    """

    answer_bytes: int = 256 << 20
    answer_parts: int = 3_000_000
    answer_seconds: float = 600.0
    bytes_per_second: int = 10_000
    empty_pages: int = 100
    pages: int = 100_000

    def seconds_for(self, size: int) -> float:
        """Return how long an answer, or a body, of ``size`` bytes may take."""
        return self.answer_seconds + size / self.bytes_per_second


def bounds_from(environment: Mapping[str, str] = os.environ) -> Bounds:
    """Return the bounds that the environment sets. Raises ``UsageError`` for what is no number."""
    given = Bounds()
    megabytes = _number(environment, LARGEST_VARIABLE, given.answer_bytes / (1 << 20))
    return Bounds(
        answer_bytes=int(megabytes * (1 << 20)),
        answer_parts=int(given.answer_parts * megabytes * (1 << 20) / given.answer_bytes),
        answer_seconds=_number(environment, LONGEST_VARIABLE, given.answer_seconds),
    )


def large_file(environment: Mapping[str, str] = os.environ) -> int:
    """Return from how many bytes on a file goes in parts. Raises ``UsageError`` likewise."""
    return int(_number(environment, LARGE_VARIABLE, LARGE_FILE_MB) * (1 << 20))


def _number(environment: Mapping[str, str], variable: str, default: float) -> float:
    text = environment.get(variable, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise UsageError(
            f"{variable} is {text[:40]!r}, which is no amount", "give a number, as 500"
        )
    return number


def read_answer(response: requests.Response, where: str, bounds: Bounds) -> bytes:
    """Return the whole body of an answer, unpacked.

    Raises ``Malformed`` for one that is larger than the bounds allow, and ``Unavailable``
    where it breaks off. It is unpacked piece by piece, so that a small one cannot fill memory.
    """
    held = bytearray()
    try:
        for piece in response.raw.stream(BLOCK, decode_content=True):
            held += piece
            if len(held) > bounds.answer_bytes:
                raise too_large(where, f"more than {bounds.answer_bytes >> 20} MB")
    except (requests.RequestException, HTTPError, OSError) as problem:
        raise Unavailable(f"{where}: the answer broke off: {type(problem).__name__}") from None
    content = bytes(held)
    parts = content.count(b"{") + content.count(b"[")
    if parts > bounds.answer_parts:
        raise too_large(where, f"{parts:,} objects and lists")
    return content


def too_large(where: str, amount: str) -> Malformed:
    """Return the error for an answer that is not held in memory."""
    return Malformed(
        f"{where} answered with {amount}, which is not read",
        f"if that is right for this server, set {LARGEST_VARIABLE} to as many megabytes as this "
        "machine can hold several times",
    )


def paged(
    ask: Callable[[str], Mapping[str, Any]], where: str, bounds: Bounds
) -> Iterator[Mapping[str, Any]]:
    """Yield the pages of a search; ``ask`` returns that of a token, the first with an empty one.

    An empty page with a token is not the end. Raises ``EndpointError`` for a search that does
    not come to one: a token, or a page, that was seen before, too many empty pages or too many.
    """
    seen: set[bytes] = set()
    empty, token, before = 0, "", None
    for _ in range(bounds.pages):
        page = ask(token)
        token = token_in(page)
        yield page
        if not token:
            return
        items = {key: value for key, value in page.items() if isinstance(value, list) and value}
        empty = 0 if items else empty + 1
        digest = hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=16).digest()
        if digest in seen or (items and items == before):
            raise _endless(where, "gives the same page again")
        if empty > bounds.empty_pages:
            raise _endless(where, f"gives {empty} empty pages in a row, and there are to be more")
        seen.add(digest)
        before = items
    raise _endless(where, f"has more than {bounds.pages:,} pages")


def token_in(page: Object) -> str:
    """Return by what the next page is asked for; empty on the last. Raises ``Malformed``."""
    token = page.get("next_page_token")
    if token is None or isinstance(token, str):
        return token or ""
    raise Malformed(f"{getattr(page, 'where', 'the answer')}: next_page_token is no text")


def _endless(where: str, how: str) -> EndpointError:
    return EndpointError(
        f"{where} comes to no end: it {how}",
        "is a gateway or a cache between here and MLflow? what was listed so far is not all",
    )


@dataclass(slots=True)
class Wait:
    """A call under way: what is waited for, in which thread, and until when."""

    what: str
    started: float
    ends: float
    thread: int
    next_word: float
    cut: bool = False
    connection: PromptConnection | None = None

    def answered(self) -> None:
        """Keep to the connection from which the answer comes: the thread may use others now."""
        self.connection = used_by(self.thread)

    def cut_off(self) -> None:
        """Break the connection, so that whatever waits on it ends with an error."""
        self.cut = True
        connection = self.connection or used_by(self.thread)
        if connection is not None:
            connection.cut()


class Watch:
    """Cuts connections that take longer than they may, and says which calls take long.

    The time limits of a socket start anew with each byte, so a server that sends a byte now and
    then holds a call for ever. One thread looks at all calls under way, while there are any.
    """

    def __init__(self) -> None:
        self._waits: dict[int, Wait] = {}
        self._lock = threading.Lock()
        self._looking = False

    @contextmanager
    def over(self, what: str, seconds: float, *, speaks: bool = True) -> Iterator[Wait]:
        """Allow the block, which waits for one answer in this thread, so many seconds.

        Raises ``Unavailable`` when its connection had to be cut. With ``speaks`` a call that is
        waited for long is told of meanwhile.
        """
        now = time.monotonic()
        word = now + QUIET_SECONDS if speaks else float("inf")
        wait = Wait(what, now, now + seconds, threading.get_ident(), word)
        with self._lock:
            self._waits[id(wait)] = wait
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="watch", daemon=True).start()
        try:
            yield wait
        except Exception:
            if wait.cut:
                raise self._took_too_long(wait) from None
            raise
        finally:
            with self._lock:
                del self._waits[id(wait)]
        if wait.cut:  # without a length, a body that was cut looks like a whole one
            raise self._took_too_long(wait)

    @staticmethod
    def _took_too_long(wait: Wait) -> Unavailable:
        return Unavailable(
            f"{wait.what} took longer than {wait.ends - wait.started:,.0f} s, and was given up",
            f"{LONGEST_VARIABLE} sets how long an answer may take",
        )

    def _look(self) -> None:
        while True:
            time.sleep(1.0)
            now = time.monotonic()
            with self._lock:
                waits = list(self._waits.values())
                if not waits:
                    self._looking = False
                    return
                for wait in waits:
                    if now >= wait.ends and not wait.cut:
                        wait.cut_off()
            for wait in waits:
                if now >= wait.next_word:
                    wait.next_word = now + QUIET_SECONDS
                    log.warning("waiting for %s for %.0f s so far", wait.what, now - wait.started)
