"""Requests that go by the connection pool itself are those that a session would send."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests

from migrate.endpoints.tracking.http.access import Access
from migrate.endpoints.tracking.http.session import HttpSession

Sent = tuple[str, str, dict[str, str], bytes]


@dataclass
class Listener:
    """A web server that keeps what it is asked, and answers each with an empty object."""

    uri: str = ""
    requests: list[Sent] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    #: Seconds until it answers.
    takes: float = 0.0


@contextmanager
def listening() -> Iterator[Listener]:
    heard = Listener()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            heard.requests.append((self.command, self.path, dict(self.headers), body))
            time.sleep(heard.takes)
            self.send_response(200)
            for name, value in heard.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PUT = do_PATCH = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    heard.uri = f"http://127.0.0.1:{server.server_port}"
    try:
        yield heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def heard() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


def session_to(heard: Listener, **access: Any) -> HttpSession:
    return HttpSession(Access(base_url=heard.uri, **access), side="source", workers=2)


def ask_all(http: HttpSession) -> None:
    """Send a request of each form."""
    http.get("/api/a%41 b/ü", {"run_id": "x y", "path": "a/b&c"})
    http.get("/api/bulk", [("run_id", "1"), ("run_id", "2~é +%/")])
    http.get("/api/odd", {"numbers": [1, 2], "none": None, "count": 3, "": "x"})
    http.get("/api/with?query=1", {"more": "2"})
    http.post("/api/search", {"filter": "ä"}, idempotent=True)
    http.change("PATCH", "/api/../x/./y", {})
    http.put("/files/one.bin", io.BytesIO(b"12345"), 5, "one")
    http.put("/files/none.bin", io.BytesIO(), 0, "none")
    http.post_message("/v1/traces", b"\x01\x02", {"Content-Type": "application/x-protobuf"})


def test_all_requests_are_what_a_session_would_send(
    heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = {"username": "ada", "password": "pä:ss", "workspace": "blue"}
    by_session: list[str] = []
    send = requests.Session.request

    def noted(session: requests.Session, method: str, url: str, **options: Any) -> Any:
        by_session.append(url)
        return send(session, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", noted)
    http = session_to(heard, **access)
    ask_all(http)
    assert not by_session
    direct = list(heard.requests)
    heard.requests.clear()
    http = session_to(heard, **access)
    http._session.cookies.set("a", "b", domain="elsewhere.example")  # now the session has to do it
    ask_all(http)
    assert len(by_session) == len(direct) == 9
    assert heard.requests == direct


def test_an_answer_may_take_longer_than_a_connection(
    heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrate.endpoints.tracking.http.session.TIMEOUT", (0.2, 20.0))
    heard.takes = 0.5
    http = HttpSession(Access(base_url=heard.uri), side="target", workers=1)
    assert http.get("/slow", tries=1) == {}

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            time.sleep(0.1)
            return super().read(min(size or -1, 300))

        def seekable(self) -> bool:
            return False

    http.put("/file", Slow(bytes(1000)), 1000, "a file")
    http.close()
    assert [len(body) for *_, body in heard.requests] == [0, 1000]


def test_a_cookie_that_a_server_sets_goes_back_to_it(heard: Listener) -> None:
    http = session_to(heard)
    heard.headers = {"Set-Cookie": "route=node-7; Path=/"}
    http.get("/api/first")
    http.get("/api/second")
    assert [sent[2].get("Cookie") for sent in heard.requests] == [None, "route=node-7"]


def test_a_login_that_signs_requests_signs_each(
    heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[str] = []

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        signed.append(str(request.url))
        request.headers["Authorization"] = f"signature {len(signed)}"
        return request

    monkeypatch.setattr(Access, "_auth", lambda self: sign)
    http = session_to(heard)
    http.get("/api/first")
    http.get("/api/second")
    given = [sent[2].get("Authorization") for sent in heard.requests]
    assert given == ["signature 1", "signature 2"]


def test_a_proxy_of_the_environment_is_used(
    heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", heard.uri)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    access = Access(base_url="http://mlflow.invalid:5000")
    http = HttpSession(access, side="source", workers=2)
    assert json.dumps(http.get("/api/x")) == "{}"
    assert [sent[1] for sent in heard.requests] == ["http://mlflow.invalid:5000/api/x"]
