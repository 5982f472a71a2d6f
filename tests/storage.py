"""A storage that gives and takes files by URLs that somebody signed, and can be told to misbehave.

It is no part of MLflow: what speaks to it gets the URLs from elsewhere.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

#: What all URLs hold, and no message may.
KEY = "0123456789abcdef-a-key"


class Ask(NamedTuple):
    """One request, numbered from 1: its method, range or part, key and headers."""

    number: int
    method: str
    part: str
    key: str
    headers: dict[str, str]


@dataclass
class Reply:
    """What is answered; ``cut`` is how many bytes of the body are not sent."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int = 0


#: Changes the answer to a request, or waits.
Spoil = Callable[[Ask, Reply], None]


class Storage:
    """Serves ``content`` at any path, and keeps the ``parts`` that are put, while it is entered."""

    def __init__(self, content: bytes = b"", spoil: Spoil = lambda ask, reply: None) -> None:
        self.content = content
        self.spoil = spoil
        self.asks: list[Ask] = []
        self.parts: dict[int, bytes] = {}
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        storage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                storage._answer(self)

            do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, part: int = 0, key: str = KEY) -> str:
        """The URL of the file, or of a part of it."""
        return f"{self.host}/bucket/file?part={part}&X-Amz-Signature={key}"

    def _answer(self, handler: Any) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        part = handler.headers.get("Range") or query["part"][0]
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            key = query["X-Amz-Signature"][0]
            ask = Ask(len(self.asks) + 1, handler.command, part, key, dict(handler.headers))
            self.asks.append(ask)
        reply = self._put(int(part), body) if ask.method == "PUT" else self._part(part)
        self.spoil(ask, reply)
        with self._lock:
            self._at_once -= 1
        handler.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(reply.body[: len(reply.body) - reply.cut])
        if reply.cut:
            handler.close_connection = True

    def _part(self, part: str) -> Reply:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", part)
        assert found is not None
        first, last = map(int, found.groups())
        headers = {
            "Content-Range": f"bytes {first}-{last}/{len(self.content)}",
            "ETag": hashlib.md5(self.content).hexdigest(),
        }
        return Reply(206, headers, self.content[first : last + 1])

    def _put(self, part: int, body: bytes) -> Reply:
        self.parts[part] = body
        return Reply(200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
