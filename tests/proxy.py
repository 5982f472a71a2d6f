"""A loopback HTTP proxy in front of a real server: it counts requests and breaks chosen ones.

``migrate`` is pointed at the proxy's URI and sees an ordinary HTTP/1.1 server. Bodies are
streamed both ways through one block of memory a connection, so artifacts may be of any size.
"""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, cast
from urllib.parse import urlsplit

from tests.faults import Callback, Fault, Faults, Match, Request, answer

#: Bytes of a body that are held at a time.
BLOCK = 1 << 18
#: Bytes of a request line: URLs with thousands of ids in them are legal.
LONGEST_LINE = 1 << 22

#: Headers that belong to one connection, not to the message.
PER_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}
PER_CONNECTION |= {"proxy-connection", "expect"}


@dataclass(frozen=True, slots=True)
class Exchange(Request):
    """A request, what the server answered, and what the client was told."""

    #: Status sent to the client; None: its connection was closed without an answer.
    status: int | None = None
    #: Status of the server's answer; None: the request did not reach it, or it never answered.
    server_status: int | None = None


class Proxy:
    """Forwards to the server at ``upstream`` from a free loopback port; a context manager.

    ``faults`` may be replaced at any time; ``latency`` is added to every request, in seconds
    each way. ``stop`` raises what a rule or callback raised meanwhile.
    """

    def __init__(self, upstream: str, *, faults: Faults | None = None, latency: float = 0) -> None:
        self.upstream = urlsplit(upstream)
        self.faults = faults or Faults()
        self.latency = latency
        self.stopping = threading.Event()
        self.problems: list[BaseException] = []
        self._exchanges: list[Exchange] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = _Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    @property
    def requests(self) -> list[Exchange]:
        """All requests that were decided on, in the order in which they were answered."""
        with self._lock:
            return list(self._exchanges)

    def writes(self) -> list[Exchange]:
        """The requests that may change something at the server, forwarded or not."""
        return [exchange for exchange in self.requests if exchange.is_write]

    def matching(self, match: Match) -> list[Exchange]:
        return [exchange for exchange in self.requests if exchange.fits(match)]

    def clear(self) -> None:
        """Forgets the requests so far; the counters of the faults go on."""
        with self._lock:
            self._exchanges.clear()

    def stop(self) -> None:
        """Closes all connections and waits for their threads."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._listener.shutdown()
        with self._lock:
            for connection in self._sockets:
                _shut(connection)
        self._listener.server_close()
        self._thread.join()
        if self.problems:
            raise RuntimeError("a rule or callback of the proxy failed") from self.problems[0]

    def record(self, exchange: Exchange) -> None:
        with self._lock:
            self._exchanges.append(exchange)

    @contextlib.contextmanager
    def watching(self, connection: socket.socket) -> Iterator[None]:
        """Has ``stop`` end what is done with a connection."""
        with self._lock:
            self._sockets.add(connection)
            if self.stopping.is_set():
                _shut(connection)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(connection)


class _Listener(socketserver.ThreadingTCPServer):
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        problem = sys.exception()
        assert problem is not None
        self.proxy.problems.append(problem)


class _Close(Exception):
    """The client's connection is to be closed without another byte."""


