"""A server that does everything it can to harm whoever migrates from it or to it.

A ``Hostile`` stands before a real server, so that all but its tricks is as usual. Each run it
speaks of gets one trick, in turn; ``Trick`` says what is told of the run and what is answered when
its files or metrics are asked for. To try another, add it to the list of a test.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self, cast
from urllib.parse import urlsplit

BLOCK = bytes(1 << 16)


class Reply(NamedTuple):
    """An answer; a ``body`` that has no end is sent until the client leaves."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: Iterator[bytes] = iter(())


class Asked(NamedTuple):
    """A request about a run with a trick."""

    method: str
    path: str
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Trick:
    """``uri`` is where the files of the run are said to be; ``answer`` may answer in its place."""

    name: str
    uri: str = ""
    answer: Callable[[Asked], Reply | None] = field(default=lambda asked: None)


def files(asked: Asked) -> bool:
    """Say whether the files of a run are listed, read or written."""
    return "artifact" in asked.path


def listing(asked: Asked) -> bool:
    return asked.method == "GET" and (
        asked.path.endswith("/artifacts/list") or asked.path.endswith("/artifacts")
    )


def told(value: object, status: int = 200) -> Reply:
    """A JSON answer."""
    body = json.dumps(value).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return Reply(status, headers, iter([body]))


def quoting(asked: Asked) -> Reply | None:
    """Answer what is asked of files and metrics with the credentials that came along."""
    if not files(asked) and "metrics" not in asked.path and "log-batch" not in asked.path:
        return None
    said = f"\x1b[2J\x1b]0;owned\x07 you sent {asked.headers.get('Authorization')}\nError: forged"
    return told({"error_code": "INVALID_PARAMETER_VALUE", "message": said}, 400)


def redirecting(to: str) -> Callable[[Asked], Reply | None]:
    def answer(asked: Asked) -> Reply | None:
        if not files(asked) and "metrics" not in asked.path:
            return None
        return Reply(302, {"Location": to, "Content-Length": "0"})

    return answer


def naming(*names: str, size: int = 3) -> Callable[[Asked], Reply | None]:
    """List files of these names, whatever is there; each has three bytes."""

    def answer(asked: Asked) -> Reply | None:
        if listing(asked):
            listed = [{"path": name, "is_dir": False, "file_size": size} for name in names]
            return told({"files": listed})
        if files(asked) and asked.method == "GET":
            return Reply(200, {"Content-Length": "3"}, iter([b"abc"]))
        return None

    return answer


def endless(asked: Asked) -> Reply | None:
    """Deliver a file without end."""
    return Reply(200, {}, itertools.repeat(BLOCK)) if files(asked) and not listing(asked) else None


class Hostile(ThreadingHTTPServer):
    """Before the real server at ``upstream``; a context manager."""

    daemon_threads = True

    def __init__(self, upstream: str, tricks: Sequence[Trick]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self._turns = itertools.cycle(tricks)
        self._lock = threading.Lock()
        self.played: dict[str, Trick] = {}

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that leaves early is part of the game."""

    def trick_of(self, run_id: str) -> Trick:
        with self._lock:
            if run_id not in self.played:
                self.played[run_id] = next(self._turns)
            return self.played[run_id]

    def about(self, asked: Asked) -> Trick | None:
        """The trick of the one run that a request is about."""
        named = [run_id for run_id in list(self.played) if run_id in asked.path + asked.text]
        return self.played[named[0]] if len(named) == 1 else None

    def twisted(self, value: Any) -> Any:
        """What is told in place of an answer of the real server."""
        if isinstance(value, list):
            return [self.twisted(item) for item in value]
        if not isinstance(value, dict):
            return value
        new = {key: self.twisted(item) for key, item in value.items()}
        if "run_id" in new and "artifact_uri" in new:
            new["artifact_uri"] = self.trick_of(new["run_id"]).uri or new["artifact_uri"]
        return new


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _any(self) -> None:
        server = cast(Hostile, self.server)
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = query + body[:100_000].decode(errors="replace")
        asked = Asked(self.command, path, text, dict(self.headers))
        trick = server.about(asked)
        reply = trick.answer(asked) if trick else None
        self._send(reply or self._forwarded(server, body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def _forwarded(self, server: Hostile, body: bytes) -> Reply:
        real = HTTPConnection(server.upstream.hostname or "", server.upstream.port, timeout=60)
        headers = {"Content-Type": self.headers.get("Content-Type", "application/json")}
        real.request(self.command, self.path, body, headers)
        answer = real.getresponse()
        content = answer.read()
        real.close()
        if answer.headers.get_content_type() == "application/json" and content:
            return told(server.twisted(json.loads(content)), answer.status)
        return Reply(answer.status, {"Content-Length": str(len(content))}, iter([content]))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in reply.headers:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        for block in reply.body:
            self.wfile.write(block)


class Canary(ThreadingHTTPServer):
    """A third host: whoever calls it was sent there by a hostile one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Called)
        self.called: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def get_request(self) -> Any:
        """Note every connection, also one that is no HTTP."""
        self.called.append("a connection")
        return super().get_request()


class _Called(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        cast(Canary, self.server).called.append(f"{self.path} {self.headers}")
        self.send_error(404)
