"""What can happen to a request on its way through the proxy, and rules that say to which.

A script is a ``Faults`` of rules; a rule is made by ``every_nth``, ``on_nth``, ``always`` or
``random_share`` from a ``Match`` and a ``Fault``, and a fault by ``lose_response()`` and its kin:

    Faults(on_nth(("POST", "/runs/create$"), 3, lose_response()))
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import Literal

#: POSTs that only read.
READING_POSTS = re.compile(
    r"/(search|search-datasets|batchGetInfos|get-latest-versions|calculate-filter-correlation"
    r"|traces/metrics|presigned-download-url|graphql)$"
)
#: GETs that write: MLflow creates a default label schema for an experiment that has none.
WRITING_GETS = re.compile(r"/label-schemas/list$")

Callback = Callable[[], object]
#: A method, or ``*`` for any, and a regular expression searched for in the path.
Match = tuple[str, str]
ANY: Match = ("*", "")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived; ``path`` ends before the query."""

    method: str
    path: str
    query: str = ""

    def fits(self, match: Match) -> bool:
        method, pattern = match
        return method in ("*", self.method) and re.search(pattern, self.path) is not None

    @property
    def is_write(self) -> bool:
        if self.method in ("GET", "HEAD"):
            return WRITING_GETS.search(self.path) is not None
        return self.method != "POST" or READING_POSTS.search(self.path) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request; the default is nothing. Times are in seconds.

    In this order: wait ``delay_before``, call ``before``, forward the request (unless
    ``forward`` is False, which needs a ``reply``), call ``after``, wait ``delay_after``, reply.
    More than one can be asked for: ``replace(delay(0.1), reply="close")`` of ``dataclasses``.
    """

    delay_before: float = 0.0
    before: Callback | None = None
    forward: bool = True
    #: Bytes of the request's body after which ``during`` is called and the upload may be cut.
    upload_bytes: int | None = None
    during: Callback | None = None
    #: Makes another body of that of the request; that is then held in memory.
    rewrite: Callable[[bytes], bytes] | None = None
    #: Says of a request's body whether it is answered with 400, and does not reach the server.
    refuses: Callable[[bytes], bool] | None = None
    #: Close both connections after ``upload_bytes``, so that the server gets half a body.
    cut_upload: bool = False
    after: Callback | None = None
    delay_after: float = 0.0
    #: A status sent in place of the server's answer, "close" to send nothing, "hang" to send
    #: nothing and stay connected until the client leaves; None: what the server answered.
    reply: int | Literal["close", "hang"] | None = None
    #: Value of a Retry-After header to go with a ``reply`` that is a status.
    retry_after: int | str | None = None
    #: What goes with a ``reply`` that is a status; without a body, a page made up by the proxy.
    body: bytes | None = None
    content_type: str = "text/html"
    #: Value of a Location header to go with a ``reply`` that is a status.
    location: str | None = None
    #: Seconds after the reply at which the request reaches the server; nobody hears its answer.
    late: float = 0.0
    #: Makes another body of that of the server's answer; that is then held in memory.
    change: Callable[[bytes], bytes] | None = None
    #: Bytes of the response's body after which the connection is closed.
    truncate: int | None = None

    def __post_init__(self) -> None:
        if self.reply is None and (self.late or not self.forward):
            raise ValueError("a request that is not forwarded, or late, needs a reply")
        if self.upload_bytes is not None and self.upload_bytes < 1:
            raise ValueError("an upload is met after its first byte at the earliest")

    @property
    def status(self) -> int | None:
        """The status that is sent in place of the server's, if any."""
        return self.reply if isinstance(self.reply, int) else None


PASS = Fault()
#: Decides on a request; None leaves it to the other rules.
Rule = Callable[[Request], Fault | None]


def answer(status: int, retry_after: int | str | None = None) -> Fault:
    """The client gets ``status``; the server never sees the request."""
    return Fault(forward=False, reply=status, retry_after=retry_after)


def answer_with(body: str, status: int = 200, content_type: str = "application/json") -> Fault:
    """The client gets this body; the server never sees the request."""
    return Fault(forward=False, reply=status, body=body.encode(), content_type=content_type)


def used_up() -> Fault:
    """What MLflow 3.17.2 answers when its pool has no connection to the database left."""
    message = (
        "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 "
        "(Background on this error at: https://sqlalche.me/e/21/3o7r)"
    )
    return refused_with(message)


def refused_with(message: str) -> Fault:
    """The client gets 400 and what SQLAlchemy said; the server never sees the request."""
    body = {"error_code": "BAD_REQUEST", "message": message}
    return answer_with(json.dumps(body), 400)