class _Connection(BaseHTTPRequestHandler):
    """One client's connection: a thread that takes its requests one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def proxy(self) -> Proxy:
        return cast(_Listener, self.server).proxy

    def handle(self) -> None:
        with self.proxy.watching(self.connection):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Says nothing: ``Proxy.requests`` is the log."""

    def handle_one_request(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(LONGEST_LINE)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self._exchange()
        except (OSError, HTTPException, _Close):
            self.close_connection = True

    def _exchange(self) -> None:
        # Not self.path: a leading double slash is lost there.
        self.target = self.requestline.split()[1]
        path, _, query = self.target.partition("?")
        request = Request(self.command, path, query)
        fault = self.proxy.faults(request)
        self._wait(self.proxy.latency + fault.delay_before)
        self._call(fault.before)
        if fault.late:
            self._forward_later(request, fault)
            return
        if fault.forward:
            self._forward(request, fault)
            return
        self._record(request, fault.status, None)
        for _ in self._body():
            pass
        self._reply_in_place(fault)

    def _forward(self, request: Request, fault: Fault) -> None:
        held = None
        if fault.refuses or fault.rewrite:
            held = b"".join(self._body())
        if held is not None and fault.refuses and fault.refuses(held):
            self._record(request, 400, None)
            self._reply_in_place(answer(400))
            return
        with contextlib.ExitStack() as stack:
            try:
                response = self._ask(fault, stack, held)
            except (OSError, HTTPException, _Close):
                self._record(request, None, None)
                raise
            self._call(fault.after)
            self._wait(self.proxy.latency + fault.delay_after)
            passed_on = fault.reply is None
            self._record(request, response.status if passed_on else fault.status, response.status)
            if passed_on:
                self._pass_on(response, fault)
            else:
                self._reply_in_place(fault)

    def _forward_later(self, request: Request, fault: Fault) -> None:
        """Answers in place of the server, which gets the request after that."""
        target, body = self.target, b"".join(self._body())
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in PER_CONNECTION | {"host", "content-length"}
        }

        def forward() -> None:
            if self.proxy.stopping.wait(fault.late):
                return
            upstream = self.proxy.upstream
            with contextlib.closing(HTTPConnection(upstream.hostname or "", upstream.port)) as one:
                one.request(request.method, target, body, headers)
                one.getresponse().read()

        threading.Thread(target=self._call, args=(forward,), daemon=True).start()
        self._record(request, fault.status, None)
        self._reply_in_place(fault)

    def _ask(self, fault: Fault, stack: contextlib.ExitStack, held: bytes | None) -> HTTPResponse:
        """Sends the request to the server and returns its answer, both open in ``stack``.

        ``held`` is the body where it has been read already.
        """
        # A connection of its own for every request: none can have gone stale.
        upstream = HTTPConnection(self.proxy.upstream.hostname or "", self.proxy.upstream.port)
        stack.callback(upstream.close)
        upstream.connect()
        stack.enter_context(self.proxy.watching(upstream.sock))
        rewritten = fault.rewrite(held or b"") if fault.rewrite else held
        length = {"content-length", "transfer-encoding"} if rewritten is not None else set()
        upstream.putrequest(self.command, self.target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in PER_CONNECTION | {"host"} | length:
                upstream.putheader(name, value)
        upstream.putheader("Host", self.proxy.upstream.netloc)
        upstream.putheader("Connection", "close")
        if rewritten is not None:
            upstream.putheader("Content-Length", str(len(rewritten)))
            upstream.endheaders(rewritten)
            return stack.enter_context(upstream.getresponse())
        if self._chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        upstream.endheaders()
        for part in self._framed(self._upload(fault), self._chunked):
            try:
                upstream.send(part)
            except ConnectionError:
                # A server may answer and close before it has read the body; the answer counts.
                self.close_connection = True
                break
        return stack.enter_context(upstream.getresponse())

    @staticmethod
    def _framed(blocks: Iterator[bytes], chunked: bool) -> Iterator[bytes]:
        for block in blocks:
            yield b"%x\r\n%b\r\n" % (len(block), block) if chunked else block
        if chunked:
            yield b"0\r\n\r\n"

    def _upload(self, fault: Fault) -> Iterator[bytes]:
        """Yields the body, and does what the fault says once the server has so many bytes."""
        if fault.upload_bytes is None:
            yield from self._body()
            return
        done = 0
        for block in self._body():
            head = max(fault.upload_bytes - done, 0)
            done += len(block)
            if head == 0 or head > len(block):
                yield block
                continue
            yield block[:head]
            self._call(fault.during)
            if fault.cut_upload:
                raise _Close
            if block[head:]:
                yield block[head:]

    @property
    def _chunked(self) -> bool:
        return "chunked" in self.headers.get("Transfer-Encoding", "").lower()

    def _body(self) -> Iterator[bytes]:
        """Yields the body of the request as it arrives, without its framing."""
        if not self._chunked:
            yield from self._read(int(self.headers.get("Content-Length", 0)))
            return
        while length := int(self._line().partition(b";")[0], 16):
            yield from self._read(length)
            self._line()
        while self._line() != b"\r\n":  # trailers
            pass

    def _read(self, length: int) -> Iterator[bytes]:
        while length:
            block = self.rfile.read1(min(BLOCK, length))
            if not block:
                raise _Close
            length -= len(block)
            yield block

    def _line(self) -> bytes:
        line = self.rfile.readline(BLOCK)
        if not line:
            raise _Close
        return line

    def _pass_on(self, response: HTTPResponse, fault: Fault) -> None:
        """Sends the server's answer to the client, or what the fault makes of it."""
        length = response.headers["Content-Length"]
        changed = fault.change(response.read()) if fault.change else None
        if changed is not None:
            length = str(len(changed))
            del response.headers["Content-Length"]
            response.headers["Content-Length"] = length
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in PER_CONNECTION:
                self.send_header(name, value)
        chunked = length is None and not bodiless
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if bodiless:
            return
        body = _blocks(response, None if length is None else int(length))
        if changed is not None:
            body = iter([changed] if changed else [])
        if fault.truncate is not None:
            body = _cut(body, fault.truncate)
        for part in self._framed(body, chunked):
            self.wfile.write(part)

    def _reply_in_place(self, fault: Fault) -> None:
        """Answers, hangs or closes as the fault says, whatever the server said."""
        if fault.reply == "hang":
            self._hang()
        if fault.status is None:
            raise _Close
        body = b"<html>This answer was made up by the proxy.</html>"
        if fault.body is not None:
            body = fault.body
        self.send_response_only(fault.status)
        self.send_header("Content-Type", fault.content_type)
        if fault.location is not None:
            self.send_header("Location", fault.location)
        self.send_header("Content-Length", str(len(body)))
        if fault.retry_after is not None:
            self.send_header("Retry-After", str(fault.retry_after))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang(self) -> None:
        while not self.proxy.stopping.wait(0.05):
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return

    def _record(self, request: Request, status: int | None, server_status: int | None) -> None:
        self.proxy.record(
            Exchange(request.method, request.path, request.query, status, server_status)
        )

    def _call(self, callback: Callback | None) -> None:
        if callback is None:
            return
        try:
            callback()
        except Exception as problem:
            # Kept apart from the errors of connections, which are part of the game.
            self.proxy.problems.append(problem)

    def _wait(self, seconds: float) -> None:
        if seconds:
            self.proxy.stopping.wait(seconds)


def _blocks(response: HTTPResponse, length: int | None) -> Iterator[bytes]:
    """Yields the body of a response; raises _Close if the server ends it early."""
    while length is None or length > 0:
        block = response.read1(BLOCK if length is None else min(BLOCK, length))
        if not block:
            if length is not None:
                raise _Close
            return
        if length is not None:
            length -= len(block)
        yield block


def _cut(blocks: Iterator[bytes], left: int) -> Iterator[bytes]:
    """Yields the first bytes of a body; raises _Close when ``left`` of them are out."""
    for block in blocks:
        if part := block[:left]:
            yield part
        left -= len(part)
        if not left:
            raise _Close


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