def redirect_to(location: str, status: int = 302) -> Fault:
    """The client is sent elsewhere; the server never sees the request."""
    return Fault(forward=False, reply=status, location=location)


def change_request(rewrite: Callable[[bytes], bytes]) -> Fault:
    """The server gets what ``rewrite`` makes of the body."""
    return Fault(rewrite=rewrite)


def refuse(*words: str) -> Fault:
    """A request with one of these words in its body is answered with 400, others pass."""
    return Fault(refuses=lambda body: any(word.encode() in body for word in words))


def change_response(change: Callable[[bytes], bytes]) -> Fault:
    """The server does it and answers, and the client gets what ``change`` makes of the body."""
    return Fault(change=change)


def drop_request(before: Callback | None = None) -> Fault:
    """The connection closes before the server sees the request; ``before`` is called first."""
    return Fault(before=before, forward=False, reply="close")


def lose_response(after: Callback | None = None) -> Fault:
    """The server does it and answers, but the client's connection closes without an answer."""
    return Fault(after=after, reply="close")


def replace_response(status: int, retry_after: int | str | None = None) -> Fault:
    """The server does it and answers, but the client gets ``status`` instead."""
    return Fault(reply=status, retry_after=retry_after)


def given_up(after: float, late: float, status: int = 504) -> Fault:
    """A gateway answers ``status`` ``after`` so long; the server does it ``late`` after that."""
    return Fault(delay_before=after, reply=status, late=late)


def delay(before: float = 0.0, after: float = 0.0) -> Fault:
    """The request arrives ``before`` seconds late at the server, its response ``after`` late."""
    return Fault(delay_before=before, delay_after=after)


def hang(forward: bool = False) -> Fault:
    """The client waits for an answer until it gives up or the proxy stops."""
    return Fault(forward=forward, reply="hang")


def truncate(after_bytes: int) -> Fault:
    """The connection closes after so many bytes of the response's body."""
    return Fault(truncate=after_bytes)


def cut_upload(after_bytes: int, during: Callback | None = None) -> Fault:
    """The server gets so many bytes of the body, ``during`` is called, both connections close."""
    return Fault(upload_bytes=after_bytes, during=during, cut_upload=True)


def call_before(callback: Callback) -> Fault:
    """``callback`` is called before the server sees the request, which is then forwarded.

    To kill the sender so that the request never arrives, use ``drop_request(callback)``.
    """
    return Fault(before=callback)


def call_during(after_bytes: int, callback: Callback) -> Fault:
    """``callback`` is called when the server has so many bytes of the body; the rest follows."""
    return Fault(upload_bytes=after_bytes, during=callback)


def call_after(callback: Callback) -> Fault:
    """``callback`` is called when the server has answered, before the client can see it."""
    return Fault(after=callback)


def always(match: Match, fault: Fault) -> Rule:
    """Every request that fits has the fault."""
    return lambda request: fault if request.fits(match) else None


def every_nth(match: Match, n: int, fault: Fault) -> Rule:
    """The nth request that fits has the fault, and the 2nth, the 3nth, ..."""
    seen = count(1)
    return lambda request: fault if request.fits(match) and next(seen) % n == 0 else None


def on_nth(match: Match, n: int, what: Fault | Callback) -> Rule:
    """Only the nth request that fits (from 1) has the fault, or has the callback called before."""
    fault = what if isinstance(what, Fault) else call_before(what)
    seen = count(1)
    return lambda request: fault if request.fits(match) and next(seen) == n else None


def random_share(seed: int, share: float, faults: Sequence[Fault], match: Match = ANY) -> Rule:
    """A share (0 to 1) of the requests that fit has one of the faults; a seed repeats the draw."""
    draw = random.Random(seed)

    def rule(request: Request) -> Fault | None:
        if request.fits(match) and draw.random() < share:
            return draw.choice(faults)
        return None

    return rule


def clock(sleep: Callable[[float], object] = lambda _: None) -> SimpleNamespace:
    """Stands for the module ``time`` in what is to lose none: ``sleep`` is called in its place."""
    return SimpleNamespace(monotonic=time.monotonic, sleep=sleep)


class Faults:
    """The script of a proxy: the first rule that has a fault for a request decides.

    All rules see all requests, so what one rule counts does not depend on the others.
    """

    def __init__(self, *rules: Rule) -> None:
        self._rules = rules
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Fault:
        with self._lock:
            decided = [rule(request) for rule in self._rules]
        return next((fault for fault in decided if fault is not None), PASS)
